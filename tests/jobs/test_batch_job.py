"""A batch run from Python, on toy models."""

from __future__ import annotations

import json

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs import BatchResult, BatchSpec, run_batch
from blendin_local.jobs.batch.progress import BatchProgress
from blendin_local.pair.resolve import PairSpec
from tests.jobs.batches import ids, lines, questions, write_rows
from tests.toys import make_toy

N_ROWS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two toy models."""
    folder = tmp_path_factory.mktemp("job")
    make_toy(folder / "base.gguf", "plain", template=None)
    make_toy(folder / "guide.gguf", "plain", seed=1)
    return folder


@pytest.fixture
def spec(folder, tmp_path, monkeypatch):
    """Twelve prompts for the toys, with paths as strings."""
    monkeypatch.setenv("BLENDIN_CACHE", str(tmp_path / "cache"))
    source = write_rows(tmp_path / "p.jsonl", questions(N_ROWS))
    pair = PairSpec(
        base=str(folder / "base.gguf"),
        guide=str(folder / "guide.gguf"),
        base_settings={"threads": 1, "ctx_size": 256},
        guide_settings={"threads": 1, "ctx_size": 256},
        answer={"max_tokens": 8},
    )
    return BatchSpec(str(source), str(tmp_path / "a.jsonl"), pair=pair, n_parallel=1)


def files_of(spec):
    return sorted(path.name for path in spec.paths.answers.parent.glob("a.*"))


def with_fields(spec, **fields):
    return BatchSpec(**{**vars(spec), **fields})


def test_a_batch_in_a_call(spec, capfd):
    """Every row is answered and counted, progress and notes reach the callbacks, and nothing is printed."""
    heard, notes = [], []
    result = run_batch(spec, on_progress=heard.append, on_note=notes.append)

    assert isinstance(result, BatchResult)
    assert (result.progress.answered, result.progress.left, result.stopped) == (N_ROWS, 0, False)
    assert [line["custom_id"] for line in result.answers()] == [f"id-{i}" for i in range(N_ROWS)]
    assert list(result.answers()) == lines(spec.paths.answers)
    assert (heard[0].finished_now, heard[0].tokens_now) == (0, 0)
    assert heard[-1].finished_now == N_ROWS
    assert all(isinstance(progress, BatchProgress) for progress in heard)
    assert notes == [f"{N_ROWS} rows; 1 at once"]
    assert capfd.readouterr() == ("", "")
    assert json.loads(spec.paths.manifest.read_text())["state"] == "finished"
    assert result.to_json()["state"] == "finished"


@pytest.mark.slow
def test_a_stopped_batch_is_resumed_by_the_same_spec(spec):
    """The result says it was stopped; the next call answers the other rows, and a third loads nothing."""
    finished = []

    def on_progress(progress):
        finished.append(progress.finished_now)

    first = run_batch(spec, on_progress=on_progress, should_stop=lambda: finished[-1:] == [4])
    kept = ids(spec.paths.answers)
    second = run_batch(spec)
    heard = []
    third = run_batch(spec, on_progress=heard.append)

    assert (first.stopped, first.progress.answered, first.progress.left) == (True, 4, N_ROWS - 4)
    assert (second.stopped, second.progress.finished_now, second.progress.left) == (False, N_ROWS - 4, 0)
    assert ids(spec.paths.answers)[:4] == kept
    assert (third.progress.answered, third.progress.finished_now, heard) == (N_ROWS, 0, [])


def test_stopped_while_rows_are_read_or_models_loaded(spec):
    """It returns a result that says so, and leaves no files."""
    polls = iter(range(1, 10_000))
    for when in (1, N_ROWS + 3):
        result = run_batch(spec, should_stop=lambda when=when: next(polls) > when)
        assert result.stopped
        assert result.progress.answered == 0
        assert files_of(spec) == []


def test_overwriting_needs_a_yes(spec):
    """Without `confirm` it is an error, a no changes nothing, and with a yes the rows are answered anew."""
    run_batch(with_fields(spec, limit=3))
    before, again = spec.paths.answers.read_bytes(), with_fields(spec, limit=2, overwrite=True)
    asked = []

    with pytest.raises(UsageError, match=r"needs a yes: delete the answers in .*a\.jsonl"):
        run_batch(again)
    with pytest.raises(UsageError, match="nothing was changed"):
        run_batch(again, confirm=lambda question: bool(asked.append(question)))
    assert spec.paths.answers.read_bytes() == before
    assert run_batch(again, confirm=lambda _: True).progress.answered == 2
    assert len(ids(spec.paths.answers)) == 2
    assert len(asked) == 1


@pytest.mark.slow
def test_adopting_describes_what_is_there(spec):
    """The question comes after lines that describe it; with a yes the batch is resumed."""
    run_batch(with_fields(spec, limit=3))
    spec.paths.manifest.unlink()
    asked = []
    with pytest.raises(UsageError, match=r"exists, but not a\.manifest\.json"):
        run_batch(spec)
    with pytest.raises(UsageError, match=r"needs a yes: adopt them, and write .*a\.manifest\.json"):
        run_batch(with_fields(spec, adopt=True))
    result = run_batch(with_fields(spec, adopt=True), confirm=lambda text: not asked.append(text))

    assert "3 rows answered" in asked[0].splitlines()[0]
    assert (result.progress.answered, result.progress.finished_now) == (N_ROWS, N_ROWS - 3)
    with pytest.raises(UsageError, match="both overwritten and adopted"):
        run_batch(with_fields(spec, adopt=True, overwrite=True))


def test_a_dry_run_counts_and_writes_nothing(spec):
    """No model needs to be there."""
    missing = PairSpec(base="missing.gguf", guide="missing.gguf")
    result = run_batch(with_fields(spec, pair=missing, dry_run=True, shard="2/5"))

    assert (result.dry_run, result.rows, result.progress.wanted) == (True, N_ROWS, 3)
    assert result.to_json()["state"] == "dry run"
    assert files_of(spec) == []


def test_invalid_rows_are_noted_or_recorded(spec):
    """Each is noted before the error that counts them; with `skip_invalid` they are recorded as errors."""
    write_rows(spec.paths.source, [*questions(2), {"prompt": 5}])
    notes = []
    with pytest.raises(UsageError, match="1 of 3 rows"):
        run_batch(spec, on_note=notes.append)
    assert notes == [f"{spec.source}:3: prompt is not a text"]
    assert files_of(spec) == []

    result = run_batch(with_fields(spec, skip_invalid=True))
    assert (result.invalid, result.progress.answered, result.progress.failed) == (1, 2, 1)
    assert lines(spec.paths.errors)[0]["error"]["code"] == "bad_row"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shard": "x"}, "shard 'x'"),
        ({"shard": "4/3"}, "shard 4/3"),
        ({"pair": PairSpec(exact_prompts={"base": "x"})}, "exact prompts"),
    ],
)
def test_wrong_specs(spec, fields, words):
    """Each is an error that says what is wrong, before anything is read."""
    with pytest.raises(UsageError, match=words):
        run_batch(with_fields(spec, **fields))
