"""Files of a batch that others touch: two writers, meddling, lost manifests, no descriptors left."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
from dataclasses import dataclass, replace

import pytest

from blendin_local.errors import UsageError, WriteError
from blendin_local.jobs.batch.batch import Batch
from blendin_local.jobs.batch.jsonl_file import AppendOnlyFile
from blendin_local.jobs.batch.manifest import Identity
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions, FinishedRows
from blendin_local.settings import BlendSettings
from tests.jobs.batches import (
    DEFAULTS,
    ScriptedAnswers,
    answered,
    ids,
    lines,
    opened,
    questions,
    run,
    scan,
    write_rows,
)

ROWS = 12
OTHERWISE = "blend.threshold was 0.3, now 0.4; models.base.size was 5, now 6"


@pytest.fixture
def source(tmp_path):
    """Twelve questions, two of which have no answer."""
    rows = questions(ROWS)
    for i in (1, 8):
        rows[i]["prompt"] = f"fail {i}"
    return write_rows(tmp_path / "p.jsonl", rows)


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "a.jsonl"


def errors_of(out):
    return out.with_name("a.errors.jsonl")


def manifest_path(out):
    return out.with_name("a.manifest.json")


def require_truth(source, out):
    """The manifest counts what the files hold."""
    kept = FinishedRows.read(scan(source)[0], BatchPaths.of(source, out)).progress(BatchOptions())
    counts = json.loads(manifest_path(out).read_text())["counts"]

    assert (counts["answered"], counts["failed"]) == (kept.answered, kept.failed)
    assert (counts["answered"], counts["failed"]) == (
        len(ids(out)) if out.exists() else 0,
        len(ids(errors_of(out))) if errors_of(out).exists() else 0,
    )


def require_all(out):
    """Every row stands once."""
    assert sorted(ids(out) + ids(errors_of(out))) == sorted(f"id-{i}" for i in range(ROWS))


def run_meddled(source, out, meddle, after):
    """A run in which something happens to its files when so many rows are finished."""
    with opened(source, out) as batch:

        def on_progress(progress):
            if progress.finished_now == after:
                meddle()

        batch.answer(ScriptedAnswers(), lambda: False, on_progress)


def rename(path):
    path.rename(path.with_name("elsewhere"))


def remove(path):
    path.unlink()


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def add(path):
    with path.open("ab") as file:
        file.write(b'{"custom_id": "id-0"}\n')


def edit(path):
    """As an editor that writes into the file, to the same length."""
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.write(data.replace(b"Re: ", b"No: ").replace(b"9 tokens", b"8 tokens"))


def rewrite(path):
    """As an editor that writes a new file and moves it there."""
    shutil.copy(path, path.with_name("new"))
    os.replace(path.with_name("new"), path)


def link_elsewhere(path):
    path.unlink()
    (path.parent / "other").write_bytes(b"")
    path.symlink_to(path.parent / "other")


def make_directory(path):
    path.unlink()
    path.mkdir()


MEDDLING = (rename, remove, truncate, empty, add, edit, rewrite, link_elsewhere, make_directory)


@pytest.mark.parametrize("after", [3, ROWS], ids=["while it runs", "after the last row"])
@pytest.mark.parametrize("of", [lambda out: out, errors_of], ids=["answers", "errors"])
@pytest.mark.parametrize("meddle", MEDDLING)
def test_meddling_with_a_file_ends_the_run_with_a_word(source, out, meddle, of, after):
    """Whatever happens to a file while it is written is named, exit 1; the manifest counts what is left."""
    path = of(out)
    with pytest.raises(
        WriteError, match=f"{path.name} .*(removed|another file|was truncated|something else|edited)"
    ):
        run_meddled(source, out, lambda: meddle(path), after)
    for file in (out, errors_of(out)):
        assert not file.is_file() or b"\0" not in file.read_bytes()
    if meddle in {add, make_directory} or (meddle is truncate and path != out):
        return  # what is there now cannot be counted
    if meddle is truncate:
        out.write_bytes(out.read_bytes().rpartition(b"\n")[0] + b"\n")
        out.write_bytes(out.read_bytes().lstrip(b"\n"))
    require_truth(source, out)


@pytest.mark.parametrize("meddle", [rename, remove, truncate, empty, rewrite])
def test_a_run_after_meddling_finishes_the_rows(source, out, meddle):
    """What the files no longer hold is asked again, and every row stands once."""
    with pytest.raises(WriteError):
        run_meddled(source, out, lambda: meddle(out), 5)
    run(source, out)

    require_all(out)
    require_truth(source, out)


def test_what_is_missing_is_named(source, out):
    """The difference between what was written and what is there, row by row."""
    with pytest.raises(WriteError, match=r"no longer hold the results of rows 1, 3, 4, 5, 6 and 5 more"):
        run_meddled(source, out, lambda: remove(out), ROWS)


def test_fewer_answers_than_the_manifest_counts_are_told(source, out):
    """Rows lost between two runs are asked again, but not in silence."""
    run(source, out)
    os.truncate(out, out.read_bytes().index(b"\n") + 1)
    with opened(source, out) as batch:
        assert ["has 1 of the 10 answers" in note for note in batch.notes] == [True]


@pytest.mark.parametrize("meddle", MEDDLING)
def test_no_row_is_asked_for_a_file_that_is_no_longer_ours(source, out, meddle):
    """The check comes before each line: after the row at which it happens one more is asked, and no other."""
    pair = ScriptedAnswers()
    with opened(source, out) as batch, pytest.raises(WriteError):
        batch.answer(pair, lambda: False, lambda now: meddle(out) if now.finished_now == 3 else None)
    assert len(pair.seen) == 4


def test_a_cut_between_check_and_failed_write_leaves_no_hole(source, out, monkeypatch):
    """Taking back half a line never makes a file longer."""
    real = os.write

    def cut_and_fail(fd, data):
        if os.fstat(fd).st_size > 3000:
            os.truncate(out, 100)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(os, "write", cut_and_fail)
    with pytest.raises(WriteError, match="No space"):
        run(source, out)
    assert out.stat().st_size == 100


def test_a_file_replaced_between_opening_and_locking_is_opened_again(source, out, monkeypatch):
    """What is locked is what the path leads to."""
    from blendin_local.jobs.batch import jsonl_file

    replaced = []

    def replace_and_lock(fd):
        if not replaced:
            replaced.append(out.rename(out.with_name("elsewhere")))
        return jsonl_lock(fd)

    jsonl_lock = jsonl_file.try_lock
    monkeypatch.setattr(jsonl_file, "try_lock", replace_and_lock)
    run(source, out)
    require_all(out)
    assert replaced[0].read_bytes() == b""


def test_lines_added_between_reading_and_holding_are_seen(source, out, monkeypatch):
    """Nothing is cut off or written behind lines that were not read."""
    from blendin_local.jobs.batch import jsonl_file

    run(source, out, ScriptedAnswers(stop_after=3))
    line = out.read_bytes().splitlines(keepends=True)[0].replace(b"id-0", b"id-9")
    with out.open("ab") as file:
        file.write(b'{"custom')  # torn: what would be cut off
    real = jsonl_file.read_back

    def read_then_add(path, take):
        content = real(path, take)
        if path == out:
            with out.open("ab") as file:
                file.write(line)
        return content

    monkeypatch.setattr(jsonl_file, "read_back", read_then_add)
    with pytest.raises(WriteError, match="something else"):
        run(source, out)
    assert out.read_bytes().endswith(line)


def test_what_a_kill_left_of_a_manifest_is_used_again(source, out):
    """The half-written new file is neither in the way nor left behind."""
    (out.parent / ".a.manifest.json.new").write_text('{"vers')
    run(source, out)
    assert {path.name for path in out.parent.iterdir()} == {out.name, errors_of(out).name, "a.manifest.json"}


def test_a_new_time_or_mode_alone_is_no_meddling(source, out):
    """Backups and `touch` do not end a night's run."""

    def touch():
        os.utime(out, (1, 1))
        out.chmod(0o640)

    run_meddled(source, out, touch, 3)
    require_all(out)


def test_a_manifest_that_a_kill_left_behind_is_corrected(source, out):
    """Killed between the last row and the end, the next run has nothing to ask, and the manifest says so."""
    run(source, out)
    found = json.loads(manifest_path(out).read_text())
    found["state"], found["counts"]["answered"] = "running", 3
    manifest_path(out).write_text(json.dumps(found))
    with opened(source, out):
        pass

    assert json.loads(manifest_path(out).read_text())["state"] == "finished"
    require_truth(source, out)


@pytest.mark.parametrize("kind", ["symlink", "hard link", "same"])
def test_one_output_by_two_names_has_one_writer(source, out, kind):
    """The lock is on the file, whatever it is called."""
    other = out if kind == "same" else out.with_name("b.jsonl")
    with opened(source, out) as batch:
        if kind == "symlink":
            other.symlink_to(out)
        elif kind == "hard link":
            os.link(out, other)
        with pytest.raises(UsageError, match="another blendin batch"):
            run(source, other)
        batch.answer(ScriptedAnswers(), lambda: False, lambda _: None)
    require_all(out)


def test_removing_files_lets_no_second_writer_in(source, out):
    """Where the output itself is removed, a second run begins a new one, and the first one stops."""
    with opened(source, out) as first:

        def begin_second(progress):
            if progress.finished_now == 4:
                for path in out.parent.iterdir():
                    path.unlink()
                run(source, out)

        with pytest.raises(WriteError, match="replaced by another file"):
            first.answer(ScriptedAnswers(), lambda: False, begin_second)
    require_all(out)


def test_a_lock_that_is_refused_is_an_error(source, out, monkeypatch):
    """A file system without locks gets no writer that others could disturb."""

    def refuse(fd):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("blendin_local.jobs.batch.jsonl_file.try_lock", refuse)
    with pytest.raises(WriteError, match="cannot be written"):
        run(source, out)


def test_a_row_that_stands_twice_is_refused(source, out):
    """In one file or in both: which of the two counts is not ours to choose."""
    run(source, out)
    answers, failures = out.read_bytes(), errors_of(out).read_bytes()
    out.write_bytes(answers + answers.splitlines(keepends=True)[2])
    with pytest.raises(UsageError, match="'id-3' twice"):
        run(source, out)
    out.write_bytes(answers)
    both = {**lines(errors_of(out))[0], "row": 1, "custom_id": "id-0"}
    errors_of(out).write_bytes(failures + json.dumps(both).encode() + b"\n")
    with pytest.raises(UsageError, match="'id-0' twice"):
        run(source, out)


def test_no_file_is_left_where_nothing_was_written(source, out):
    """A run that is refused leaves no empty files behind."""
    manifest_path(out).write_text("[]")
    with pytest.raises(UsageError):
        run(source, out)
    assert [path.name for path in out.parent.iterdir()] == [manifest_path(out).name]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to set")
def test_no_free_descriptor_for_a_moment(source, out):
    """The file of errors is opened when descriptors are free again; every row is answered."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def use_up(progress):
        if progress.finished_now == 1:  # the next row is the first to fail
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            threading.Timer(0.3, resource.setrlimit, (resource.RLIMIT_NOFILE, (soft, hard))).start()

    try:
        with opened(source, out) as batch:
            batch.answer(ScriptedAnswers(), lambda: False, use_up)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    require_all(out)
    require_truth(source, out)


def test_no_free_descriptor_at_all(source, out, monkeypatch):
    """After some seconds it is an error, and what was finished is kept."""
    real = os.open

    def full(path, *arguments, **more):
        if str(path).endswith("errors.jsonl"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", full)
    monkeypatch.setattr("blendin_local.files.RETRY_DELAYS_S", (0.001,) * 3)
    with pytest.raises(WriteError, match="Too many open files"):
        run(source, out)
    assert ids(out) == ["id-0"]


@dataclass
class Signed(ScriptedAnswers):
    """Answers that carry the settings they were made with, as those of a pair do."""

    threshold: float = 0.4

    def answer_all(self, requests, **more):
        """Sign them."""
        for request, outcome in super().answer_all(requests, **more):
            if hasattr(outcome, "signature"):
                blend = {"method": "blendin", "threshold": self.threshold, "alpha": "auto", "of_later": 1}
                models = {"base": {"file": "b.gguf", "size": 5}}
                answer, sampling = {"stop": ["\nQuestion:"]}, {"seed": 77}  # added by a pair, drawn by it
                signature = {"blend": blend, "answer": answer, "sampling": sampling, "models": models}
                outcome = replace(outcome, signature=signature)  # noqa: PLW2901
            yield request, outcome


def adopting(source, out, adopt, size=5, defaults=DEFAULTS):
    """Open a batch that takes answers over."""
    found, _ = scan(source, defaults=defaults)
    identity = Identity(
        {"sha256": found.sha256, "size": found.size},
        {"base": {"file": "b.gguf", "size": size, "sha256": "x"}},
        {"blend": {"threshold": 0.4}, "base": {"kv_type": "f16"}},
    )
    return Batch.open(found, BatchPaths.of(source, out), BatchOptions(), identity, {}, adopt=adopt)


def test_answers_without_a_manifest_name_the_way_back(source, out):
    """Lost or torn at any byte, the error says how to make it anew, and nothing is touched."""
    run(source, out)
    manifest, answers = manifest_path(out).read_bytes(), out.read_bytes()
    for end in [None, *range(0, len(manifest) - 2, 7)]:
        manifest_path(out).unlink(missing_ok=True)
        if end is not None:
            manifest_path(out).write_bytes(manifest[:end])
        with pytest.raises(UsageError) as refused:
            run(source, out)
        assert "--adopt" in refused.value.hint
        assert out.read_bytes() == answers


def test_a_manifest_is_made_anew_from_input_and_output(source, out):
    """What is there is told first; taken over, it has a manifest again, and only what is left is asked."""
    run(source, out, Signed(stop_after=7))
    for torn in (False, True):
        manifest_path(out).unlink()
        if torn:
            manifest_path(out).write_text('{"version": 1, "sta')
        seen = []
        with adopting(source, out, seen.append) as batch:
            assert batch.progress().left == ROWS - 7
        [found] = seen

        assert (found.answered, found.failed, found.without_settings, found.differing) == (6, 1, 0, {})
        assert json.loads(manifest_path(out).read_text())["state"] == "stopped"
        require_truth(source, out)
    pair = ScriptedAnswers()
    with adopting(source, out, None) as batch:
        batch.answer(pair, lambda: False, lambda _: None)
    assert len(pair.seen) == ROWS - 7
    require_all(out)


def test_nothing_is_taken_over_where_the_user_says_no(source, out):
    """Not even a torn line is cut."""
    run(source, out)
    manifest_path(out).unlink()
    with out.open("ab") as file:
        file.write(b'{"custom')
    before = out.read_bytes()

    def refuse(found):
        assert found.torn == len(b'{"custom')
        raise UsageError("nothing was done", "")

    with pytest.raises(UsageError, match="nothing was done"), adopting(source, out, refuse):
        pass
    assert out.read_bytes() == before
    assert not manifest_path(out).exists()


def test_answers_of_other_settings_are_shown_before_they_are_taken_over(source, out):
    """Threshold and model of each answer are compared with this run's; answers without any are counted."""
    run(source, out, Signed(threshold=0.3, stop_after=3))
    manifest_path(out).unlink()
    seen = []
    with adopting(source, out, seen.append, size=6):
        pass
    assert seen[0].differing == dict.fromkeys(
        ("id-0", "id-2"), "blend.threshold was 0.3, now 0.4; models.base.size was 5, now 6"
    )
    for path in (out, errors_of(out), manifest_path(out)):
        path.unlink()
    run(source, out)
    manifest_path(out).unlink()
    with adopting(source, out, seen.append):
        pass
    assert (seen[1].without_settings, seen[1].differing) == (10, {})


def test_a_setting_that_an_answer_does_not_mention_had_its_default(source, out):
    """Answers of a version that had no dial are not taken for those of another dial."""
    run(source, out, Signed(stop_after=3))
    manifest_path(out).unlink()
    seen = []
    with adopting(source, out, seen.append, defaults=replace(DEFAULTS, blend=BlendSettings(dial=1.5))):
        pass
    assert seen[0].differing == dict.fromkeys(("id-0", "id-2"), "blend.dial was 1.0, now 1.5")


def test_only_rows_of_this_input_are_taken_over(source, out):
    """A row that stands twice, or that the input does not have, stops it."""
    run(source, out)
    manifest_path(out).unlink()
    answers = out.read_bytes()
    out.write_bytes(answers + answers.splitlines(keepends=True)[0])
    with pytest.raises(UsageError, match="twice"), adopting(source, out, lambda _: None):
        pass
    out.write_bytes(answers)
    write_rows(source, questions(3))
    with pytest.raises(UsageError, match="not in the input"), adopting(source, out, lambda _: None):
        pass


def test_a_sound_manifest_is_never_overruled(source, out):
    """Taking over is for answers that have none: other settings stay refused."""
    run(source, out, threshold=0.9)
    with pytest.raises(UsageError, match="other settings"), adopting(source, out, lambda _: None):
        pass


MUTATED = (
    None,
    True,
    5,
    -1,
    1e400,
    "x",
    [],
    {},
    [{}],
    {"seconds": "x"},
    {"seconds": None},
    {"seconds": 10**400},
)


@pytest.mark.slow
def test_manifests_of_every_shape_end_as_one_error(source, out):
    """Each part replaced by each kind of value: refused or gone on with, never a traceback."""
    run(source, out, ScriptedAnswers(stop_after=4))
    whole = json.loads(manifest_path(out).read_text())
    for part in whole:
        for value in MUTATED:
            manifest_path(out).write_text(json.dumps({**whole, part: value}))
            try:
                with opened(source, out):
                    pass
            except UsageError as error:
                assert "\n" not in error.message  # noqa: PT017


def test_lines_of_evaluations_are_held_too(tmp_path):
    """An append-only file outside a batch has the same lock and the same checks."""
    path = tmp_path / "readings.jsonl"
    with AppendOnlyFile.locked(path) as file:
        file.read(lambda line: line["custom_id"])
        file.append({"custom_id": "a"})
        with pytest.raises(UsageError, match="another"), AppendOnlyFile.locked(path):
            pass
        path.write_bytes(b"")
        with pytest.raises(WriteError, match="was truncated"):
            file.append({"custom_id": "b"})


def test_the_scripted_failures_are_the_ones_meant(source):
    """Rows 1 and 8 fail, so that the file of errors exists early and late."""
    found, _ = scan(source, defaults=DEFAULTS)
    outcomes = [answered(row.request) for row in found.read()]
    assert [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Exception)] == [1, 8]
