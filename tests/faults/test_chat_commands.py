"""No command and no input ends a chat: random lines, hostile files, and what nobody foresaw."""

from __future__ import annotations

import io
import json
import os
import random

import pytest

from blendin_local.cli.chat.commands import ALIASES, COMMANDS, VIEWS
from blendin_local.cli.chat.loop import chat
from blendin_local.cli.chat.reader import open_history
from blendin_local.cli.chat.settings import SETTABLE
from blendin_local.cli.chat.state import ChatStart
from blendin_local.core.prompts import Message
from blendin_local.views.theme import make_console
from tests.scripted_pairs import ScriptedPair

LEAVING = {"/exit", "/bye", "/quit"}
CHARACTERS = "aZ0 9-=.,/\\'\"\t\n\r\x00\x1b\x07\x9b\x7f²٣é語👩\u200d🔬\u202e\u2028\ufeff\udce9\ud800{}[]$~*%"
NUMBERS = [
    "0",
    "1",
    "-1",
    "7" * 5000,
    "1e400",
    "nan",
    "inf",
    "-inf",
    "0x10",
    "1_0",
    "²",
    "٣",
    "1.5",
    "",
    "1e-320",
]
PATHS = [
    "~nobody-here/x", "~", "/", ".", "..", "", "/dev/null", "/dev/zero", "/dev/full/x", "/proc/self/mem",
    "a\x00b", "n" * 5000, "caf\udce9", "'", "'a b'", "no/such/dir/x", "-", "talk.jsonl",
    "deep.jsonl", "odd.jsonl", "pipe",
]  # fmt: skip
MESSAGES = [
    "hello",
    "caf\udce9",
    "\ud800",
    "//etc",
    "/",
    "//",
    "x" * 20_000,
    "\x00",
    "long\udcff",
    "[red]x[/]",
    '"""',
]


class Lines:
    """A terminal at which these lines are typed."""

    interactive = True

    def __init__(self, lines):
        self._lines = iter(lines)

    def read(self):
        line = next(self._lines, None)
        if isinstance(line, BaseException):
            raise line
        return line


class Checking(ScriptedPair):
    """A pair that, like the real one, takes nothing that is not text."""

    def stream(self, conversation, /, **how):
        for message in conversation:
            assert isinstance(message, Message)
            message.text.encode()
        for stop in how["answer"].stop:
            stop.encode()
        return super().stream(conversation, **how)


def typed_in(lines, pair=None):
    """What a chat writes while these lines are typed; stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    chat(pair or Checking(), ChatStart(), make_console(out), make_console(err), Lines(lines))
    return out.getvalue(), err.getvalue()


def a_line(rng):
    """A command or a message, right or wrong."""
    noise = "".join(rng.choices(CHARACTERS, k=rng.randrange(12)))
    if rng.random() < 0.5:
        noise = noise.replace("/", "").replace("~", "")
    names = [name for name in (*COMMANDS, *ALIASES) if name not in LEAVING]
    name = rng.choice(names)
    words = [*SETTABLE, *VIEWS, "template", "asked", "changed", '""', noise]
    arguments = [
        *NUMBERS,
        *PATHS,
        noise,
        rng.choice(words),
        f"{rng.choice(words)} {rng.choice([*NUMBERS, noise])}",
    ]
    return rng.choice(
        [
            f"{name} {rng.choice(arguments)}",
            f"/set {rng.choice(words)} {rng.choice([*NUMBERS, *words])}",
            f"/{rng.choice(['save', 'load'])} {rng.choice(PATHS)}",
            f"{name}{noise}",
            rng.choice(MESSAGES),
            noise if noise.strip() not in LEAVING else "",
        ]
    )


def _writes_elsewhere(line):
    """Whether a line would save into a place outside the test's own."""
    name, _, place = line.partition(" ")
    return name in {"/save", "/save!"} and place not in PATHS and ("/" in place or "~" in place)


@pytest.fixture
def odd_place(tmp_path, monkeypatch):
    """A working directory with files that are no conversations."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep.jsonl").write_text("[" * 100_000)
    (tmp_path / "odd.jsonl").write_text('{"role": "user", "content": "\\ud800"}\n')
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe")
        monkeypatch.setattr("blendin_local.paths.PIPE_TIMEOUT_S", 0.0)
    return tmp_path


def test_no_command_ends_a_chat(ledger, odd_place):
    """Random commands and messages: each is carried out or one line says why not; none is a bug."""
    with ledger.kind("chat commands") as trials:
        for seed in range(ledger.count(15, 200)):
            rng = random.Random(seed)
            lines = [line for line in (a_line(rng) for _ in range(20)) if not _writes_elsewhere(line)]
            pair = Checking(
                missing=rng.choice([(), ("guide",)]), stopped_by=rng.choice(["guide_end", "context"])
            )
            out, err = typed_in([*lines, "at the end"], pair)
            problem = None
            if "Re: at the end" not in out:
                problem = "the chat ended"
            elif "this is a bug" in err:
                problem = next(line for line in err.splitlines() if "this is a bug" in line)
            for line in lines:
                trials.record(f"seed {seed}, {line[:60]!r}", None)
            if problem:
                trials.record(f"seed {seed}", problem)


def test_a_saved_chat_with_anything_in_it_is_read_or_refused(ledger, odd_place):
    """Mutated files of /save: the chat goes on with them or without, and answers the next question."""
    typed_in(["one", "/set seed 7", "two", "/save talk.jsonl"])
    whole = (odd_place / "talk.jsonl").read_text()
    with ledger.kind("saved chats") as trials:
        for seed in range(ledger.count(60, 1000)):
            rng = random.Random(seed)
            (odd_place / "bad.jsonl").write_bytes(_mutated(whole, rng))
            out, err = typed_in(["/load bad.jsonl", "/show", "/stats", "next"])
            answered = "Re: next" in out or "error:" in err.splitlines()[-1]
            problem = None if answered and "this is a bug" not in err else err[-300:]
            trials.record(f"seed {seed}", problem)


def _mutated(text, rng):
    """One value of one line replaced by another kind of value, or bytes changed."""
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    if rng.random() < 0.3:
        data = bytearray(text.encode())
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    record = json.loads(lines[at])
    place = record
    while True:
        key = rng.choice(list(place))
        if not isinstance(place[key], dict) or rng.random() < 0.1:
            break
        place = place[key]
    place[key] = rng.choice(
        [None, True, -1, 1e308, "x", "\ud800", [], [1], {}, {"a": []}, "7" * 5000, 10**30, 1.5]
    )
    lines[at] = json.dumps(record)
    return "\n".join(lines).encode()


class Broken(ScriptedPair):
    """A pair with a bug that shows at one question."""

    def stream(self, conversation, /, **how):
        if conversation[-1].text == "boom":
            raise ZeroDivisionError("nobody\nforesaw this")
        return super().stream(conversation, **how)


def test_what_nobody_foresaw_is_one_line_and_the_chat_goes_on():
    """A bug in one turn is reported, the turns before are kept, and the next question is answered."""
    out, err = typed_in(["one", "boom", "/retry", "two"], Broken())

    assert out == "Re: one\nRe: one\nRe: two\n"
    assert (
        sum("this is a bug: ZeroDivisionError: nobody foresaw this" in line for line in err.splitlines()) == 1
    )


def test_from_a_pipe_the_first_failure_ends_the_chat():
    """Nobody is there to read a line about it: the exit code says it."""
    lines = Lines(["boom", "two"])
    lines.interactive = False

    with pytest.raises(ZeroDivisionError):
        chat(Broken(), ChatStart(), make_console(io.StringIO()), make_console(io.StringIO()), lines)


def test_a_line_that_is_no_text_is_refused_and_never_asked():
    """A byte that is no UTF-8 is named; the model is not asked something else instead."""
    pair = Checking()
    out, err = typed_in(["caf\udce9", "/system caf\udce9", "next"], pair)

    assert out == "Re: next\n"
    assert err.count("is not UTF-8: byte 0xe9 after 3 characters") == 2
    assert [text for messages, _ in pair.asked for text in [m.text for m in messages]] == ["next"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), RuntimeError("no terminal")])
def test_a_terminal_that_is_gone_ends_the_chat(error):
    """Where reading itself fails again and again nobody is there any more: the chat ends, it spins not."""
    _, err = typed_in([error] * 100 + ["never"])

    assert "never" not in err
    assert 1 <= err.count(str(error.args[-1])) <= 10


def test_a_history_that_cannot_be_kept_ends_nothing(tmp_path, monkeypatch):
    """A half character and a full disk cost a line of the history, not the conversation."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("BLENDIN_NO_HISTORY", raising=False)
    history = open_history()
    history.store_string("caf\udce9")
    assert list(history.load_history_strings()) == ["caf\ufffd"]
    history.filename = str(tmp_path / "no" / "such" / "folder")
    history.store_string("lost")
