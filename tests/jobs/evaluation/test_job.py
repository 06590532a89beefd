"""An evaluation from Python, on toy models: five lines run it, stop it, resume it and score it again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from blendin_local.errors import PairError, UsageError
from blendin_local.jobs import EvalSpec, run_eval
from blendin_local.pair.resolve import PairSpec
from blendin_local.reports.evaluation.files import report_json, write_reports
from tests.toys import make_toy


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two toys, on one thread each."""
    folder = tmp_path_factory.mktemp("toys")
    base = make_toy(folder / "base.gguf", "plain", ctx=4096)
    guide = make_toy(folder / "guide.gguf", "plain", seed=1, ctx=4096)
    threads = {"threads": 1}
    return PairSpec(base=str(base), guide=str(guide), base_settings=threads, guide_settings=threads)


@pytest.fixture
def spec(pair, tmp_path, monkeypatch):
    """Three short answers of two methods to one benchmark."""
    monkeypatch.setenv("BLENDIN_CACHE", str(tmp_path / "cache"))
    return EvalSpec(
        str(tmp_path / "out"),
        pair,
        benchmarks=("xstest",),
        methods=("base", "blendin"),
        limit=3,
        max_tokens=4,
        n_parallel=1,
    )


def numbers(result):
    return {name: value for name, value in report_json(result.report).items() if name != "times"}


def test_it_returns_the_report_and_prints_nothing(spec, capfd):
    """Every row is reported to the callback, the record has every cell, and stdout and stderr stay empty."""
    seen = []
    result = run_eval(spec, on_progress=seen.append)

    assert not result.stopped
    assert result.report.complete
    assert [(cell.variant, cell.answered) for cell in result.report.cells] == [("base", 3), ("blendin", 3)]
    assert {progress.cell for progress in seen} == {
        ("base+guide", "xstest", "base"),
        ("base+guide", "xstest", "blendin"),
    }
    assert (seen[0].left, seen[-1].left, seen[-1].total) == (6, 0, 6)
    assert capfd.readouterr() == ("", "")


def test_stopped_and_resumed(spec, tmp_path):
    """`should_stop` ends it with what there is; the same spec resumes, to the report of a run in one go."""
    seen = []
    cut = run_eval(spec, on_progress=seen.append, should_stop=lambda: seen != [] and seen[-1].left < 6)
    again = []
    resumed = run_eval(spec, on_progress=again.append)
    whole = run_eval(replace(spec, out=tmp_path / "whole"))

    assert cut.stopped
    assert not cut.report.complete
    assert again[0].total < 6
    assert not resumed.stopped
    assert numbers(resumed) == numbers(whole)


def test_stopped_while_weights_are_read(spec):
    """A stop before the first row is a record without answers, and no error."""
    result = run_eval(spec, should_stop=lambda: True)

    assert result.stopped
    assert [cell.answered for cell in result.report.cells] == [0, 0]


def test_scored_again_without_the_models(spec, tmp_path):
    """`score_only` needs the folder alone; `write_reports` writes every form of the report beside it."""
    first = run_eval(spec)
    again = run_eval(EvalSpec(spec.out, score_only=True))
    files = write_reports(spec.out, again.report)

    assert numbers(again) == numbers(first)
    assert [path.name for path in files.values()] == ["report.html", "report.md", "report.svg", "report.json"]
    assert all(path.is_file() for path in files.values())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"benchmarks": ("nothing",)}, "no benchmark 'nothing'"),
        ({"methods": ("magic",)}, "no method 'magic'"),
        ({"pair": PairSpec(exact_prompts={"base": "x"})}, "the same for every question"),
        ({"pair": PairSpec(blend={"method": "base"})}, "--methods"),
        ({"judge_model": "m"}, "--judge"),
        ({"limit": 101}, "only 100 questions per benchmark"),
        ({"score_only": True}, "holds no evaluation"),
    ],
)
def test_mistakes_are_refused_before_a_model_is_loaded(tmp_path, changes, words):
    """Each is a UsageError with one line and a next step."""
    with pytest.raises(UsageError) as refused:
        run_eval(replace(EvalSpec(tmp_path / "out"), **changes))

    assert words in f"{refused.value.message}; {refused.value.hint}"
    assert not (tmp_path / "out").exists()


def test_a_method_that_lacks_its_control_vector_is_refused_before_anything_is_loaded(spec):
    """Not as answers that failed, which would be scored."""
    with pytest.raises(PairError, match="method steer needs a control vector"):
        run_eval(replace(spec, methods=("base", "steer")))
    assert not (Path(spec.out) / "plan.json").exists()
