"""`blendin bench` and the options of threads: what is said, where it goes, what is refused."""

import io
import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from blendin_local.cli.app import build_app
from blendin_local.cli.common.options import RuntimeOptions
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.manifest import settings_facts
from blendin_local.jobs.bench.compare import compare
from blendin_local.jobs.request_values import RequestDefaults
from blendin_local.models.registry import load_registry
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from blendin_local.views.bench import bench_view, comparison_view, number
from blendin_local.views.theme import make_console
from tests.jobs.benches import a_bench, some_drafts
from tests.toys import make_toy


def drawn(renderable, width=80):
    console = make_console(io.StringIO(), "off")
    console.width = width
    console.print(renderable)
    return console.file.getvalue()


def whole_bench():
    memory = dict.fromkeys(("weights", "kv_cache", "compute", "resident", "ours"), 2**20)
    bench = a_bench(drafts=some_drafts())
    return type(bench)(**{**vars(bench), "memory": memory, "verdict": "4 threads are best"})


def test_the_tables_fit_a_terminal():
    """Every part is shown, no line is longer than 80 columns, and the verdict comes last."""
    shown = drawn(bench_view(whole_bench()))

    assert max(map(len, shown.splitlines())) <= 80
    for word in (
        "each model alone",
        "at once, relative to one",
        "one answer at a time",
        "several answers at once",
        "a draft of several tokens",
        "73.0 % of the steps",
    ):
        assert word in shown
    assert shown.rstrip().endswith("4 threads are best")
    assert "busy" not in shown


@pytest.mark.parametrize(("rounds", "text"), [(1, "1 round in"), (3, "3 rounds in")])
def test_rounds_are_counted_in_words_that_fit(rounds, text):
    """One round is no rounds."""
    bench = whole_bench()
    bench = replace(bench, workload=replace(bench.workload, rounds=rounds))
    assert text in drawn(bench_view(bench))


def test_a_comparison_names_what_changed():
    """Only measurements beyond the trials of both are called faster or slower."""
    slow, fast = a_bench(blendin=40.0), a_bench(blendin=60.0)
    shown = drawn(comparison_view(compare(slow.to_json(), fast.to_json()), ["pair was a, now b"]), 100)

    assert "not the same benchmark: pair was a, now b" in shown
    [line] = [line for line in shown.splitlines() if "faster" in line]
    assert "methods blendin tokens per s" in line
    assert "1.50" in line


@pytest.mark.parametrize(
    ("value", "text"), [(0.3123, "0.31"), (4.251, "4.25"), (62.14, "62.1"), (413.4, "413"), (0.0, "0.00")]
)
def test_numbers_have_three_digits_that_matter(value, text):
    """A speed is read, not counted: as many digits as the measurement can carry."""
    assert number(value) == text


def test_a_toy_pair_from_the_command_line(tmp_path):
    """One JSON object on stdout, the tables on stderr; with --compare the old record stands beside it."""
    base, guide = (str(make_toy(tmp_path / f"{role}.gguf", "plain")) for role in ("base", "guide"))
    command = ["bench", "--base", base, "--guide", guide, "--rounds", "1", "-c", "512"]
    first = CliRunner().invoke(build_app(), [*command, "--json"], catch_exceptions=False)
    old = tmp_path / "old.json"
    old.write_text(first.stdout)
    second = CliRunner().invoke(build_app(), [*command, "--compare", str(old)], catch_exceptions=False)

    record = json.loads(first.stdout)
    assert record["pair"] == "base.gguf guided by guide.gguf"
    assert record["verdict"] in first.stderr.replace("\n", " ").replace("  ", " ")
    assert "methods blendin tokens per s" in second.stdout
    assert "not the same benchmark" not in second.stdout


def test_a_wrong_record_is_refused_before_anything_is_loaded(tmp_path):
    """--compare with another file ends at once."""
    (tmp_path / "x.json").write_text("{}")

    with pytest.raises(UsageError, match="no benchmark"):
        CliRunner().invoke(
            build_app(), ["bench", "--compare", str(tmp_path / "x.json")], catch_exceptions=False
        )


def test_reproducible_reaches_both_models():
    """The option is a setting of both roles; left out, it is not said, so that others can decide."""
    for role in ("base", "guide"):
        assert RuntimeOptions(reproducible=True).settings_for(role) == {"reproducible": True}
        assert RuntimeOptions().settings_for(role) == {}
        assert ModelSettings(**RuntimeOptions(threads="3").settings_for(role)).threads == 3


def test_threads_belong_to_a_reproducible_batch_only():
    """Without --reproducible the threads may change between runs of a batch; with it they are part of it."""

    def facts(**settings):
        opened = resolve_pair(PairSpec(base_settings=settings, guide_settings=settings), load_registry())
        defaults = RequestDefaults(BlendSettings(), SamplingSettings(), AnswerSettings(), "", ())
        return settings_facts(opened.setup, defaults)["base"]

    assert facts(threads=1) == facts(threads=2)
    assert facts(threads=1, reproducible=True) != facts(threads=2, reproducible=True)
    assert facts(reproducible=True)["threads"] >= 1


@pytest.mark.parametrize(("more", "parallel"), [((), "1 at once"), (("--parallel", "3"), "3 at once")])
def test_a_reproducible_batch_answers_row_by_row(tmp_path, more, parallel):
    """Answers in shared evaluations depend on each other: one at a time, unless the user says otherwise."""
    base, guide = (str(make_toy(tmp_path / f"{role}.gguf", "plain")) for role in ("base", "guide"))
    (tmp_path / "p.txt").write_text("hello\nthe world\na hell\n")
    files = [str(tmp_path / "p.txt"), "-o", str(tmp_path / "a.jsonl")]
    options = ["--base", base, "--guide", guide, "-c", "256", "-n", "3", "--reproducible", *more]
    done = CliRunner().invoke(build_app(), ["batch", *files, *options], catch_exceptions=False)

    assert parallel in done.stderr
    answers = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert {answer["signature"]["models"]["base"]["reproducible"] for answer in answers} == {True}
    assert len(answers) == 3


def test_auto_wins_over_a_count_in_models_toml(tmp_path):
    """A pair that names its threads keeps them, unless the command line says otherwise, be it `auto`."""
    file = tmp_path / "models.toml"
    file.write_text('version = 1\n[pairs.own]\nbase = "demo-base"\nguide = "demo-guide"\nthreads = 3\n')
    registry = load_registry(file)

    def threads(**options):
        given = RuntimeOptions(**options).settings_for("base")
        return resolve_pair(PairSpec(pair="own", base_settings=given), registry).setup.base_settings.threads

    assert [threads(), threads(threads="auto"), threads(threads="1")] == [3, None, 1]
