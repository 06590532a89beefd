"""Traces and stored answers with anything in them: `replay` reports, or refuses in one line with code 2."""

from __future__ import annotations

import contextlib
import io
import json
import random
import subprocess
import sys

import pytest

from blendin_local.cli.common.failures import as_error
from blendin_local.cli.common.options import BlendOptions, TerminalOptions
from blendin_local.cli.common.screen import open_consoles
from blendin_local.cli.replay.command import show_replay
from blendin_local.errors import BlendinError, UsageError
from tests.hostile_text import HOSTILE, raw_controls
from tests.paths import ROOT
from tests.toys import make_toy

COLORED = TerminalOptions(color="on")
METHODS = [
    None,
    "base",
    "guide",
    "nudging",
    "blendin",
    "nudging-words",
    "capped",
    "agreement",
    "ensemble",
    "proxy",
]
VALUES = [
    *(None, True, False, 0, -1, 1, 2**63, 10**400, 1e308, -0.5, 1.5, float("nan"), float("inf")),
    *("", "x", HOSTILE, "\ud800", "nan", "7" * 5000),
    *([], [1], [[]], {}, {"a": {}}, [256], [-1], [0xF0, 0x9F]),
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A trace, the object of --json and JSON lines of a toy pair's answer."""
    folder = tmp_path_factory.mktemp("traces")
    base, guide = make_toy(folder / "base.gguf", "plain"), make_toy(folder / "guide.gguf", "plain", seed=1)
    command = ["run", "--base", base, "--guide", guide, "--no-loop-guard", "-n", "6", "--top-logprobs", "3"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "blendin_local",
            *map(str, command),
            "hi",
            "--json",
            "--trace",
            folder / "t.jsonl",
        ],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [(folder / "t.jsonl").read_text(), done.stdout.decode()]


class Terminal(io.StringIO):
    """Stdout where a person looks."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    return Terminal()


def problem_of(path, rng, terminal):
    """What is wrong with how a replay of this file ended; None if nothing."""
    terminal.seek(0)
    terminal.truncate()
    try:
        as_json = rng.random() < 0.3
        with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(io.StringIO()):
            blend = BlendOptions(method=rng.choice(METHODS))
            show_replay(path, blend, open_consoles(COLORED), as_json=as_json)
    except BlendinError as error:
        if error.exit_code not in {2, 5}:
            return f"exit code {error.exit_code}: {error.message}"
        if "\n" in error.message.strip():
            return f"more than a line: {error.message!r}"
        return None
    except Exception as error:  # noqa: BLE001 - what nobody foresaw is what is looked for
        return f"{as_error(error).message[:200]}"
    left = raw_controls(terminal.getvalue())
    return f"controls on the terminal: {left}" if left else None


@pytest.mark.slow
def test_a_mutated_trace_is_reported_or_refused(ledger, stored, tmp_path, terminal):
    """Values of any kind, lost keys, doubled and swapped lines, changed bytes, cuts."""
    path = tmp_path / "bad.jsonl"
    with ledger.kind("traces") as trials:
        for seed in range(ledger.count(150, 5000)):
            rng = random.Random(seed)
            path.write_bytes(mutated(rng.choice(stored), rng))
            trials.record(f"seed {seed}", problem_of(path, rng, terminal))


def mutated(text, rng):
    """The file with one to three things changed."""
    data = text.encode()
    for _ in range(rng.randrange(1, 4)):
        data = rng.choice([_value, _value, _value, _bytes, _lines, _cut])(data, rng)
    return data


def _value(data, rng):
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    try:
        record = json.loads(lines[at])
    except (ValueError, RecursionError):
        return data
    place = record
    while isinstance(place, dict | list) and len(place):
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        inner = place[key]
        if not isinstance(inner, dict | list) or not len(inner) or rng.random() < 0.15:
            if rng.random() < 0.3:
                del place[key]
            else:
                place[key] = rng.choice(VALUES)
            break
        place = inner
    lines[at] = json.dumps(record).encode()
    return b"\n".join(lines)


def _bytes(data, rng):
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _lines(data, rng):
    lines = data.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, lines[other])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at] = b"[" * rng.choice([1, 100_000])
    return b"\n".join(lines)


def _cut(data, rng):
    return data[: rng.randrange(len(data) + 1)]


def test_a_trace_in_which_every_text_is_hostile_is_shown_as_text(stored, tmp_path, terminal):
    """Names of models, tokens and reasons of a foreign trace are text on the terminal."""
    lines = [_hostile(json.loads(line)) for line in stored[0].splitlines()]
    (tmp_path / "evil.jsonl").write_text("\n".join(json.dumps(line) for line in lines))

    with contextlib.redirect_stdout(terminal):
        show_replay(tmp_path / "evil.jsonl", BlendOptions(), open_consoles(COLORED))

    assert terminal.getvalue()
    assert raw_controls(terminal.getvalue()) == []


def _hostile(value, key=""):
    """A record whose free texts hold controls; what is read as a word of ours stays."""
    free = {"text", "prompts", "base", "guide", "file", "name", "reason", "notices", "python", "machine"}
    if isinstance(value, dict):
        return {name: _hostile(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_hostile(inner, key) for inner in value]
    return (
        f"{value}{HOSTILE}".encode("utf-8", "replace").decode()
        if key in free and isinstance(value, str)
        else value
    )


def test_what_is_refused_is_refused_as_usage(tmp_path, terminal):
    """A file that is no trace at all: exit code 2."""
    (tmp_path / "x").write_text("\x1b[2J")

    with pytest.raises(UsageError):
        show_replay(tmp_path / "x", BlendOptions(), open_consoles(COLORED))
