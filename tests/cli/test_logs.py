"""The history as a user of the command line meets it: kept, listed, continued, refused, deleted."""

from __future__ import annotations

import json
import re

import pytest

from blendin_local.history.database import open_database, transaction
from tests.cli_runner import blendin, one_line_error
from tests.toys import make_toy


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Toy models, with the options that run them quickly."""
    folder = tmp_path_factory.mktemp("models")
    base, guide = make_toy(folder / "base.gguf", "sliding"), make_toy(folder / "guide.gguf", "plain", seed=1)
    return "--base", base, "--guide", guide


@pytest.fixture
def home(tmp_path):
    """A user's own places: `home.kept()` is the history, `home(...)` runs the program."""
    return Home(tmp_path)


class Home:
    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "data" / "history.db"
        self.places = {
            "BLENDIN_HISTORY": str(self.path),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def __call__(self, *arguments, **more):
        return blendin(*arguments, **{**self.places, **more})

    def right(self, *arguments, **more):
        """Run the program, which must succeed; what it printed."""
        code, out, err = self(*arguments, **more)
        assert code == 0, err
        return out

    def json_of_run(self, *arguments):
        return json.loads(self.right("run", *arguments, "--json"))

    def json(self, *arguments):
        return json.loads(self.right("logs", *arguments, "--json"))


QUICK = ("-t", 1, "-n", 8, "--no-loop-guard")


def chat(home, toys, lines, *options, **more):
    """A chat whose lines come through a pipe."""
    return home.right("chat", *toys, *QUICK, *options, stdin=("\n".join(lines) + "\n").encode(), **more)


def test_what_run_and_chat_print_is_what_logs_shows(home, toys):
    """Listed with counts; the answers of the file are those that were on stdout, with their steps."""
    answer = home.right("run", "hello", *toys, *QUICK, "--threshold", 0.15)
    answers = chat(home, toys, ["one", "two", "/undo", "three"], "--system", "Be brief.")

    talk, single = home.json()["conversations"]
    assert (single["id"], single["command"], single["question"], single["turns"]) == (1, "run", "hello", 1)
    assert (talk["id"], talk["command"], talk["question"], talk["turns"]) == (2, "chat", "one", 3)
    [turn] = home.json(1)["turns"]
    assert turn["answer"].rstrip("\n") == answer.rstrip("\n")
    assert len(turn["completion"]["steps"]) == single["steps"] == 8
    assert single["asked"] == turn["completion"]["blend"]["asked"] > 0
    turns = home.json(2)["turns"]
    assert [(turn["question"], turn["standing"]) for turn in turns] == [
        ("one", True),
        ("two", False),
        ("three", True),
    ]
    shown = home.right("logs", 2)
    for turn in turns:
        assert turn["answer"] in answers
        assert f"> {turn['question']}\n{turn['answer']}" in shown


def test_a_form_is_kept_with_its_answer(home, toys, tmp_path):
    """The record has forced text, legal mass and completeness; a chat goes on with the form, or another."""
    asked = home.json_of_run("hello", *toys, *QUICK[:2], "-n", 40, "--regex", "I am [ab]{2}!")
    [turn] = home.json(1)["turns"]
    kept = turn["completion"]
    for part in ("steps", "complete", "stopped_by"):
        assert kept[part] == asked[part]
    assert kept["complete"] is True
    assert [step["source"] for step in kept["steps"]][:: len(kept["steps"]) - 1] == ["forced", "forced"]
    assert kept["blend"]["legal_base"] == asked["blend"]["legal_base"] > 0

    answer = chat(home, (), ["again"], "--continue")
    assert re.fullmatch("I am [ab]{2}!\n", answer)
    file = tmp_path / "talk.jsonl"
    answer = chat(home, (), ["again", f"/save {file}"], "--continue", "--grammar", 'start: "yes"')
    assert answer == "yes\n"
    saved = json.loads(file.read_text().splitlines()[-1])["completion"]
    assert (saved["complete"], saved["blend"]["forced"]) == (True, 1)


def test_logs_on_an_empty_machine_says_how_to_begin(home):
    """On stderr; reading makes no file."""
    code, out, err = home("logs")
    assert (code, out) == (0, "")
    assert "blendin chat begins one" in err
    assert home.right("logs", "--path") == f"{home.path}\n"
    assert not home.path.parent.exists()


@pytest.mark.parametrize("how", ["option", "variable", "file", "both"])
def test_nothing_is_kept_where_it_is_off(home, toys, how):
    """No conversation by the option, the variable or models.toml; --log wins over models.toml alone."""
    options, more = (), {}
    if how == "option":
        options = ("--no-log",)
    if how == "variable":
        options, more = ("--log",), {"BLENDIN_NO_HISTORY": "1"}
    if how in {"file", "both"}:
        file = home.folder / "config" / "blendin-local" / "models.toml"
        file.parent.mkdir(parents=True)
        file.write_text("[history]\nlog = false\n")
    if how == "both":
        options = ("--log",)
    home.right("run", "a secret", *toys, *QUICK, *options, **more)
    chat(home, toys, ["a secret"], *options, **more)
    assert home.path.exists() == (how == "both")
    assert ("kept  no" in home.right("doctor", "--offline", **more)) == (how in {"file", "variable", "both"})


def test_a_models_toml_of_the_working_directory_has_no_say(home, toys, tmp_path):
    """It can neither hide what was asked nor keep it."""
    (tmp_path / "models.toml").write_text("[history]\nlog = false\n")
    home.right("run", "hello", *toys, *QUICK, cwd=tmp_path)
    assert len(home.json()["conversations"]) == 1


def test_a_chat_goes_on_where_it_was(home, toys):
    """The same models, settings, system text and context; the turns are in the prompt, new ones follow."""
    options = ("--system", "Be brief.", "-c", 700, "--temp", 0.5, "--seed", 3)
    chat(home, toys, ["one", "/set threshold 0.25"], *options)
    before = home.json(1)
    out = home.right("chat", "--continue", stdin=b"/show\n/show template\ntwo\n")
    shown = home("chat", "--continue", stdin=b"/show\n/show template\n")[2]

    after = home.json(1)
    assert [turn["question"] for turn in after["turns"]] == ["one", "two"]
    assert after["turns"][0] == before["turns"][0]
    assert after["turns"][1]["answer"] in out
    assert after["settings"] == before["settings"]
    assert after["settings"]["blend"]["threshold"] == 0.25
    assert after["turns"][1]["completion"]["signature"]["sampling"]["temperature"] == 0.5
    assert "Going on with conversation 1" in shown
    assert "[user] one" in shown
    assert "700" in shown
    assert "Be brief." in shown


def test_what_is_given_wins_over_the_conversation_and_that_over_the_environment(home, toys):
    """A setting on the command line replaces the stored one; BLENDIN_PAIR and BLENDIN_THRESHOLD do not."""
    chat(home, toys, ["one"], "--threshold", 0.2, "--alpha", 0.3)
    home.right(
        "chat", "--continue", "--alpha", 0.6, "--system", "Now rhyme.",
        stdin=b"two\n", BLENDIN_THRESHOLD="0.9", BLENDIN_PAIR="demo",
    )  # fmt: skip
    after = home.json(1)
    blend = after["turns"][1]["completion"]["signature"]["blend"]
    assert (blend["threshold"], blend["alpha"]) == (0.2, 0.6)
    assert after["system"] == "Now rhyme."


def test_another_model_brings_its_own_settings(home, toys, tmp_path):
    """The turns are taken over, the settings of the other pair are not."""
    other = make_toy(tmp_path / "other.gguf", "plain", seed=5)
    chat(home, toys, ["one"], "--threshold", 0.2)
    home.right("chat", "--continue", "--base", other, "--guide", toys[3], "-n", 4, stdin=b"two\n")
    signature = home.json(1)["turns"][1]["completion"]["signature"]
    assert signature["blend"]["threshold"] == 0.4
    assert "other.gguf" in json.dumps(signature["models"])


def test_an_answer_of_run_can_be_continued_by_its_number(home, toys):
    """`run` keeps no candidates; the chat that goes on does."""
    home.right("run", "hello", *toys, *QUICK)
    home.right("run", "later", *toys, *QUICK)
    home.right("chat", "--conversation", 1, stdin=b"more\n")
    first, second = home.json(1)["turns"]
    assert first["question"] == "hello"
    assert second["completion"]["steps"][0]["candidates"]["base"]
    assert home.json()["conversations"][0]["id"] == 1


def test_what_cannot_be_continued_is_one_line(home, toys, tmp_path):
    """No conversation at all, a number that is none, and one of exact prompts."""
    one_line_error(home("chat", "--continue"), 2, "there is no conversation to continue")
    (tmp_path / "prompt.txt").write_text("hello")
    home.right("run", *toys, *QUICK, "--base-prompt-file", tmp_path / "prompt.txt", "--method", "base")
    one_line_error(home("chat", "--continue"), 2, "exact prompts")
    one_line_error(home("chat", "--conversation", 7), 2, "there is no conversation 7")
    assert home.json()["conversations"][0]["question"] == "hello"


def test_a_trace_keeps_more_than_the_history(home, toys, tmp_path):
    """--trace keeps whole lists; the history as many candidates as --top-logprobs."""
    home.right(
        "run", "hello", *toys, *QUICK, "--threshold", 1, "--top-logprobs", 2, "--trace", tmp_path / "t.jsonl"
    )
    steps = home.json(1)["turns"][0]["completion"]["steps"]
    assert {len(step["candidates"]["base"]) for step in steps} == {2}
    assert len((tmp_path / "t.jsonl").read_text()) > 10 * len(json.dumps(steps))


@pytest.mark.parametrize("trouble", ["damaged", "directory", "locked", "newer"])
def test_a_history_that_cannot_be_written_stops_no_answer(home, toys, trouble):
    """The answers come; one notice on stderr names the file; the exit code is 0."""
    home.path.parent.mkdir()
    if trouble == "damaged":
        home.path.write_text("a diary" * 1000)
    elif trouble == "directory":
        home.path.mkdir()
    else:
        with open_database(home.path) as database:
            database.execute("PRAGMA user_version = 1000" if trouble == "newer" else "SELECT 1")
    if trouble == "locked":
        with open_database(home.path) as database, transaction(database):
            code, out, err = home("chat", *toys, *QUICK, stdin=b"one\ntwo\n")
    else:
        code, out, err = home("chat", *toys, *QUICK, stdin=b"one\ntwo\n")
    assert code == 0, err
    assert len(out.splitlines()) >= 2
    assert err.count("note: the history") == 1
    assert "history" in err


def test_searching_and_deleting(home, toys):
    """A search lists; nothing is deleted without a yes; --yes deletes, and the text is gone from the file."""
    home.right("run", "a very secret word", *toys, *QUICK)
    home.right("run", "空は青い", *toys, *QUICK)
    assert [row["id"] for row in home.json("--search", "VERY secret")["conversations"]] == [1]
    assert [row["id"] for row in home.json("--search", "青い")["conversations"]] == [2]
    assert "no conversation contains" in home("logs", "--search", "'\"%")[2]
    one_line_error(home("logs", "--delete", 1), 2, "add --yes")
    one_line_error(home("logs", "--clear", "--delete", 1), 2, "one thing at a time")
    assert len(home.json()["conversations"]) == 2
    home.right("logs", "--delete", 1, "--yes")
    assert b"very secret" not in home.path.read_bytes()
    assert [row["id"] for row in home.json()["conversations"]] == [2]
    home.right("logs", "--clear", "--yes")
    assert home.json()["conversations"] == []


def test_replay_reads_a_saved_chat_and_a_conversation(home, toys):
    """With the steps that were kept; a chat saved without steps says what to do."""
    saved = home.folder / "talk.jsonl"
    chat(home, toys, ["one", "two", f"/save {saved}"], "--top-logprobs", 100)
    (home.folder / "log.json").write_text(home.right("logs", 1, "--json"))
    for file in (saved, home.folder / "log.json"):
        answers = json.loads(home.right("replay", file, "--json"))["answers"]
        assert len(answers) == 2
    old = [{"type": "blendin-chat"}, {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    saved.write_text("".join(json.dumps(line) + "\n" for line in old))
    one_line_error(home("replay", saved), 2, "without the steps", "--trace")


def test_kept_text_is_the_users_alone(home, toys):
    """The directory and the file, whatever the umask."""
    home.right("run", "hello", *toys, *QUICK)
    assert home.path.stat().st_mode & 0o077 == 0
    assert home.path.parent.stat().st_mode & 0o077 == 0
