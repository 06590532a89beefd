"""Commands of a chat about its last answer and its pair, on scripted pairs."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.loop import chat as run_chat
from blendin_local.cli.chat.loop import handle_line
from blendin_local.cli.chat.reader import PlainReader
from blendin_local.cli.chat.state import ChatSettings, ChatStart
from blendin_local.cli.chat.words import near_words, steps_of_word
from blendin_local.core.records import Completion
from blendin_local.errors import LoadError, UsageError
from blendin_local.settings import AnswerSettings
from blendin_local.views.theme import make_console
from tests.answers import asked_step, base_step, completion
from tests.scripted_pairs import ScriptedOpener, ScriptedPair


class Typed:
    """A chat on a scripted pair; a call takes lines and returns what they wrote to stderr."""

    def __init__(self, **start):
        self.pair = ScriptedPair()
        self.out, self.err = io.StringIO(), io.StringIO()
        start = ChatStart(opener=ScriptedOpener(self.pair), **start)
        self.chat = Chat(self.pair, start, make_console(self.out), make_console(self.err))

    def __call__(self, *lines):
        before = len(self.err.getvalue())
        for line in lines:
            handle_line(self.chat, line)
        return " ".join(self.err.getvalue()[before:].split())

    @property
    def answers(self):
        return [turn.answer for turn in self.chat.history.turns]


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def typed():
    return Typed()


def last_start(typed):
    return typed.chat.history.turns[-1].completion.signature.get("answer_start")


def test_retry_says_when_the_answer_would_be_the_same(typed):
    """At temperature 0, and with a fixed seed; nothing is answered, and another way is offered."""
    said = typed("one", "/retry")
    assert "At temperature 0 the answer would be the same. /retry 0.7" in said
    assert typed.out.getvalue() == "Re: one\n"
    said = typed("/set temp 0.5", "/set seed 7", "two", "/retry")
    assert "With seed 7 the answer would be the same." in said


def test_retry_takes_a_temperature_for_once(typed):
    """Another seed is drawn, and the settings of the conversation stay."""
    before = typed.chat.history.settings
    typed("one", "/retry 0.7")
    sampling = typed.chat.history.turns[-1].completion.signature["sampling"]
    assert (sampling["temperature"], sampling["seed"]) == (0.7, None)
    assert typed.chat.history.settings == before
    assert typed.out.getvalue() == "Re: one\nRe: one\n"
    with pytest.raises(UsageError, match="temp is -1"):
        typed("/retry -1")


def test_retry_answers_where_something_has_changed(typed):
    """Another setting, another system text, a question that was stopped."""
    typed("one", "/set threshold 0.2", "/retry", "/system Be kind.", "/retry")
    assert typed.out.getvalue() == "Re: one\n" * 3


def test_a_fork_goes_on_from_a_step_with_another_candidate(typed):
    """By number as in the table of /why, or by its text; the steps before stay, and /back returns."""
    typed("one")
    assert "/back" in typed("/fork 1 2")  # ` I`, the second of the blend
    assert typed.answers == ["Re: I then"]
    assert typed.chat.history.turns[-1].completion.steps[1].source == "chosen"
    assert last_start(typed)["steps"] == 2
    said = typed("/back")
    assert typed.answers == ["Re: one"]
    assert "1 other answer kept" in said
    typed("/back")
    assert typed.answers == ["Re: I then"]


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ("Sure", "Re: Sure then"),  # a candidate, with its space
        ("maybe", "Re: maybe then"),  # not a candidate: it replaces a word
        ('"maybe"', "Re:maybe then"),  # as it stands
        ('"1"', "Re:1 then"),
        ("1", "Re: Sure then"),
        ("77", "Re: 77 then"),
        ("two words", "Re: two words then"),
    ],
)
def test_a_candidate_is_named_by_number_or_text(typed, wanted, answer):
    """A text in quotation marks is taken as it stands."""
    typed("one", f"/fork 1 {wanted}")
    assert typed.answers == [answer]


def test_a_fork_without_a_candidate_shows_the_candidates(typed):
    """Numbered, and nothing is answered."""
    said = typed("one", "/fork 1")
    assert "1 ·I 21.0 % ·Sure 83.0 % ·Sure 66.0 %" in said
    assert "2 ⏎ 10.0 %" in said
    assert "/fork 1 NUMBER or TEXT" in said
    assert typed.out.getvalue() == "Re: one\n"
    for line, says in (("/fork", "needs a step"), ("/fork 99 x", "no step 99"), ("/fork x y", "no step x")):
        with pytest.raises(UsageError, match=says):
            typed(line)


def test_the_next_question_follows_the_answer_that_stands(typed):
    """Other answers to an earlier question are forgotten, and /undo takes the whole turn back."""
    typed("one", "/fork 1 maybe", "two")
    assert [m.text for m in typed.pair.asked[-1][0]] == ["one", "Re: maybe then", "two"]
    with pytest.raises(UsageError, match="has one answer"):
        typed("/back")
    typed("/undo", "/undo")
    assert typed.answers == []


def test_a_cut_answer_is_continued(typed):
    """From its own steps, with as many more as an answer may have; an answer that ended is not."""
    typed.chat.history.settings = replace(ChatSettings(), answer=AnswerSettings(max_tokens=5))
    typed("one")
    turn = typed.chat.history.turns[-1]
    typed("/continue")
    assert typed.answers == ["Re: one then"]
    assert typed.chat.history.turns[-1].completion.signature["answer"]["max_tokens"] == 7
    ended = replace(turn.completion, end=base_step(2, b""))
    typed.chat.history.turns[-1] = replace(turn, completion=ended)
    with pytest.raises(UsageError, match="would end there again") as caught:
        typed("/continue")
    assert "/fork 2 TEXT" in caught.value.hint


def test_an_answer_without_steps_is_continued_from_its_text(typed):
    """Such as one that was loaded."""
    typed("one")
    typed.chat.history.turns[-1] = replace(typed.chat.history.turns[-1], completion=None)
    typed("/continue")
    assert typed.answers == ["Re: one then"]
    assert typed.chat.history.turns[-1].completion.steps[0].source == "given"


def test_why_finds_the_steps_of_a_word(typed):
    """A word of several steps shows each; several places are counted; in any case and any view."""
    steps = [base_step(i, piece) for i, piece in enumerate([b"Cats", b" pu", b"rr", b". A", b" PURR", b"."])]
    typed("one")
    typed.chat.history.turns[-1] = replace(typed.chat.history.turns[-1], completion=completion(*steps))
    for line in ("/view prob", "/view plain", "/view source"):
        said = typed(line, "/why purr")
        assert "step 1 ·pu" in said
        assert "step 2 rr" in said
        assert "step 3" not in said
        assert "It is there 2 times; the others begin at step 4." in said
    with pytest.raises(UsageError, match="has no 'pur_'") as caught:
        typed("/why pur_")
    assert "purr" in caught.value.hint.lower()


def test_a_word_is_found_as_a_whole_word_first():
    """Else inside of others; a text of several words, too; what a stop string cut off is not searched."""
    answer = completion(base_step(0, b"art par"), base_step(1, b"ty art"), text="art party")

    def found(word, answer: Completion = answer):
        return [[step.i for step in place] for place in steps_of_word(answer, word)]

    assert found("art") == [[0]]
    assert found("arty") == [[0, 1]]
    assert found("T P") == [[0]]
    assert found("nothing") == found("  ") == []
    assert near_words("Cats purr", "pur") == ["purr"]


def test_numbers_and_the_end_are_found(typed):
    """A number is a step; in quotation marks, or where there is no such step, it is a text."""
    steps = [asked_step(0, b"In 1969"), base_step(1, b" men")]
    typed("one")
    turn = replace(
        typed.chat.history.turns[-1], completion=replace(completion(*steps), end=base_step(2, b""))
    )
    typed.chat.history.turns[-1] = turn
    assert "step 1 ·men" in typed("/why 1")
    assert "step 0 In·1969" in typed("/why 1969")
    assert "step 0 In·1969" in typed('/why "1"')
    assert "step 2 END" in typed("/why END")


def test_a_setting_of_the_pair_opens_it_anew(typed):
    """The conversation stays; an error leaves the pair as it was."""
    said = typed("one", "/set context 640")
    assert "Opening the pair anew with ctx-size 640" in said
    assert "ctx-size is 640. The conversation stays (1 turn)." in said
    assert typed.chat.pair.n_ctx == 640
    with pytest.raises(LoadError):
        typed("/set ctx-size 13")
    assert typed.chat.pair.n_ctx == 640
    typed("two")
    assert typed.answers == ["Re: one", "Re: two"]
    assert "ctx-size 640" in typed("/set")


def test_a_fixed_pair_says_how_to_start_another():
    """Without an opener, as in a test."""
    typed = Typed()
    typed.chat.opener = None
    with pytest.raises(UsageError, match="ctx-size is fixed") as caught:
        typed("/set ctx-size 5")
    assert "--ctx-size" in caught.value.hint


def test_stop_strings_are_set_and_cleared(typed):
    r"""Each in quotation marks; \n is a line break; the hint says how."""
    typed(r'/set stop "A B" "\n\n" C')
    assert typed.chat.history.settings.answer.stop == ("A B", "\n\n", "C")
    typed("/set stop none")
    assert typed.chat.history.settings.answer.stop == ()
    with pytest.raises(UsageError, match="needs a value") as caught:
        typed("/set stop")
    assert '/set stop "A" "B"' in caught.value.hint


def test_a_method_without_its_model_is_not_unknown(typed):
    """The message names the model that is missing."""
    with pytest.raises(UsageError, match="needs a model that is not open: the untuned") as caught:
        typed("/set method proxy")
    assert "--untuned" in caught.value.hint


def test_help_fits_and_names_the_groups():
    """Beside each other in 80 columns, under each other in 40; one command alone on request."""
    for width in (80, 40):
        typed = Typed()
        typed.chat.err.width = width
        typed("/help")
        lines = typed.err.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        assert {"Answers", "Why this answer", "Settings", "Conversation", "Keys"} <= set(lines)
    assert "/fork N [CANDIDATE]" in Typed()("/help fork")
    with pytest.raises(UsageError, match="no command /forkk"):
        Typed()("/help forkk")


def in_a_pipe(text, **start):
    out, err = io.StringIO(), io.StringIO()
    run_chat(
        ScriptedPair(),
        ChatStart(**start),
        make_console(out),
        make_console(err),
        PlainReader(io.StringIO(text)),
    )
    return out.getvalue()


def test_a_first_message_comes_before_what_is_typed():
    """It is a message, whatever it looks like."""
    assert in_a_pipe("two\n", message="one") == "Re: one\nRe: two\n"
    assert in_a_pipe("", message="/exit") == "Re: /exit\n"


def test_files_go_with_the_first_message():
    """Once, before it, with a blank line between."""
    assert in_a_pipe("two\n", message="one", files="text") == "Re: text\n\none\nRe: two\n"
    assert in_a_pipe("one\ntwo\n", files="text") == "Re: text\n\none\nRe: two\n"


def test_copy_takes_the_last_block_of_code(typed, monkeypatch):
    """Or the whole answer, as it was written; the notice says which way."""
    copied = []
    monkeypatch.setattr(
        "blendin_local.cli.chat.text_commands.copy_text",
        lambda text, err: copied.append(text) or "with a tool",
    )
    typed("one")
    answer = "Try:\n```python\nprint(1)\n```\nor\n```\nls\n```\n"
    typed.chat.history.turns[-1] = replace(typed.chat.history.turns[-1], answer=answer)
    assert f"Copied {len(answer)} characters with a tool." in typed("/copy")
    typed("/copy code")
    assert copied == [answer, "ls\n"]
    with pytest.raises(UsageError, match="nothing to copy"):
        typed("/copy that")
    typed.chat.history.turns[-1] = replace(typed.chat.history.turns[-1], answer="none")
    with pytest.raises(UsageError, match="no block of code"):
        typed("/copy code")


def test_edit_needs_a_terminal(typed):
    """A pipe has no editor."""
    with pytest.raises(UsageError, match="needs a terminal"):
        typed("/edit")
