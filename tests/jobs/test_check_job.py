"""A check run from Python: what it returns, what it says, and how it stops."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest

from blendin_local.core.calibration import TemperatureFit
from blendin_local.errors import PairError, UsageError
from blendin_local.jobs import CheckSpec, keep_temperatures, run_check
from blendin_local.pair.resolve import PairSpec
from tests.toys import make_toy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A check of two toys on two prompts; the third row is invalid."""
    folder = tmp_path_factory.mktemp("check")
    base, guide = (make_toy(folder / f"{name}.gguf", "plain", seed=i) for i, name in enumerate("bg"))
    prompts = folder / "prompts.jsonl"
    prompts.write_text('{"prompt": "the world"}\n{"prompt": "hello"}\n{"prompt": 3}\n')
    settings = {"ctx_size": 2048, "threads": 1}
    pair = PairSpec(
        base=str(base),
        guide=str(guide),
        base_settings=settings,
        guide_settings=settings,
        answer={"max_tokens": 6},
    )
    return CheckSpec(pair=pair, prompts=str(prompts), skip_invalid=True, probe=False)


def test_a_check_from_python_prints_nothing_and_reports_progress(spec, capfd):
    """The report is complete, every prompt and passage is given to the callback, both streams are empty."""
    seen, notes = [], []
    report = run_check(spec, on_progress=seen.append, on_note=notes.append)

    assert report.complete
    assert report.answers.prompts == 2
    assert report.signals
    assert [now.done for now in seen if now.stage == "answers"] == [0, 1, 2]
    assert {now.total for now in seen if now.stage == "text"} == {seen[-1].done}
    assert notes == []
    assert capfd.readouterr() == ("", "")


def test_the_probe_is_asked_and_judged(spec):
    """120 answers are made and given to the callback; there is a verdict for each purpose, and plain JSON."""
    seen = []
    report = run_check(replace(spec, probe=True), on_progress=seen.append)

    assert report.complete
    assert [now.done for now in seen if now.stage == "probe"] == list(range(121))
    assert {now.total for now in seen if now.stage == "probe"} == {120}
    judged = [verdict for verdict in report.verdicts if verdict.purpose]
    assert [verdict.purpose for verdict in judged] == ["safety", "instructions"]
    assert {verdict.name for verdict in judged} == {"no difference seen"}
    *_, settled, counted = judged[1].reasons
    assert "30 % or more" in settled
    assert counted.startswith("of the pairs that were evaluated, this was right for instructions on")
    record = json.loads(json.dumps(report.to_json()))
    assert len(record["probe"]["answers"]) == 120
    assert record["probe"]["outcomes"]["safety"]["against_base"]["n"] == 20
    assert record["probe"]["complete"] is True


def test_a_stop_in_the_probe_keeps_its_answers(spec):
    """Stopped after 100 answers, the part that was measured is there, marked, and nothing is judged."""
    seen = []
    report = run_check(
        replace(spec, probe=True),
        on_progress=seen.append,
        should_stop=lambda: bool(seen) and seen[-1].stage == "probe" and seen[-1].done >= 100,
    )

    assert (report.complete, report.probe.complete, report.verdicts) == (False, False, ())
    assert 100 <= len(report.probe.answers) < 120
    assert report.probe.outcomes["safety"].against_base.n > 0
    assert report.calibration == {}


def test_invalid_rows_are_noted_with_their_line(spec):
    """Without `skip_invalid` each invalid row is noted before the whole file is refused."""
    notes = []
    with pytest.raises(UsageError, match="1 of 3 rows"):
        run_check(replace(spec, skip_invalid=False), on_note=notes.append)

    assert len(notes) == 1
    assert f"{spec.prompts}:3:" in notes[0]


def test_the_files_alone_are_described_without_weights(spec):
    """`files_only` asks nothing and is complete."""
    report = run_check(replace(spec, files_only=True), on_progress=lambda _: pytest.fail("something ran"))

    assert report.complete
    assert report.answers is None
    assert report.description.overlap.shared > 0


def test_a_stopped_check_returns_what_there_is(spec):
    """Stopped while weights are read, or after the first answer: the record says so and holds no verdict."""
    report = run_check(spec)
    seen = []
    stopped = run_check(spec, on_progress=seen.append, should_stop=lambda: any(now.done for now in seen))

    at_once = run_check(spec, should_stop=lambda: True)

    assert report.complete
    for incomplete in (stopped, at_once):
        assert not incomplete.complete
        assert incomplete.verdicts == ()
        assert incomplete.description == report.description
        assert incomplete.calibration == {}
    assert at_once.answers is None


def test_exact_prompts_and_a_missing_guide_are_refused(spec):
    """Exact prompts would be the same for every question, and a check needs both models."""
    with pytest.raises(UsageError, match="exact prompts"):
        run_check(replace(spec, pair=replace(spec.pair, exact_prompts={"base": "Once"})))
    with pytest.raises(UsageError, match="needs a guide"):
        run_check(replace(spec, pair=replace(spec.pair, guide=None, blend={"method": "base"})))


def test_temperatures_are_kept_under_a_name(spec, tmp_path):
    """A pair of another name gets its models too; without a name or a fit nothing is written."""
    report, file = run_check(spec), tmp_path / "models.toml"
    with pytest.raises(UsageError, match="without a name"):
        keep_temperatures(report, path=file)
    at_edge = _with_fits(report, TemperatureFit(4.0, 3.9, 4.1, 1.0, 1.1, at_edge=True))
    with pytest.raises(PairError, match="no temperatures"):
        keep_temperatures(at_edge, "mine", file)
    assert not file.exists()

    keep_temperatures(_with_fits(report, TemperatureFit(1.25, 1.2, 1.3, 1.0, 1.1)), "mine", file)
    assert tomllib.loads(file.read_text())["pairs"]["mine"] == {
        "base_temperature": 1.25,
        "guide_temperature": 1.25,
        "base": spec.pair.base,
        "guide": spec.pair.guide,
    }
    assert "fitted by blendin check" in file.read_text()


def _with_fits(report, fit):
    return replace(
        report, calibration={role: replace(found, fit=fit) for role, found in report.calibration.items()}
    )
