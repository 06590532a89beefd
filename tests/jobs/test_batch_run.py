"""What a batch keeps, whatever happens to it. The pair is scripted; nothing here needs llama.cpp."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from blendin_local.core.record_json import completion_to_json
from blendin_local.errors import UsageError, WriteError
from blendin_local.jobs.batch.formats import answer_line
from blendin_local.jobs.batch.paths import BatchPaths
from blendin_local.jobs.batch.progress import BatchOptions, Shard
from blendin_local.jobs.batch.resume import remove_results
from blendin_local.jobs.batch.rows import Row
from blendin_local.jobs.preparation import n_parallel_within
from tests.jobs.batches import ScriptedAnswers, ids, lines, opened, questions, run, scan, write_rows
from tests.paths import ROOT


@pytest.fixture
def source(tmp_path):
    """Thirty questions, three of which have no answer."""
    rows = questions(30)
    for i in (4, 11, 29):
        rows[i]["prompt"] = f"fail {i}"
    return write_rows(tmp_path / "p.jsonl", rows)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "answers.jsonl"


@pytest.fixture
def without_waiting(monkeypatch):
    """Leave it to the system when bytes reach the disk: the test reads them back at once."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def errors_of(out):
    return out.with_name("answers.errors.jsonl")


def manifest_of(out):
    return json.loads(out.with_name("answers.manifest.json").read_text())


def test_answers_errors_and_manifest(source, out):
    """A line per row as in `run --json`, failures with their reason, and a manifest that adds up."""
    progress = run(source, out)
    manifest, first = manifest_of(out), lines(out)[0]

    assert (progress.answered, progress.failed, progress.left) == (27, 3, 0)
    assert first["text"] == "Re: question é 0"
    assert "steps" not in first
    assert [line["custom_id"] for line in lines(errors_of(out))] == ["id-4", "id-11", "id-29"]
    assert lines(errors_of(out))[0]["line"] == 5
    assert lines(errors_of(out))[0]["error"]["code"] == "context_full"
    assert manifest["state"] == "finished"
    assert manifest["counts"] == {"wanted": 30, "answered": 27, "failed": 3, "left": 0, "finished_now": 30}
    assert manifest["blend"]["intervention_rate"] == 0.5
    assert set(manifest["times"]) == {"first_started", "started", "ended", "seconds"}
    assert not list(out.parent.glob("*.lock"))


def test_steps_are_kept_where_wanted(source, out):
    """With --steps a line is all of `run --json`, the question included."""
    pair = ScriptedAnswers()
    run(source, out, pair, BatchOptions(with_steps=True, limit=1))

    [(_, outcome)] = list(ScriptedAnswers().answer_all(pair.seen))
    asked = {"messages": [{"role": "user", "content": "question é 0"}]}
    assert lines(out) == [
        {"custom_id": "id-0", **asked, **json.loads(json.dumps(completion_to_json(outcome)))}
    ]


def test_rows_of_openai_get_its_response_form(tmp_path, out):
    """Readers of OpenAI's batch output find what they look for; failures too."""
    messages = [{"role": "user", "content": "hi"}]
    rows = [
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": messages}},
        {"custom_id": "b", "url": "/v1/completions", "body": {"prompt": "hi"}},
        {"custom_id": "c", "url": "/v1/completions", "body": {"prompt": "fail"}},
    ]
    source = write_rows(tmp_path / "p.jsonl", rows)
    run(source, out)
    chat, completion = lines(out)
    [failed] = lines(errors_of(out))

    assert chat["response"]["status_code"] == 200
    assert chat["error"] is None
    body = chat["response"]["body"]
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Re: hi"}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["object"] == "chat.completion"
    assert body["blend"]["asked"] == 1
    assert completion["response"]["body"]["choices"][0]["text"] == "Re: hi"
    assert (failed["response"], failed["error"]["code"]) == (None, "context_full")
    assert run(source, out).finished_now == 0


@pytest.mark.parametrize("parallel", [1, 4])
def test_what_is_finished_is_not_asked_again(source, out, parallel):
    """Stopped in the middle and begun again: each row once, rows under way dropped."""
    first = run(source, out, ScriptedAnswers(parallel, stop_after=10))
    pair = ScriptedAnswers(parallel)
    second = run(source, out, pair)

    assert first.finished_now == 10
    assert second.finished_now == len(pair.seen) == 20
    assert sorted(ids(out) + ids(errors_of(out))) == sorted(f"id-{i}" for i in range(30))
    assert manifest_of(out)["counts"]["answered"] == 27
    assert second.blend.steps == 54


def test_a_stopped_run_says_so_in_its_manifest(source, out):
    """`stopped` until all rows are finished."""
    run(source, out, ScriptedAnswers(stop_after=10))

    assert manifest_of(out)["state"] == "stopped"
    assert manifest_of(out)["counts"]["left"] == 20


@pytest.mark.slow
def test_output_truncated_anywhere_is_repaired(source, out, without_waiting):
    """After each of 200 cuts at random bytes, going on gives every row once and only whole lines."""
    run(source, out)
    whole, wanted = out.read_bytes(), sorted(ids(out))
    paths = random.Random(4).sample(range(len(whole)), 200)
    for place in [0, len(whole) - 1, *paths]:
        out.write_bytes(whole[:place])
        run(source, out)
        assert sorted(ids(out)) == wanted, place


def test_errors_truncated_anywhere_are_repaired(source, out, without_waiting):
    """The same for the file of errors."""
    run(source, out)
    path = errors_of(out)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place])
        run(source, out)
        assert path.read_bytes() == whole, place


def test_a_torn_last_line_is_cut_off_and_told(source, out):
    """Bytes without a line end, such as zeros after a power failure, are what a crash left of a line."""
    run(source, out)
    wanted = sorted(ids(out))
    for tail in (b"\0" * 100, b'{"custom_id": "id-', b"\xff"):
        with out.open("ab") as file:
            file.write(tail)
        with opened(source, out) as batch:
            [note] = batch.notes
        assert f"{len(tail)} bytes" in note
        assert "incomplete last line" in note
        assert sorted(ids(out)) == wanted


def test_a_whole_last_line_that_is_not_ours_is_not_cut(source, out):
    """Edited or written by something else, it is named; nothing is cut, and no row asked again in silence."""
    run(source, out)
    kept = out.read_bytes()
    edited = kept[:-3] + b"\n"
    for whole in (edited, kept + b"{}\n", kept + b"\xff\n", kept + b"\n", kept + b'\0\0"}\n'):
        out.write_bytes(whole)
        with pytest.raises(UsageError, match=f"line {whole.count(bytes([10]))} of .*edited"):
            run(source, out)
        assert out.read_bytes() == whole


def test_foreign_lines_are_refused(source, out):
    """What is in the middle of the file, or of another input, is not ours to drop."""
    run(source, out)
    whole = out.read_bytes()
    out.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(UsageError, match="line 1"):
        run(source, out)
    other = json.dumps({**lines_of(whole)[0], "custom_id": "other"}).encode()
    out.write_bytes(whole + other + b"\n")
    with pytest.raises(UsageError, match="other"):
        run(source, out)


def lines_of(data):
    return [json.loads(line) for line in data.splitlines()]


def test_other_settings_are_refused(source, out):
    """The difference is named; nothing is touched."""
    run(source, out, ScriptedAnswers(stop_after=3), threshold=0.4)
    before = out.read_bytes()

    with pytest.raises(UsageError, match=r"threshold was 0\.4, now 0\.5"):
        run(source, out, threshold=0.5)
    assert out.read_bytes() == before


def test_a_changed_input_is_refused(source, out):
    """Answers to other prompts are not mixed in."""
    run(source, out, ScriptedAnswers(stop_after=3))
    source.write_text(source.read_text().replace("question", "other question"))

    with pytest.raises(UsageError, match="prompts have changed"):
        run(source, out)


def test_an_input_that_changes_while_it_is_answered(source, out):
    """The run ends with a clear word; what was finished is kept. A new time alone is no change."""
    with opened(source, out) as batch:
        changes = iter([lambda: os.utime(source, (1, 1)), lambda: source.write_text("{}\n")])
        with pytest.raises(UsageError, match="was changed"):
            batch.answer(ScriptedAnswers(), lambda: False, lambda _: next(changes, lambda: None)())
    assert len(ids(out)) == 2


def test_begin_anew(source, out):
    """--restart drops the files of a batch, and only those."""
    paths = BatchPaths.of(source, out)
    run(source, out, threshold=0.4)
    remove_results(paths)
    assert sorted(path.name for path in out.parent.iterdir()) == ["p.jsonl"]
    out.write_text("precious")
    with pytest.raises(UsageError, match=r"exists, but not answers\.manifest\.json"):
        remove_results(paths)
    with pytest.raises(UsageError, match=r"exists, but not answers\.manifest\.json"):
        run(source, out)
    assert out.read_text() == "precious"


def test_a_manifest_that_is_none(source, out):
    """Somebody else's file of that name is left alone."""
    out.with_name("answers.manifest.json").write_text("[]")

    with pytest.raises(UsageError, match="manifest"):
        run(source, out)


def test_failed_rows_are_asked_again_on_request(source, out):
    """Without --retry-errors they count as finished."""
    run(source, out)
    assert run(source, out).finished_now == 0
    pair = ScriptedAnswers()
    progress = run(source, out, pair, BatchOptions(retry_errors=True))

    assert [request.key for request in pair.seen] == ["id-4", "id-11", "id-29"]
    assert progress.failed == 3
    assert len(lines(errors_of(out))) == 3


def test_bad_rows_are_recorded_once(tmp_path, out):
    """With --skip-bad they stand in the errors, and asking again does not help them."""
    rows = [{"prompt": "x"}, {"prompt": ""}, {"prompt": "fail"}, {"custom_id": "line-1", "prompt": "double"}]
    source = write_rows(tmp_path / "p.jsonl", rows)
    for options in (BatchOptions(), BatchOptions(), BatchOptions(retry_errors=True)):
        run(source, out, None, options)
        codes = {line["line"]: line["error"]["code"] for line in lines(errors_of(out))}
        assert codes == {2: "bad_row", 3: "context_full", 4: "bad_row"}
        assert len(lines(errors_of(out))) == 3
        assert ids(out) == ["line-1"]


def test_progress_is_told_before_a_row_is_finished(source, out, monkeypatch):
    """Long rows are not silence: between evaluations the listener hears of tokens of unfinished rows."""
    monkeypatch.setattr("blendin_local.jobs.batch.batch.REPORT_EVERY_S", -1.0)
    heard = []
    with opened(source, out) as batch:
        batch.answer(ScriptedAnswers(), lambda: False, heard.append)

    assert (heard[0].finished_now, heard[0].tokens_now) == (0, 3)
    assert (heard[-1].finished_now, heard[-1].tokens_now) == (heard[-1].wanted, 3 * heard[-1].wanted)


def test_a_limit_takes_the_first_rows(source, out):
    """The same limit again does nothing more; none goes on to the end."""
    options = BatchOptions(limit=6)

    assert run(source, out, None, options).finished_now == 6
    assert run(source, out, None, options).finished_now == 0
    assert sorted(ids(out) + ids(errors_of(out))) == sorted(f"id-{i}" for i in range(6))
    assert run(source, out).finished_now == 24


@pytest.mark.parametrize("of", [1, 2, 7, 40])
def test_shards_make_up_the_whole(source, tmp_path, out, of):
    """Each row is in one shard, and the outputs put one after another are the output of one run."""
    run(source, out)
    parts = []
    for part in range(1, of + 1):
        place = tmp_path / f"part-{part}.jsonl"
        run(source, place, None, BatchOptions(Shard(part, of)))
        parts += lines(place) if place.exists() else []

    def text_of(records):
        return sorted((record["custom_id"], record["text"]) for record in records)

    assert text_of(parts) == text_of(lines(out))


def test_a_shard_that_does_not_exist():
    """Parts are counted from 1."""
    for part, of in ((0, 2), (3, 2), (1, 0)):
        with pytest.raises(UsageError, match="shard"):
            Shard(part, of)


def test_the_input_is_never_written_to(source, tmp_path):
    """By no name: itself, a link, or one of the files beside the output."""
    (tmp_path / "link.jsonl").symlink_to(source)
    os.link(source, tmp_path / "hard.jsonl")
    for name in ("p.jsonl", "link.jsonl", "hard.jsonl"):
        with pytest.raises(UsageError, match="input itself"):
            BatchPaths.of(source, tmp_path / name)
    errors = write_rows(tmp_path / "a.errors.jsonl", questions(2))
    with pytest.raises(UsageError, match="input itself"):
        BatchPaths.of(errors, tmp_path / "a.jsonl")


def test_outputs_that_cannot_be(source, tmp_path):
    """No directory, or no file."""
    for out in (tmp_path / "no" / "a.jsonl", tmp_path):
        with pytest.raises(UsageError):
            BatchPaths.of(source, out)


def test_two_runs_at_once_are_refused(source, out):
    """The second is told, and the first goes on."""
    with opened(source, out) as batch:
        with pytest.raises(UsageError, match="another blendin batch"):
            run(source, out)
        batch.answer(ScriptedAnswers(), lambda: False, lambda _: None)
    assert len(ids(out)) == 27


@dataclass
class FullDisk:
    """`os.write` of a disk with so many bytes left: it writes a part, then refuses."""

    room: int

    def write(self, fd, data):
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = REAL_WRITE(fd, data[: self.room])
        self.room -= written
        return written


REAL_WRITE = os.write


@pytest.mark.parametrize("room", [0, 1, 1500, 4321])
def test_a_full_disk_loses_nothing(source, out, room, monkeypatch):
    """One clear error, whole lines on disk, and the next run goes on."""
    monkeypatch.setattr("blendin_local.jobs.batch.jsonl_file.os.write", FullDisk(room).write)
    with pytest.raises(WriteError, match="No space left"):
        run(source, out)
    monkeypatch.undo()
    kept = ids(out) if out.exists() else []

    assert len(kept) == len(set(kept))
    run(source, out)
    assert ids(out)[: len(kept)] == kept
    assert sorted(ids(out) + ids(errors_of(out))) == sorted(f"id-{i}" for i in range(30))


def test_a_file_size_limit_of_the_system(source, out):
    """The same with a real refusal of the kernel."""
    code = f"""
import resource
from pathlib import Path
from blendin_local.errors import WriteError
from tests.jobs.batches import run
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    run(Path({str(source)!r}), Path({str(out)!r}))
except WriteError as error:
    print(error.message)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )

    assert "cannot be written" in done.stdout
    assert 0 < len(ids(out)) < 27
    assert run(source, out).left == 0
    assert len(set(ids(out))) == 27


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_100_000_rows_stay_under_a_memory_line(tmp_path):
    """From 10,000 to 100,000 rows memory grows by less than 100 bytes a row."""
    code = """
import sys
from pathlib import Path
import os
from tests.jobs.batches import ForgetfulAnswers, run
os.fsync = lambda fd: None
run(Path(sys.argv[1]), Path(sys.argv[2]), ForgetfulAnswers())
run(Path(sys.argv[1]), Path(sys.argv[2]), ForgetfulAnswers())
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) * 1024)
"""
    peaks = []
    for n in (10_000, 100_000):
        source = write_rows(tmp_path / f"{n}.jsonl", questions(n, "word " * 10))
        arguments = [sys.executable, "-c", code, source, tmp_path / f"out-{n}.jsonl"]
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
        peaks.append(int(done.stdout))

    assert len(ids(tmp_path / "out-100000.jsonl")) == 100_000
    assert peaks[1] - peaks[0] < 90_000 * 100


def test_an_answer_line_is_one_line(tmp_path):
    """Line breaks of every kind in an answer stay within its JSON."""
    path = write_rows(tmp_path / "p.jsonl", [{"prompt": "a\nb\u2028c\x85\x0b\x00"}])
    out = tmp_path / "a.jsonl"
    run(path, out)
    found, _ = scan(path)
    [row] = found.read()

    assert isinstance(row, Row)
    assert lines(out)[0]["text"] == "Re: a\nb\u2028c\x85\x0b\x00"
    [(_, outcome)] = list(ScriptedAnswers().answer_all([row.request]))
    assert answer_line(row, outcome, with_steps=False)["custom_id"] == "line-1"


@pytest.mark.parametrize(
    ("machine", "need", "rows", "parallel"),
    [
        ((2, 10_000), (1000, 100), 64, 16),
        ((1, 10_000), (1000, 100), 64, 8),
        ((64, 10_000), (1000, 100), 64, 32),
        ((64, 10_000), (1000, 1000), 64, 4),
        ((2, 1000), (2000, 100), 64, 1),
        ((2, 10_000), (1000, 100), 3, 3),
        ((2, 10_000), (1000, 0), 64, 16),
    ],
)
def test_rows_at_once_by_cores_and_memory(machine, need, rows, parallel):
    """Eight a core, 32 at most, within half of the memory that is left, never more than there are rows."""
    assert n_parallel_within(*machine, *need, rows) == parallel
