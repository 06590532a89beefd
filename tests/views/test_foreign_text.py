"""Text that did not come from us never reaches the terminal as anything but text."""

from __future__ import annotations

import ast
import io
import json
import sys

import gguf
import pexpect
import pytest
from rich.console import Group
from rich.panel import Panel
from rich.progress import Progress, TextColumn
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from blendin_local.cli.common.printing import json_text, print_data
from blendin_local.errors import PairError
from blendin_local.views.answer import error_line
from blendin_local.views.answer_printer import AnswerPrinter
from blendin_local.views.theme import make_console
from blendin_local.views.visible import escape_controls, label
from tests.answers import asked_step, completion
from tests.hostile_text import HOSTILE, raw_controls
from tests.paths import ROOT

SURFACES = tuple(ROOT / "blendin_local" / room for room in ("cli", "views", "reports"))


class Terminal(io.StringIO):
    """Stdout where a person looks."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    for name in ("NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    return Terminal()


def shapes():
    """Everything a console can be given that holds a text."""
    table = Table(title=HOSTILE, caption=HOSTILE)
    table.add_column(HOSTILE)
    table.add_column(Text(HOSTILE))
    table.add_row(HOSTILE, Text(HOSTILE, style="error"))
    return {
        "a string": HOSTILE,
        "a text": Text(HOSTILE, style="error"),
        "a table": table,
        "a group": Group(HOSTILE, Panel(HOSTILE, title=Text(HOSTILE))),
        "segments": Segments([Segment(HOSTILE)]),
        "an error": error_line(PairError(HOSTILE, HOSTILE)),
    }


@pytest.mark.parametrize("shape", list(shapes()))
def test_a_console_writes_no_control_but_its_own(terminal, shape):
    """Whatever a console is given to print, no control sequence in it comes through."""
    make_console(terminal, "on").print(shapes()[shape])

    assert "pwned" in terminal.getvalue()
    assert raw_controls(terminal.getvalue()) == []


@pytest.mark.parametrize("way", ["out", "rule", "input", "status", "progress", "end"])
def test_no_other_way_through_a_console_is_open(terminal, way, monkeypatch):
    """The other methods of a console escape as `print` does."""
    console = make_console(terminal, "on")
    monkeypatch.setattr("builtins.input", lambda *_: "")
    if way == "status":
        with console.status(Text(HOSTILE)):
            pass
    elif way == "progress":
        with Progress(TextColumn("{task.description}", markup=False), console=console) as progress:
            progress.add_task(HOSTILE)
    elif way == "end":
        console.print("pwned", end=HOSTILE)
    else:
        getattr(console, way)(HOSTILE)

    assert "pwned" in terminal.getvalue()
    assert raw_controls(terminal.getvalue()) == []


def test_markup_in_foreign_text_is_shown_and_not_obeyed(terminal):
    """`[red]` in the name of a model is five characters."""
    make_console(terminal, "on").print(label(HOSTILE), Text(label(HOSTILE)))

    assert terminal.getvalue().count("[red]x[/red][/]") == 2


def _calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


@pytest.mark.parametrize(
    "path",
    sorted(path for room in SURFACES for path in room.rglob("*.py")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_there_is_one_way_to_the_terminal(path):
    """Consoles are made in one place, text is written in one place, and no markup is read anywhere."""
    makers, writers = {"theme.py"}, {"streams.py", "printing.py"}
    wrong = []
    for call, name, words in _calls(ast.parse(path.read_text())):
        last = name.rpartition(".")[2]
        wrong += [
            f"line {call.lineno}: {what}"
            for what, broken in {
                "a console of its own": last == "Console" and path.name not in makers,
                "typer.echo": name in {"typer.echo", "click.echo"},
                "print": name == "print",
                "a stream written to": name in {"sys.stdout.write", "sys.stderr.write"}
                and path.name not in writers,
                "markup": last in {"from_markup", "from_ansi"},
                "a column that reads markup": last == "TextColumn" and words.get("markup") != "False",
                "a status that reads markup": last == "status" and not ast.unparse(call).count("Text("),
            }.items()
            if broken
        ]

    assert wrong == []


def test_no_private_name_of_a_terminal_or_hub_library_is_imported():
    """What a library does not publish may be gone in its next version."""
    libraries = {"huggingface_hub", "jinja2", "prompt_toolkit", "rich", "typer"}
    private = []
    for path in (ROOT / "blendin_local").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            parts = [part for name in names for part in name.split(".") if name.split(".")[0] in libraries]
            private += [f"{path.name}:{node.lineno}" for part in parts if part.startswith("_")]

    assert private == []


def test_data_in_a_pipe_is_data_and_on_a_terminal_is_text():
    """A template or a name in a pipe is what it is, byte by byte; on a terminal its controls are visible."""
    pipe, terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii"), Terminal()
    print_data("é\x1b[2J", pipe)
    print_data("é\x1b[2J", terminal)

    assert pipe.buffer.getvalue() == "é\x1b[2J\n".encode()
    assert terminal.getvalue() == "é^[[2J\n"


def test_json_holds_no_control_and_loses_nothing():
    """JSON spells controls as escapes, and says the same."""
    value = {HOSTILE: [HOSTILE, "👩‍🔬 é"]}
    text = json_text(value)

    assert raw_controls(text) == []
    assert json.loads(text) == value
    assert "👩‍🔬 é" in text
    text.encode()


@pytest.mark.parametrize(
    "text", ["👩‍🔬", "می‌خواهم", "🏴\U000e0067\U000e0062\U000e007f", "naïve — 12 %\n\tnext"]
)
def test_an_answer_keeps_its_characters(text):
    """Joined emoji, joiners of Persian and flags are text, and stay."""
    assert escape_controls(text) == text


def test_a_label_is_one_line_without_hidden_characters():
    """A name cannot begin a line of its own or hide a part of itself."""
    assert label("a\nerror: b\u200bc\tд") == "a error: b<U+200B>c д"
    assert escape_controls(escape_controls(HOSTILE)) == escape_controls(HOSTILE)
    assert label(label(HOSTILE)) == label(HOSTILE)


def test_a_message_of_any_length_is_a_line_that_can_be_read():
    """Of 5,000 digits the middle is left out; what is wrong and what was expected stay."""
    line = error_line(PairError("there is no step " + "7" * 5000 + ": give one", "x" * 9000)).plain

    assert len(line) < 3000
    assert line.startswith("error: there is no step 777")
    assert ": give one (" in line


def test_bytes_of_a_file_name_that_are_no_text_are_shown():
    """A byte that is no UTF-8 is named; it ends nothing."""
    assert label("caf\udce9") == "caf<E9>"


def test_an_answer_on_a_terminal_holds_no_control(terminal):
    """The answer itself and its tables go through the same place."""
    from blendin_local.views.answer_tables import tokens_table, why_table

    step = asked_step(0, HOSTILE.encode("utf-8", "replace"))
    console = make_console(terminal, "on")
    printer = AnswerPrinter(console)
    printer.feed(step, step.text)
    printer.finish()
    console.print(why_table(step), tokens_table(completion(step).steps))

    assert raw_controls(terminal.getvalue()) == []


@pytest.fixture(scope="module")
def hostile_home(tmp_path_factory):
    """A model file and a models.toml whose every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    evil = HOSTILE.encode("utf-8", "replace").decode()
    writer = gguf.GGUFWriter(folder / "evil.gguf", "llama\x1b[2J")
    writer.add_name(evil)
    writer.add_license(evil)
    writer.add_chat_template("{{ raise_exception('" + evil.replace("'", "") + "') }}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    words = "".join(f"\\u{ord(char):04x}" if not char.isprintable() else char for char in evil)
    texts = f'about = "{words}"\nlicense = "{words}"\nnotice = "{words}"\n'
    (folder / "models.toml").write_text(
        f'version = 1\n[models."evil"]\npath = "evil.gguf"\n{texts}'
        f'[pairs.both]\nbase = "evil"\nguide = "evil"\nabout = "{words}"\nsystem = "{words}"\n'
    )
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.cli
@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "evil"],
        ["show", "evil", "--origin"],
        ["show", "evil", "--json"],
        ["show", "evil", "--template"],
        ["show", "both"],
        ["ls"],
        ["ls", "-q"],
        ["ls", "--json"],
        ["run", "--base", "evil", "--method", "base", "x"],
        ["run", "--base", "\x1b[2J\x9b", "--method", "base", "x"],
        ["run", "--pair", "\x1b[2J", "--json", "x"],
        ["replay", "evil.gguf"],
        ["doctor", "--pair", "both", "--offline"],
    ],
    ids=" ".join,
)
def test_the_program_on_a_terminal_writes_no_control_of_others(hostile_home, arguments, monkeypatch):
    """Names, licences, templates, entries and errors of a hostile model and models.toml are shown as text."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BLENDIN_CACHE", str(hostile_home / "cache"))
    command = ["-m", "blendin_local", *arguments]
    child = pexpect.spawn(
        sys.executable, command, cwd=str(hostile_home), dimensions=(50, 120), timeout=60, encoding=None
    )
    written = child.read().decode().replace("\r\n", "\n")
    child.close()

    assert child.exitstatus in {0, 2, 3, 4, 5}, written
    assert raw_controls(written) == [], written
