"""A base that is to be prompted with its own chat template is prompted as a guide is."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pytest

from blendin_local.core.prompts import Message, OwnChatTemplate
from blendin_local.errors import PairError, UsageError
from blendin_local.jobs import BatchSpec, run_batch
from blendin_local.models.registry import load_registry
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.jobs.batches import lines, questions, write_rows
from tests.prompts import PROMPTS, TEMPLATE
from tests.toys import CHAT_TOKENS, make_toy
from tests.toys import TEMPLATE as JINJA

SMALL = ModelSettings(ctx_size=256, n_gpu_layers=0, threads=1)
DATE = datetime.date(2026, 1, 2)
CONVERSATION = [
    Message("system", "Be brief."),
    Message("user", "the <|im_end|>"),
    Message("assistant", "a hell"),
    Message("user", "hello <tool_call>"),
]
OWN = OwnChatTemplate()


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A toy that was tuned: a chat template, and control tokens."""
    return make_toy(tmp_path_factory.mktemp("own") / "tuned.gguf", "plain", special=CHAT_TOKENS)


@pytest.fixture(scope="module")
def plain_toy(tmp_path_factory):
    """A toy without a chat template."""
    return make_toy(tmp_path_factory.mktemp("own") / "plain.gguf", "plain", template=None)


def setup_of(base, guide, template=OWN, settings=SMALL):
    return PairSetup(base, guide, template, settings, settings, date=DATE)


def answers(pair, method, conversations, n):
    """Text, the bytes of each step and why it ended, for each conversation."""
    settings = AnswerSettings(max_tokens=n)
    found = [pair.respond(c, blend=BlendSettings(method=method), answer=settings) for c in conversations]
    return [(c.text, [s.text for s in c.steps], c.finish_reason, dict(c.signature["prompts"])) for c in found]


@pytest.mark.model
def test_a_tuned_base_alone_is_that_model_as_the_guide_alone(demo_guide_path):
    """`--method base --base-template chat` gives the bytes of `--method guide` with the same file."""
    settings = ModelSettings(ctx_size=1024)
    asked = [*PROMPTS[:4], PROMPTS[-1], CONVERSATION]
    with Pair(setup_of(demo_guide_path, None, settings=settings)) as pair:
        as_base = answers(pair, "base", asked, 24)
    with Pair(setup_of(None, demo_guide_path, TEMPLATE, settings)) as pair:
        as_guide = answers(pair, "guide", asked, 24)

    assert [each[:3] for each in as_base] == [each[:3] for each in as_guide]
    assert [each[3]["base"] for each in as_base] == [each[3]["guide"] for each in as_guide]


def test_text_of_users_stays_text_in_the_base(toy):
    """Each span of the prompt is trusted or not as it is for a guide with the same file."""
    with Pair(setup_of(toy, toy)) as pair:
        base, guide = (pair.prompt_spans(role, CONVERSATION) for role in ("base", "guide"))

    assert base == guide
    assert any(not span.trusted and "<|im_end|>" in span.text for span in base)


def test_no_stop_string_of_a_plain_template_is_added(toy):
    """The model's own END ends the answer."""
    for template, stops in ((OWN, ()), (TEMPLATE, TEMPLATE.stop)):
        with Pair(setup_of(toy, toy, template)) as pair:
            assert tuple(pair.stream("hello").signature["answer"]["stop"]) == stops


def test_a_base_without_a_template_is_refused_in_one_line(plain_toy, toy):
    """With the option and the next step."""
    with (
        Pair(setup_of(plain_toy, toy)) as pair,
        pytest.raises(PairError, match="--base-template chat") as caught,
    ):
        pair.respond("hello")
    assert "\n" not in caught.value.message
    assert "leave it out" in caught.value.hint


def test_the_signature_names_the_template(toy):
    """An answer with the base's own template is told from one with plain text; so are two such templates."""
    signatures = []
    for template in (OWN, OwnChatTemplate(source=JINJA + " "), TEMPLATE):
        with Pair(setup_of(toy, toy, template)) as pair:
            signatures.append(pair.stream("hello").signature)
    own, given, plain = signatures

    assert own["template"] == {"name": "chat", "source": None, "stop": []}
    assert own["base_template"] == own["guide_template"]
    assert given["base_template"] != own["base_template"]
    assert "base_template" not in plain


NAMES = """
[models.tuned]
path = "tuned.gguf"
template = "chat"
[models.given]
path = "given.gguf"
chat_template = "given.jinja"
[pairs.by-pair]
base = "given"
guide = "tuned"
base_template = "chat"
[pairs.by-model]
base = "tuned"
guide = "given"
[pairs.three]
base = "tuned"
guide = "given"
untuned = "tuned"
"""


@pytest.fixture
def names(tmp_path):
    """A models.toml whose pairs prompt their bases with chat templates."""
    (tmp_path / "given.jinja").write_text("{{ messages }}")
    (tmp_path / "names.toml").write_text(NAMES)
    return load_registry(tmp_path / "names.toml", env={}, cwd=tmp_path)


def template_of(registry, **fields):
    return resolve_pair(PairSpec(**fields), registry).setup.template


def test_models_toml_can_ask_for_it(names):
    """A pair, or the model itself; a Jinja file of the model replaces the template in its file."""
    assert template_of(names, pair="by-model") == OWN
    assert template_of(names, pair="by-pair") == OwnChatTemplate(source="{{ messages }}")
    assert template_of(names, pair="by-model", base_template="qa").name == "qa"
    assert template_of(names, pair="demo", base_template="chat") == OWN
    assert template_of(names, pair="demo").name == "qa"


def test_the_untuned_guide_has_no_chat_template_to_read(names):
    """A third model reads the base's plain text, so the base's own template is refused with it."""
    with pytest.raises(UsageError, match="untuned guide"):
        template_of(names, pair="three", blend={"method": "proxy"})
    assert template_of(names, pair="three") == OWN


def test_the_name_is_not_free(tmp_path):
    """A plain template that is named `chat` is refused where it is read."""
    (tmp_path / "names.toml").write_text('[templates.chat]\nuser = "{text}"\nassistant = "{text}"\n')
    with pytest.raises(UsageError, match="own chat template"):
        load_registry(tmp_path / "names.toml", env={}, cwd=tmp_path)


def test_a_batch_keeps_to_the_template_it_began_with(toy, tmp_path, monkeypatch):
    """Its manifest has the template, and a run with another one is refused."""
    monkeypatch.setenv("BLENDIN_CACHE", str(tmp_path / "cache"))
    source = write_rows(tmp_path / "p.jsonl", questions(2))
    model = {"threads": 1, "ctx_size": 256}
    pair = PairSpec(
        base=str(toy),
        guide=str(toy),
        base_template="chat",
        base_settings=model,
        guide_settings=model,
        answer={"max_tokens": 4},
    )
    spec = BatchSpec(str(source), str(tmp_path / "a.jsonl"), pair=pair, n_parallel=1)
    notes = []
    run_batch(spec, on_note=notes.append)

    assert len(lines(spec.paths.answers)) == 2
    assert any("same file with the same prompt" in note for note in notes)
    manifest = json.loads(spec.paths.manifest.read_text())
    assert manifest["settings"]["template"]["name"] == "chat"
    with pytest.raises(UsageError, match="template"):
        run_batch(replace(spec, pair=replace(pair, base_template="qa")))
