"""`blendin batch` as a user meets it: fresh processes on toy models, killed, stopped and gone on with."""

from __future__ import annotations

import datetime
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.cli_runner import blendin, environment, one_line_error, start
from tests.paths import ROOT
from tests.toys import make_toy

N_ROWS = 150
SPEED = ("-t", "1", "--no-loop-guard", "--parallel", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two toys and a file of questions."""
    folder = tmp_path_factory.mktemp("batch")
    make_toy(folder / "base.gguf", "sliding")
    make_toy(folder / "guide.gguf", "plain", seed=1)
    rows = [
        {"custom_id": f"id-{i}", "prompt": f"hello the world {i}", "max_tokens": 20} for i in range(N_ROWS)
    ]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def arguments(folder, tmp_path):
    """Of a batch on the toys with an output of its own."""

    def build(*more, source="p.jsonl", out="a.jsonl"):
        models = ("--base", folder / "base.gguf", "--guide", folder / "guide.gguf")
        return ["batch", folder / source, "-o", tmp_path / out, *models, *SPEED, *more]

    return build


@pytest.fixture
def cache(tmp_path):
    return {"BLENDIN_CACHE": str(tmp_path / "cache")}


def lines(path):
    data = path.read_bytes()
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def texts(path):
    """What every row got; an id that stands twice is a failure."""
    found = lines(path)
    by_id = {line["custom_id"]: line["text"] for line in found}
    assert len(by_id) == len(found)
    return by_id


def line_count(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_lines(path, n):
    deadline = time.monotonic() + 60
    while line_count(path) < n:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_one_at_a_time_is_the_same_as_run(folder, arguments, cache, tmp_path):
    """Row by row `--parallel 1` gives the steps that `run` gives in a fresh process."""
    code, out, err = blendin(*arguments("--limit", 5, "--steps", "--json"), **cache)
    assert code == 0, err
    assert json.loads(out)["counts"]["answered"] == 5
    models = ("--base", folder / "base.gguf", "--guide", folder / "guide.gguf", "-t", "1", "--no-loop-guard")
    for line, prompt in zip(lines(tmp_path / "a.jsonl"), lines(folder / "p.jsonl"), strict=False):
        alone = json.loads(blendin("run", prompt["prompt"], *models, "-n", 20, "--json")[1])
        for part in ("text", "steps", "end", "stopped_by", "signature"):
            assert line[part] == alone[part]


def test_killed_at_random_moments_and_gone_on_with(arguments, cache, tmp_path):
    """After 20 times SIGKILL the output has the rows of an uninterrupted run, each once, all lines whole."""
    assert blendin(*arguments(out="whole.jsonl"), **cache)[0] == 0
    whole, out = texts(tmp_path / "whole.jsonl"), tmp_path / "a.jsonl"
    moments, midst = random.Random(2), 0
    for turn in range(20):
        before = line_count(out)
        process = start(arguments(), cache)
        if turn % 4:  # else anywhere: while it starts, repairs or loads
            while line_count(out) <= before and process.poll() is None:
                time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.06 if turn % 4 else 0.9))
        process.kill()
        process.communicate()
        midst += before < line_count(out) < N_ROWS
        if line_count(out) == N_ROWS:
            assert texts(out) == whole
            for path in tmp_path.glob("a.*"):
                path.unlink()
    assert midst >= 10
    code, _, err = blendin(*arguments(), **cache)

    assert code == 0, err
    assert texts(out) == whole


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_stops_it_and_the_last_line_says_how_to_go_on(arguments, cache, tmp_path, number, code):
    """Finished rows are on disk, the manifest says stopped, and the same command does the rest."""
    process = start(arguments("--restart", "--yes"), cache)
    wait_for_lines(tmp_path / "a.jsonl", 3)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    finished = len(lines(tmp_path / "a.jsonl"))

    assert process.returncode == code
    last = err.decode().splitlines()[-1]
    assert last.startswith(f"stopped: {finished} of {N_ROWS} rows")
    assert "to resume: blendin batch" in last
    assert "--restart" not in last
    assert json.loads((tmp_path / "a.manifest.json").read_text())["state"] == "stopped"
    assert blendin(*arguments(), **cache)[0] == 0
    assert len(texts(tmp_path / "a.jsonl")) == N_ROWS


def test_a_closed_stderr_does_not_break_it(arguments, cache, tmp_path):
    """Neither a reader that goes away nor a stream that was never open."""
    read, write = os.pipe()
    process = start(arguments("--limit", 20), cache, stderr=write)
    os.close(read)
    os.close(write)
    assert process.wait(timeout=60) == 0
    assert len(texts(tmp_path / "a.jsonl")) == 20
    command = [sys.executable, "-m", "blendin_local", *map(str, arguments("--limit", 40))]
    closed = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 2>&- >&- <&-', "sh", *command],
        cwd=ROOT,
        env=environment(**cache),
        check=False,
    )
    assert closed.returncode == 0
    assert len(texts(tmp_path / "a.jsonl")) == 40


@pytest.mark.parametrize("env", [{}, {"TERM": "dumb"}])
def test_on_a_terminal(arguments, cache, tmp_path, env):
    """A bar, or lines on a dumb terminal; and a terminal that is closed does not stop the work."""
    main, other = pty.openpty()
    process = start(arguments(), {**cache, **env}, stderr=other)
    os.close(other)
    wait_for_lines(tmp_path / "a.jsonl", 5)
    shown = os.read(main, 100_000)
    os.close(main)

    assert process.wait(timeout=60) == 0
    assert (b"\x1b[" in shown) == (not env)
    assert len(texts(tmp_path / "a.jsonl")) == N_ROWS


def test_failed_rows_give_exit_code_6(folder, arguments, cache, tmp_path):
    """One line says how many and where; in --json the summary does, and stays the only thing on stdout."""
    rows = [{"prompt": "word " * 300}, {"prompt": "short"}]
    (folder / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = arguments("-c", 64, "-n", 4, source="long.jsonl")

    one_line_error(blendin(*wanted, **cache), 6, "1 of 2 rows", "a.errors.jsonl", "--retry-errors")
    code, out, _ = blendin(*wanted, "--json", **cache)
    assert code == 6
    assert json.loads(out)["counts"]["failed"] == 1
    assert lines(tmp_path / "a.errors.jsonl")[0]["error"]["code"] == "context_full"


def test_bad_rows_are_all_said_before_anything_is_loaded(folder, arguments, cache, tmp_path):
    """Each with file and line; nothing is written. --skip-bad goes on without them."""
    (folder / "bad.jsonl").write_text('{"prompt": "x"}\nnonsense\n{"prompt": 5}\n')
    wanted = arguments("-n", 2, source="bad.jsonl")
    result = blendin(*wanted, **cache)

    one_line_error(result, 2, "bad.jsonl:2: ", "bad.jsonl:3: ", "2 of 3 rows", "--skip-invalid")
    assert not list(tmp_path.glob("a.*"))
    assert blendin(*wanted, "--skip-bad", **cache)[0] == 6
    assert list(texts(tmp_path / "a.jsonl")) == ["line-1"]
    assert len(lines(tmp_path / "a.errors.jsonl")) == 2


def test_a_dry_run_writes_nothing(arguments, cache, tmp_path):
    """It counts, and needs no models that can be loaded."""
    code, _, err = blendin(*arguments("--dry-run", "--shard", "2/4"), **cache)

    assert code == 0
    assert f"{N_ROWS} rows; this run selects 38 of them" in err
    assert list(tmp_path.glob("a.*")) == []


def test_other_settings_need_a_restart(arguments, cache, tmp_path):
    """They are refused; --restart wants a yes; with it the old answers are gone."""
    assert blendin(*arguments("--limit", 3), **cache)[0] == 0

    one_line_error(
        blendin(*arguments("--threshold", 0.9), **cache), 2, "threshold was 0.4, now 0.9", "--restart"
    )
    anew = arguments("--threshold", 0.9, "--limit", 2, "--restart")
    one_line_error(blendin(*anew, **cache), 2, "delete the answers in", "--yes")
    assert len(texts(tmp_path / "a.jsonl")) == 3
    assert blendin(*anew, "--yes", **cache)[0] == 0
    assert len(texts(tmp_path / "a.jsonl")) == 2


def test_shards_of_a_file_concatenate(arguments, cache, tmp_path):
    """Three machines do what one does."""
    assert blendin(*arguments("--limit", 9, out="whole.jsonl"), **cache)[0] == 0
    for part in (1, 2, 3):
        code, _, err = blendin(*arguments("--shard", f"{part}/3", "--limit", 3, out=f"{part}.jsonl"), **cache)
        assert code == 0, err
    joined = b"".join((tmp_path / f"{part}.jsonl").read_bytes() for part in (1, 2, 3))
    (tmp_path / "joined.jsonl").write_bytes(joined)

    assert texts(tmp_path / "joined.jsonl") == texts(tmp_path / "whole.jsonl")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--shard", "4/3"], ["shard 4/3"]),
        (["--shard", "x"], ["shard 'x'", "1/4"]),
        (["--field", "nothing"], ["no prompt"]),
        (["--base-prompt-file", "x"], ["x"]),
    ],
)
def test_wrong_options(arguments, cache, more, words):
    """Each is named with what would be right."""
    result = blendin(*arguments(*more), **cache)

    if more[0] == "--field":
        assert result[0] == 0  # `prompt` is still there
    else:
        one_line_error(result, 2, *words)


def test_an_input_that_is_the_output(folder, cache):
    """It is refused, and still there."""
    before = (folder / "p.jsonl").read_bytes()

    one_line_error(blendin("batch", folder / "p.jsonl", "-o", folder / "p.jsonl", **cache), 2, "input itself")
    assert (folder / "p.jsonl").read_bytes() == before


def test_nothing_left_loads_nothing(arguments, cache):
    """A finished batch says so at once."""
    assert blendin(*arguments("--limit", 2), **cache)[0] == 0
    code, _, err = blendin(*arguments("--limit", 2), **cache)

    assert code == 0
    assert "nothing is left; 2 rows answered" in err
    assert "at once" not in err


def test_a_lost_manifest_is_made_anew(arguments, cache, tmp_path):
    """Torn, it is an error that names --adopt, which shows what is there and wants a yes; then it goes on."""
    assert blendin(*arguments("--limit", 3), **cache)[0] == 0
    manifest = tmp_path / "a.manifest.json"
    whole = json.loads(manifest.read_text())
    os.truncate(manifest, 300)
    yesterday = datetime.date.today() - datetime.timedelta(days=1)
    answers = tmp_path / "a.jsonl"  # as if they had been written before midnight
    answers.write_text(answers.read_text().replace(whole["settings"]["date"], yesterday.isoformat()))
    whole["settings"]["date"] = yesterday.isoformat()
    one_line_error(blendin(*arguments("--limit", 3), **cache), 2, "a.manifest.json", "--adopt")
    refused = blendin(*arguments("--limit", 3, "--adopt"), **cache)
    one_line_error(refused, 2, "3 rows answered", "all settings are those of this run", "base.gguf", "--yes")
    assert manifest.stat().st_size == 300
    code, _, err = blendin(*arguments("--limit", 3, "--adopt", "--yes"), **cache)
    assert code == 0, err
    found = json.loads(manifest.read_text())
    assert (found["state"], found["settings"]) == ("finished", whole["settings"])
    code, _, err = blendin(*arguments("--limit", 4), **cache)
    assert code == 0, err
    assert len(texts(tmp_path / "a.jsonl")) == 4


def test_answers_of_other_settings_are_shown_before_adopting(folder, arguments, cache, tmp_path):
    """Each row's own settings are compared with those of the command."""
    assert blendin(*arguments("--limit", 2), **cache)[0] == 0
    (tmp_path / "a.manifest.json").unlink()
    result = blendin(*arguments("--limit", 2, "--adopt", "--threshold", 0.9), **cache)

    one_line_error(result, 2, "other settings in 2 rows", "id-0: blend.threshold was 0.4, now 0.9", "--yes")
    both = blendin(*arguments("--adopt", "--restart"), **cache)
    one_line_error(both, 2, "cannot be both overwritten and adopted")


def test_a_torn_last_line_is_told(arguments, cache, tmp_path):
    """It is cut off and its row asked again, and the user hears of it."""
    assert blendin(*arguments("--limit", 2), **cache)[0] == 0
    os.truncate(tmp_path / "a.jsonl", (tmp_path / "a.jsonl").stat().st_size - 5)
    code, _, err = blendin(*arguments("--limit", 2), **cache)

    assert code == 0
    assert "removed an incomplete last line of" in " ".join(err.split())
    assert "a.jsonl (" in " ".join(err.split())
    assert len(texts(tmp_path / "a.jsonl")) == 2


def test_an_output_that_is_renamed_while_it_is_written(arguments, cache, tmp_path):
    """The run ends with exit code 1 and says so; what it had written is whole."""
    process = start(arguments(), cache)
    wait_for_lines(tmp_path / "a.jsonl", 3)
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    _, err = process.communicate(timeout=30)

    one_line_error((process.returncode, "", err.decode()), 1, "a.jsonl was removed or renamed")
    assert len(texts(tmp_path / "b.jsonl")) >= 3
