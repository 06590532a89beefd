"""The Python API: typed keywords, wrong ones named, conversations as dicts, a spec instead of a name."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest

from blendin_local import AnswerSettings, BlendSettings, Message, ModelSettings, UsageError, open_pair
from blendin_local.pair.keywords import SETTINGS, SettingKeywords, checked_keywords
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import PairFields, PairSpec, resolve_pair
from blendin_local.settings import settings_on
from tests.paths import ROOT
from tests.toys import make_toy

OF_AN_ANSWER = {"system", "blend", "sampling", "answer"}
SMALL = ModelSettings(ctx_size=256, n_gpu_layers=0, threads=1)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    base, guide = (str(make_toy(folder / f"{seed}.gguf", "plain", seed=seed)) for seed in (0, 1))
    return {"base": base, "guide": guide, "base_settings": SMALL, "guide_settings": SMALL}


@pytest.fixture(scope="module")
def pair(toys):
    with open_pair(**toys) as opened:
        yield opened


@pytest.mark.parametrize(
    ("call", "says", "hint"),
    [
        (
            lambda pair: pair.respond("x", systen="y"),
            "respond() has no argument 'systen'",
            "did you mean system?",
        ),
        (
            lambda pair: pair.stream("x", shouldstop=1),
            "stream() has no argument",
            "did you mean should_stop?",
        ),
        (
            lambda pair: pair.respond("x", temprature=1),
            "respond() has no argument 'temprature'",
            "did you mean temperature?",
        ),
        (
            lambda pair: pair.respond("x", treshold=0.2),
            "no argument 'treshold'",
            "did you mean threshold?",
        ),
        (lambda pair: pair.respond("x", zzz=1), "no argument 'zzz'", "it takes conversation, system, blend"),
        (
            lambda pair: pair.read("base", "x", temprature_profile=True),
            "read() has no argument",
            "temperature_profile?",
        ),
        (lambda pair: open_pair("demo", pul=True), "open_pair() has no argument 'pul'", "did you mean pull?"),
        (lambda pair: open_pair(gide="x"), "open_pair() has no argument 'gide'", "did you mean guide?"),
    ],
)
def test_a_misspelt_keyword_is_our_error(pair, call, says, hint):
    """It names the argument and the nearest one, or the settings that have it."""
    with pytest.raises(UsageError) as error:
        call(pair)
    assert says in error.value.message
    assert hint in error.value.hint


def test_a_wrong_field_of_a_spec_is_our_error(toys):
    """Settings given as a mapping name their fields, too."""
    with pytest.raises(UsageError, match="BlendSettings has no field 'treshold'") as error:
        resolve_pair(PairSpec(base="b.gguf", guide="g.gguf", blend={"treshold": 0.3}))
    assert error.value.hint == "did you mean threshold?"


def test_other_type_errors_stay():
    """A TypeError from inside the function is a bug, and is not hidden."""

    @checked_keywords
    def broken(*, value: int = 0) -> None:
        raise TypeError("inside")

    with pytest.raises(TypeError, match="inside"):
        broken(value=1)


def test_signatures_can_be_read():
    """`help()` shows every argument of `respond`, which takes the same ones as `stream`."""
    respond, stream = inspect.signature(Pair.respond), inspect.signature(Pair.stream)

    assert list(respond.parameters) == [
        "self",
        "conversation",
        "system",
        "blend",
        "sampling",
        "answer",
        "answer_start",
        "should_stop",
        "settings",
    ]
    for name, parameter in respond.parameters.items():
        assert parameter.annotation == stream.parameters[name].annotation


def test_open_pair_takes_every_field_that_opens_a_pair():
    """What is missing belongs to an answer, and is given to `respond`."""
    names = {each.name for each in fields(PairSpec)}

    assert set(PairFields.__annotations__) == names - OF_AN_ANSWER - {"pair", "every_model"}


def test_keywords_are_the_settings_of_an_answer():
    """Every setting that a row of a batch can have is a keyword, by the same name and with no other."""
    assert tuple(SettingKeywords.__annotations__) == tuple(settings_on("row", *SETTINGS.values()))


def test_a_keyword_is_a_field_of_the_settings(pair):
    """`max_tokens=6` says the same as `answer=AnswerSettings(max_tokens=6)`, and wins over it."""
    answer = AnswerSettings(max_tokens=6)
    expected = pair.respond("the hello", answer=answer, blend=BlendSettings(threshold=0.9, alpha=None))

    for keywords in (
        {"max_tokens": 6, "threshold": 0.9, "alpha": "auto"},
        {"max_tokens": 6, "blend": BlendSettings(threshold=0.9), "seed": None},
        {"max_tokens": 6, "answer": AnswerSettings(max_tokens=3), "threshold": 0.9},
    ):
        given = pair.respond("the hello", **keywords)
        assert given.text == expected.text
        assert given.signature["answer"]["max_tokens"] == 6
    assert pair.stream("x", stop="l").settings.answer.stop[0] == "l"
    assert pair.stream("x", stop=["l", "o"], temperature=0.5, seed=3).settings.sampling.seed == 3


@pytest.mark.parametrize("keywords", [{"max_tokens": 0}, {"threshold": "x"}, {"temperature": -1}])
def test_a_wrong_value_of_a_keyword_is_our_error(pair, keywords):
    """The message names the setting."""
    (name,) = keywords
    with pytest.raises(UsageError, match=name.replace("temperature", "temp").replace("_", ".")):
        pair.respond("x", **keywords)


def test_an_answer_without_settings_has_those_of_the_pair(toys, tmp_path):
    """Those of a spec count, and those of models.toml; what a call gives wins over both."""
    config = tmp_path / "models.toml"
    config.write_text("[defaults]\nthreshold = 0.7\nmax_tokens = 5\nsystem = 'a hell'\n")
    spec = PairSpec(**toys, models_file=config, answer={"max_tokens": 4})
    with open_pair(spec) as opened:
        plain, given = opened.respond("the hello"), opened.respond("the hello", threshold=0.2, system="")
        assert plain.signature["blend"]["threshold"] == 0.7
        assert given.signature["blend"]["threshold"] == 0.2
        assert plain.signature["answer"]["max_tokens"] == given.signature["answer"]["max_tokens"] == 4
        assert "a hell" in opened.prompts("the hello")["base"]
        assert "a hell" not in opened.prompts("the hello", "")["base"]


def test_a_spec_opens_the_same_pair(toys, pair):
    """`open_pair(PairSpec(...))` is `open_pair(...)`; keywords replace fields of the spec."""
    answer = AnswerSettings(max_tokens=6)
    expected = pair.respond("the hello", answer=answer)
    for opened in (
        open_pair(PairSpec(**toys)),
        open_pair(PairSpec(**{**toys, "guide": "x"}), guide=toys["guide"]),
    ):
        with opened as again:
            assert again.setup == pair.setup
            assert again.respond("the hello", answer=answer).text == expected.text


def test_dict_messages_are_answered_like_messages(pair):
    """The same conversation in either form has the same prompts and the same answer."""
    dicts = [
        {"role": "system", "content": "Be a hell."},
        {"role": "user", "content": [{"type": "text", "text": "the hello"}]},
    ]
    messages = [Message("system", "Be a hell."), Message("user", "the hello")]
    answer = AnswerSettings(max_tokens=6)

    assert pair.prompts(dicts) == pair.prompts(messages)
    assert pair.respond(dicts, answer=answer).text == pair.respond(messages, answer=answer).text
    assert pair.option_logprobs("base", dicts, ["a"]) == pair.option_logprobs("base", messages, ["a"])
    with pytest.raises(UsageError, match="role 'tool'"):
        pair.respond([{"role": "tool", "content": "x"}])


RIGHT = """
from blendin_local import BlendSettings, Message, open_pair
pair = open_pair("demo", pull=True, n_parallel=2)
blend = BlendSettings(threshold=0.3)
answer = pair.respond([{"role": "user", "content": "x"}, Message("user", "y")], blend=blend)
reveal_type(answer.text)
"""
WRONG = {
    "open_pair('demo', pul=True)": 'Unexpected keyword argument "pul" for "open_pair"',
    "open_pair('demo', pull='yes')": 'Argument "pull" to "open_pair" has incompatible type "str"',
    "pair.respond('x', temprature=1)": 'Unexpected keyword argument "temprature"',
    "pair.respond(5)": "incompatible type",
    "pair.stream('x', blend=0.3)": 'Argument "blend" to',
    "pair.read('base', 'x', temprature_profile=True)": 'Unexpected keyword argument "temprature_profile"',
    "BlendSettings(treshold=0.3)": 'Unexpected keyword argument "treshold" for "BlendSettings"',
    "BlendSettings(bridge='rope')": 'Argument "bridge" to "BlendSettings" has incompatible type',
}


def test_mypy_sees_the_exact_signatures(tmp_path):
    """Misspelt and mistyped arguments are errors of type checking, each on its line; right ones are not."""
    path = tmp_path / "snippet.py"
    path.write_text(RIGHT + "\n".join(WRONG))
    command = [sys.executable, "-m", "mypy", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    first = RIGHT.count("\n") + 1
    assert 'Revealed type is "str"' in done.stdout
    assert len(errors) == len(WRONG), done.stdout
    for number, (says, error) in enumerate(zip(WRONG.values(), errors, strict=True), first):
        assert f":{number}: " in error
        assert says in error
