"""A search run from Python: what it returns, what it says, how it stops and resumes."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs import TuneSpec, keep_settings, run_tune
from blendin_local.models.registry import load_registry
from blendin_local.pair.resolve import PairSpec
from tests.toys import make_toy


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """Two toys and three questions; toys know no answers, so every setting scores the same."""
    folder = tmp_path_factory.mktemp("tune")
    base, guide = (make_toy(folder / f"{name}.gguf", "plain", seed=i) for i, name in enumerate("bg"))
    rows = [{"prompt": f"hello the world {i}", "answer": i} for i in range(3)]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"ctx_size": 256, "threads": 1}
    pair = PairSpec(
        base=str(base),
        guide=str(guide),
        base_settings=settings,
        guide_settings=settings,
        blend={"method": "nudging", "threshold": 0.9},
        answer={"max_tokens": 4, "loop_guard": False},
    )
    return TuneSpec(str(folder / "q.jsonl"), str(folder / "trials"), pair, n_parallel=1)


def test_a_search_from_python_stops_resumes_and_prints_nothing(spec, capfd):
    """Stopped in its second trial it keeps the first; run again it resumes, and both streams stay empty."""
    begun = []
    stopped = run_tune(
        spec, on_progress=begun.append, should_stop=lambda: bool(begun) and begun[-1].trial == 2
    )
    resumed = []
    report = run_tune(spec, on_progress=resumed.append)

    assert not stopped.finished
    assert len(stopped.trials) == 1
    assert stopped.summary == "Not finished: 1 trial so far."
    assert report.finished
    assert len(report.trials) == 8
    assert (report.default.setting.blend.method, report.default.setting.blend.threshold) == ("blendin", 0.4)
    assert min(now.trial for now in resumed) == 2
    assert {now.setting for now in resumed} <= {trial.setting for trial in report.trials}
    assert json.loads((report.trials[0].answers.parent / "report.json").read_text()) == report.to_json()
    assert capfd.readouterr() == ("", "")


def test_a_search_that_is_stopped_at_once_has_no_report(spec, tmp_path):
    """Stopped before the first trial, there is nothing to judge."""
    assert run_tune(replace(spec, out=tmp_path / "o"), should_stop=lambda: True) is None


def test_the_chosen_settings_are_kept_under_a_name(spec, tmp_path):
    """A pair of another name gets its models too, and the evidence stands beside the first value."""
    report, file = run_tune(spec), tmp_path / "models.toml"
    with pytest.raises(UsageError, match="without a name"):
        keep_settings(report, path=file)
    assert not file.exists()

    assert keep_settings(report, "mine", file) == file
    assert tomllib.loads(file.read_text())["pairs"]["mine"] == {
        "threshold": 0.4,
        "alpha": "auto",
        "base": spec.pair.base,
        "guide": spec.pair.guide,
    }
    assert "3 questions, 8 settings tried" in file.read_text()
    assert report.summary in file.read_text()


def test_several_guides_are_kept_as_a_list(spec, tmp_path):
    """With their weights, and in a form that models.toml may have."""
    weights = {**spec.pair.blend, "guide_weight": (1.0, 2.0)}
    pair = replace(spec.pair, guide2=spec.pair.guide, blend=weights)
    report, file = run_tune(replace(spec, pair=pair, out=tmp_path / "o")), tmp_path / "models.toml"

    assert keep_settings(report, "mine", file) == file
    kept = load_registry(file, env={}, cwd=tmp_path).pairs["mine"]
    assert kept.guides == (spec.pair.guide, spec.pair.guide)
    assert kept.settings["guide_weight"] == [1.0, 2.0]


@pytest.mark.parametrize("purpose", ["safety", "instructions"])
def test_the_programs_own_prompts_are_named_as_such(spec, tmp_path, purpose):
    """The report, its JSON and the comment beside the kept settings say whose they are and what they show."""
    own = replace(spec, data=None, out=tmp_path / "o", purpose=purpose, limit=4)
    report, file = run_tune(own), tmp_path / "models.toml"
    record = report.to_json()

    assert record["purpose"] == purpose
    assert record["asked_on"] == f"4 prompts on {purpose} from blendin-local, not your own"
    assert record["questions"] == len({*(tmp_path / "o" / "rows.jsonl").read_text().splitlines()}) == 4
    assert "4 prompts and 7 comparisons" in record["caution"]
    assert "--data takes them" in record["caution"]
    keep_settings(report, "mine", file)
    comment = " ".join(line.strip("# ") for line in file.read_text().splitlines())
    assert f"4 prompts on {purpose} from blendin-local, not the user's" in comment
    assert replace(report, finished=False).caution == ""


def test_questions_of_the_user_have_no_such_words(spec):
    """Nothing is said of built-in prompts where the data are the user's."""
    record = run_tune(spec).to_json()

    assert (record["purpose"], record["caution"]) == (None, None)
    assert record["asked_on"] == "q.jsonl: 3 questions"


@pytest.mark.parametrize(
    ("data", "purpose", "said"),
    [
        ("gsm8k", "safety", "two sets"),
        (None, None, "no questions are named"),
        (None, "fun", "no purpose 'fun'"),
    ],
)
def test_one_set_of_questions_is_named(spec, tmp_path, data, purpose, said):
    """Data and purpose exclude each other, one is needed, and a purpose must be known; nothing is written."""
    with pytest.raises(UsageError, match=said):
        run_tune(replace(spec, data=data, purpose=purpose, out=tmp_path / "o"))
    assert not (tmp_path / "o").exists()


def test_exact_prompts_and_too_few_questions_are_refused(spec, tmp_path):
    """Both are said before anything is loaded."""
    with pytest.raises(UsageError, match="exact prompts"):
        run_tune(replace(spec, pair=replace(spec.pair, exact_prompts={"base": "Once"})))
    (tmp_path / "one.jsonl").write_text('{"prompt": "a", "answer": 1}\n')
    with pytest.raises(UsageError, match="has 1 question"):
        run_tune(replace(spec, data=tmp_path / "one.jsonl"))
