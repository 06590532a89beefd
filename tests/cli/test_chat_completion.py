"""What Tab offers in a chat."""

from __future__ import annotations

import io

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.commands import COMMANDS
from blendin_local.cli.chat.completion import ChatCompleter
from blendin_local.cli.chat.settings import PAIR_NAMES, SETTABLE, with_setting
from blendin_local.cli.chat.state import ChatStart
from blendin_local.views.theme import make_console
from tests.scripted_pairs import ScriptedPair


@pytest.fixture
def talk():
    return Chat(ScriptedPair(), ChatStart(), make_console(io.StringIO()), make_console(io.StringIO()))


def offered(chat, typed):
    found = ChatCompleter(chat, COMMANDS).get_completions(Document(typed), CompleteEvent())
    return {each.text: each.display_meta_text for each in found}


def test_commands_are_offered_with_their_help(talk):
    """A slash and the beginning of a name; nothing in an ordinary message, and nothing after a line break."""
    assert offered(talk, "/vi") == {"/view": COMMANDS["/view"].help}
    assert set(offered(talk, "/")) == set(COMMANDS)
    assert offered(talk, "a /s") == {}
    assert offered(talk, "/s\n/s") == {}


def test_set_offers_every_setting_with_its_value(talk):
    """`/set ` lists the names, and beside each the value of now."""
    found = offered(talk, "/set ")
    assert set(found) == {*SETTABLE, *PAIR_NAMES}
    assert list(offered(talk, "/set kv-type q4")) == ["q4_0"]
    assert found["threshold"] == "0.4"
    assert list(offered(talk, "/set thresh")) == ["threshold"]


def test_set_offers_the_words_of_a_setting(talk):
    """Every word that is offered as a value is one that /set takes; methods are those of the open pair."""
    for name, (_, setting) in SETTABLE.items():
        for word in offered(talk, f"/set {name} "):
            assert word in (talk.methods if name == "method" else setting.all_words)
            if (name, word) != ("alpha", "calibrated"):  # needs fitted temperatures
                with_setting(talk.history.settings, name, word, talk.methods)
    assert list(offered(talk, "/set bridge=p")) == ["prefix"]
    assert list(offered(talk, "/set loop-guard o")) == ["on", "off"]
    assert set(offered(talk, "/set method ")) == set(talk.methods)
    assert offered(talk, "/set nothing ") == {}


def test_files_are_offered_for_a_form(talk, tmp_path):
    """Behind /set json-schema and /set grammar, once a name is begun; not behind /set regex."""
    (tmp_path / "city.json").touch()
    names = ("json-schema", "grammar", "regex")
    found = {name: set(offered(talk, f"/set {name} {tmp_path}/cit")) for name in names}

    assert found == {"json-schema": {"y.json"}, "grammar": {"y.json"}, "regex": set()}


def test_files_are_offered_for_load_and_save(talk, tmp_path, monkeypatch):
    """Files and folders of the working directory, by the rest of their names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rome.jsonl").touch()
    (tmp_path / "talks").mkdir()
    assert list(offered(talk, "/load ro")) == ["me.jsonl"]
    assert list(offered(talk, "/save tal")) == ["ks"]


def test_why_offers_the_steps_at_which_the_guide_was_asked(talk):
    """Numbers, each with the text of its step, once there is an answer."""
    assert offered(talk, "/why ") == {}
    talk.ask("sky")
    steps = [step for step in talk.history.completions[-1].steps if step.asked]
    assert steps
    assert set(offered(talk, "/why ")) == {str(step.i) for step in steps}
    assert steps[0].text.strip() in offered(talk, "/why ")[str(steps[0].i)]


def test_fixed_words_are_offered(talk):
    """Views and groups of tokens."""
    assert "prob" in offered(talk, "/view ")
    assert list(offered(talk, "/tokens ch")) == ["changed"]
