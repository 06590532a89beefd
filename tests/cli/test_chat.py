from __future__ import annotations

import io
import os
import signal
import threading

import pytest

from blendin_local.cli.chat.answer import Chat
from blendin_local.cli.chat.commands import ALIASES, COMMANDS
from blendin_local.cli.chat.files import load
from blendin_local.cli.chat.loop import chat, handle_line
from blendin_local.cli.chat.reader import InMemoryHistory, PlainReader, open_history
from blendin_local.cli.chat.settings import SETTABLE
from blendin_local.cli.chat.state import ChatPair, ChatSettings, ChatStart
from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.errors import ContextFullError, UsageError
from blendin_local.settings import BlendSettings
from blendin_local.views.theme import make_console
from tests.scripted_pairs import ScriptedPair


class Seen:
    """A chat on a scripted pair, and what it wrote."""

    def __init__(self, pair=None, start=None):
        self.pair = pair or ScriptedPair()
        self.out, self.err = io.StringIO(), io.StringIO()
        self.chat = Chat(self.pair, start or ChatStart(), make_console(self.out), make_console(self.err))

    def __call__(self, *lines):
        """Take lines; return what they wrote to stderr."""
        start = len(self.err.getvalue())
        for line in lines:
            handle_line(self.chat, line)
        return self.err.getvalue()[start:]

    @property
    def last_messages(self):
        return [(message.speaker, message.text) for message in self.pair.asked[-1][0]]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def seen():
    return Seen(start=ChatStart(system="Be brief."))


def test_a_scripted_pair_is_a_pair():
    """The protocol is what the chat needs and no more."""
    pair: ChatPair = ScriptedPair()
    assert pair.describe()


def test_a_conversation_grows_by_turns(seen):
    """Each question is sent with the system text and all turns before it; stdout holds answers only."""
    seen("one", "two")
    assert seen.last_messages == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "Re: one"),
        ("user", "two"),
    ]
    assert seen.out.getvalue() == "Re: one\nRe: two\n"


def test_two_slashes_send_one(seen):
    """`//etc` is a message that begins with a slash."""
    seen("//etc/hosts")
    assert seen.last_messages[-1] == ("user", "/etc/hosts")


def test_an_unknown_command_is_an_error_with_the_nearest(seen):
    """It never reaches the model."""
    with pytest.raises(UsageError, match="there is no command /retyr") as caught:
        seen("/retyr")
    assert "/retry" in caught.value.hint
    assert not seen.pair.asked


def test_empty_lines_are_nothing(seen):
    """Blank input asks nothing."""
    seen("", "   ")
    assert not seen.pair.asked


def test_help_names_every_command(seen):
    """Nothing is hidden."""
    text = seen("/?")
    assert all(name in text for name in COMMANDS)
    assert all(name in text for name in ALIASES if name != "/?")


def test_undo_and_clear_take_turns_back(seen):
    """/undo takes one turn, /clear all; the system text stays."""
    seen("one", "two", "/undo", "three")
    assert [text for _, text in seen.last_messages] == ["Be brief.", "one", "Re: one", "three"]
    seen("/clear", "four")
    assert [text for _, text in seen.last_messages] == ["Be brief.", "four"]


def test_retry_answers_the_last_question_again(seen):
    """The turn is replaced, with the settings of now."""
    seen("one", "two", "/set alpha 0.5", "/regen")
    assert len(seen.chat.history.turns) == 2
    assert seen.last_messages[-1] == ("user", "two")
    assert seen.pair.asked[-1][1].alpha == 0.5


def test_a_failed_retry_keeps_the_old_answer(seen):
    """Nothing is lost."""
    seen("one")
    seen.pair.missing = ("blendin",)
    with pytest.raises(Exception, match="needs a guide"):
        seen("/retry")
    assert [turn.answer for turn in seen.chat.history.turns] == ["Re: one"]


def test_system_can_be_shown_set_and_removed(seen):
    """Its next use is the next question."""
    assert "Be brief." in seen("/system")
    seen("/system Be kind.", "one")
    assert seen.last_messages[0] == ("system", "Be kind.")
    seen('/system ""', "two")
    assert seen.last_messages[0] == ("user", "one")


@pytest.mark.parametrize(
    ("line", "part", "field", "value"),
    [
        ("/set method nudging", "blend", "method", "nudging"),
        ("/set threshold 0.3", "blend", "threshold", 0.3),
        ("/set alpha=0.7", "blend", "alpha", 0.7),
        ("/set alpha auto", "blend", "alpha", None),
        ("/set cap 0.3", "blend", "cap", 0.3),
        ("/set bridge prefix", "blend", "bridge", "prefix"),
        ("/set temp 0.8", "sampling", "temperature", 0.8),
        ("/set top_p 0.9", "sampling", "top_p", 0.9),
        ("/set top-k 40", "sampling", "top_k", 40),
        ("/set min-p 0.05", "sampling", "min_p", 0.05),
        ("/set seed 7", "sampling", "seed", 7),
        ("/set seed random", "sampling", "seed", None),
        ("/set max-tokens 64", "answer", "max_tokens", 64),
        ("/set agreement-bonus 0.2", "blend", "agreement_bonus", 0.2),
        ("/set top-k-blend 7", "blend", "top_k", 7),
        ("/set filter_top_k 3", "blend", "filter_top_k", 3),
        ("/set loop-guard off", "answer", "loop_guard", False),
        ("/set stop 'a b' c", "answer", "stop", ("a b", "c")),
        ("/set stop none", "answer", "stop", ()),
        ("/set top-logprobs 4", "answer", "top_logprobs", 4),
        ("/set regex a=b|c = d", "answer", "regex", "a=b|c = d"),
        ('/set json-schema {"const": "a=b"}', "answer", "json_schema", '{"const": "a=b"}'),
        ("/set schema_in_prompt off", "answer", "schema_in_prompt", False),
    ],
)
def test_set_changes_one_setting(seen, line, part, field, value):
    """Names are those of the command line."""
    seen(line)
    assert getattr(getattr(seen.chat.history.settings, part), field) == value


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/set threshold 2", "threshold is 2.0, but must lie between 0 and 1"),
        ("/set alpha nan", "alpha is nan"),
        ("/set top-k 1.5", "top-k is '1.5'"),
        ("/set method magic", "no method 'magic'"),
        ("/set bridge rope", "bridge is 'rope' choose one of bytes, prefix"),
        ("/set alpha calibrated", "blendin check --write"),
        ("/set alpha much", "give a number or auto or calibrated"),
        ("/set treshold 1", "no setting 'treshold'"),
        ("/set temp", "needs a value"),
        ("/set loop-guard maybe", "give on or off"),
        ("/set stop 'a", "close the quotation mark"),
        ("/set cap 1.1", "must lie between 0 and 1"),
        ("/set json-schema {", "the JSON Schema is not JSON at line 1"),
        ('/set json-schema {"type": 5}', "the JSON Schema"),
        ("/set json-schema /no/such/file", "json-schema names the file '/no/such/file'"),
        ("/set json-schema", "/set json-schema FILE|JSON, or /set json-schema none"),
        ("/set regex (a", "the regular expression"),
        ("/set grammar root ::= x", "the grammar"),
        ("/view red", "no view 'red'"),
        ("/show me", "nothing to show"),
        ("/why 99", "steps 0 to 1"),
        ("/why x", "has no 'x'"),
        ("/tokens all", "no tokens named"),
        ("/save", "needs a file"),
        ("/load /no/such/file", "cannot be read"),
    ],
)
def test_what_is_wrong_is_one_usage_error(seen, line, says):
    """The settings stay as they were."""
    seen("one")
    before = seen.chat.history.settings
    with pytest.raises(UsageError) as caught:
        seen(line)
    assert says in f"{caught.value.message} {caught.value.hint}"
    assert seen.chat.history.settings == before


@pytest.mark.parametrize("line", ["/retry", "/undo", "/why", "/tokens", "/ab", "/stats"])
def test_commands_about_an_answer_need_one(seen, line):
    """Before the first answer they say so."""
    with pytest.raises(UsageError, match="there is no answer yet"):
        seen(line)


def test_a_form_takes_the_place_of_another(seen, tmp_path):
    """It may be in a file; a long one is named by its beginning, and `none` lets answers be free again."""
    file = tmp_path / "a form.gbnf"
    file.write_text('root ::= "yes" | "no"\n' + "# a comment\n" * 20)
    assert seen("/set regex [a-z]+") == "regex is [a-z]+.\n"
    said = seen(f"/set grammar {file}")
    assert 'grammar is root ::= "yes" | "no" # a comment' in said
    assert "... (262 characters) in place of regex." in " ".join(said.split())
    answer = seen.chat.history.settings.answer
    assert (answer.grammar, answer.regex) == (file.read_text(), None)
    assert max(map(len, seen("/set").splitlines())) <= 100
    assert seen("/set grammar none") == "grammar is none.\n"
    assert seen.chat.history.settings.answer.grammar is None


def test_the_marks_of_a_form_are_explained_where_there_is_one(seen):
    """`/view` has one mark more once answers must have a form."""
    marks = "/set marks ascii"
    assert "forced" not in seen(marks, "/view source")
    assert "(forced) by the form" in seen("/set regex a", "/view source")


def test_set_alone_lists_all(seen):
    """Every name with its value."""
    text = seen("/set")
    assert all(name in text for name in SETTABLE)
    assert "auto" in text


def test_show_tells_pair_settings_and_prompts(seen):
    """/show the pair, /show template both rendered prompts of the last question."""
    assert "base.gguf" in seen("/show")
    assert "(your question)" in seen("/show template")
    text = seen("one", "/show template")
    assert "Q: one\nA:" in text
    assert "<|user|>one<|end|>" in text


def test_why_tokens_and_stats_tell_about_the_last_answer(seen):
    """/why without a number takes the first changed step."""
    seen("one")
    assert "step 1 ·one changed" in seen("/why")
    assert "step 0 Re: base" in seen("/why 0")
    assert "Re:" in seen("/tokens")
    assert "Re:" not in seen("/tokens changed")
    assert "1 " in seen("/stats")


def test_ab_runs_all_methods_and_leaves_the_talk_alone(seen):
    """A method that cannot run is one line among the others."""
    seen("zero", "one")
    seen.pair.missing = ("guide",)
    text = seen("/ab")
    assert [blend.method for _, blend in seen.pair.asked[2:]] == ["base", "nudging", "blendin"]
    assert seen.last_messages[1:] == [("user", "zero"), ("assistant", "Re: zero"), ("user", "one")]
    assert "error: method guide needs a guide" in text
    assert "method  steps  asked changed" in text
    assert len(seen.chat.history.turns) == 2


def test_oldest_turns_make_room(seen):
    """The system text and the newest turns stay; a notice says what went."""
    seen.pair.n_ctx = 55
    seen("one", "two")
    text = seen("three")
    assert "60 tokens, but the context holds 55" in text
    assert "oldest 1 turn" in text
    assert [text for _, text in seen.last_messages] == ["Be brief.", "two", "Re: two", "three"]
    assert len(seen.chat.history.turns) == 2


def test_a_question_that_never_fits_loses_nothing(seen):
    """The error comes up, the conversation stays."""
    seen("one")
    seen.pair.n_ctx = 5
    with pytest.raises(ContextFullError):
        seen("two")
    assert len(seen.chat.history.turns) == 1


def test_an_answer_cut_by_the_context_makes_room_for_a_retry(seen):
    """The oldest turn goes, and the notice names /retry."""
    seen("one")
    seen.pair.stopped_by = "context"
    assert "/retry" in seen("two")
    assert [turn.question for turn in seen.chat.history.turns] == ["two"]


def test_a_saved_chat_can_be_loaded(seen, tmp_path):
    """Messages and settings come back; one message is one line."""
    file = tmp_path / "a talk.jsonl"
    seen("one\nmore", "/set threshold 0.25", "/set seed 5", "/set json-schema {}", f"/save {file}")
    assert len(file.read_text().splitlines()) == 4
    other = Seen()
    other(f"/load '{file}'", "two")
    assert other.last_messages[:3] == [
        ("system", "Be brief."),
        ("user", "one\nmore"),
        ("assistant", "Re: one\nmore"),
    ]
    assert other.pair.asked[-1][1] == BlendSettings(threshold=0.25)
    assert other.chat.history.settings == seen.chat.history.settings
    other(f"/save! {file}")


def test_save_replaces_no_other_file(seen, tmp_path):
    """A mistyped name costs nothing."""
    file = tmp_path / "thesis.txt"
    file.write_text("years of work")
    with pytest.raises(UsageError, match="is not a saved chat"):
        seen(f"/save {file}")
    assert file.read_text() == "years of work"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "line 1 is not JSON"),
        ("[1]", "line 1 is not a JSON object"),
        ('{"role": "user"}', "no text in 'content'"),
        ('{"role": "assistant", "content": "x"}', "role 'assistant'"),
        ('{"role": "user", "content": "x"}', "no answer"),
        ('{"type": "blendin-chat", "settings": 3}', "settings that cannot be read"),
        (
            '{"type": "blendin-chat", "settings":'
            ' {"blend": {"threshold": "x"}, "sampling": {}, "answer": {}}}',
            "settings",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, text, says):
    """The conversation that runs is not touched."""
    file = tmp_path / "chat.jsonl"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        load(file, ChatSettings())


def test_view_changes_how_answers_are_marked(seen):
    """The new view holds from then on."""
    seen("one", "/view prob")
    assert seen.chat.history.settings.view == "prob"


def in_a_pipe(text, pair=None):
    out, err = io.StringIO(), io.StringIO()
    chat(
        pair or ScriptedPair(),
        ChatStart(),
        make_console(out),
        make_console(err),
        PlainReader(io.StringIO(text)),
    )
    return out.getvalue(), err.getvalue()


def test_lines_of_a_pipe_are_messages():
    """No prompt, no banner, no footer: answers alone."""
    assert in_a_pipe('one\n\n"""two\nthree"""\n/exit\nfour\n') == ("Re: one\nRe: two\nthree\n", "")


def test_a_block_is_never_a_command():
    """A pasted path stays a path."""
    assert in_a_pipe('"""\n/exit\n"""\n')[0] == "Re: /exit\n"


def test_a_mistake_in_a_pipe_ends_the_chat():
    """Nobody is there to read on; the command line gives the exit code."""
    with pytest.raises(UsageError):
        in_a_pipe("/nosuch\none\n")


def test_a_pipe_that_is_not_text_is_one_error():
    """Invalid UTF-8 is named."""
    reader = PlainReader(io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), encoding="utf-8"))
    with pytest.raises(UsageError, match="not UTF-8"):
        reader.read()


def test_the_first_interrupt_is_a_request_and_the_second_an_exception():
    """The handler from before comes back."""
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_no_handler_outside_the_main_thread():
    """A library that answers in a thread is not disturbed."""
    seen_there = []

    def work():
        with stop_on_interrupt() as interrupt:
            seen_there.append(interrupt.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen_there == [False]


@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupted_answer_is_kept(seen, monkeypatch, interrupts):
    """What was shown is the turn's answer, after one Ctrl-C as after two."""
    seen.pair.pause_s = 0.001
    threading.Timer(0.05, lambda: [os.kill(os.getpid(), signal.SIGINT) for _ in range(interrupts)]).start()
    seen("long")
    turn = seen.chat.history.turns[-1]
    assert turn.answer.startswith("Re: word0")
    assert "word199" not in turn.answer
    assert seen.out.getvalue() == turn.answer + "\n"


def test_a_retry_stopped_at_once_keeps_the_old_answer(seen, monkeypatch):
    """There is nothing new to put in its place."""
    seen("one")
    monkeypatch.setattr(seen.pair, "stream", _stopping(seen.pair.stream))
    seen("/retry")
    assert [turn.answer for turn in seen.chat.history.turns] == ["Re: one"]


def _stopping(stream):
    def stopped(*messages, **settings):
        os.kill(os.getpid(), signal.SIGINT)
        return stream(*messages, **settings)

    return stopped


def test_history_lies_in_the_state_folder_unless_refused(monkeypatch, tmp_path):
    """The file is the user's alone; BLENDIN_NO_HISTORY writes none."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("BLENDIN_NO_HISTORY", "1")
    assert isinstance(open_history(), InMemoryHistory)
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv("BLENDIN_NO_HISTORY")
    open_history()
    file = tmp_path / "blendin-local" / "chat_history"
    assert file.stat().st_mode & 0o077 == 0
