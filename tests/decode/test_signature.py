"""The signature of an answer has everything that decides its bytes; a field that is forgotten fails here."""

import datetime
import shutil
from dataclasses import fields, replace

import pytest

from blendin_local.core.prompts import Message
from blendin_local.decode.request import Request
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.prompts import TEMPLATE
from tests.toys import make_toy

SOURCE = "{{ strftime_now('%d') }}{{ thinking }}{% for m in messages %}{{ m.content }}{% endfor %}"
MODEL = ModelSettings(ctx_size=256, threads=1)
REQUEST = Request(
    "key",
    (Message("user", "hello"),),
    BlendSettings(threshold=0.9),
    SamplingSettings(temperature=0.5, seed=1),
    AnswerSettings(max_tokens=2),
)
REQUEST_CHANGES = {
    "messages": (Message("user", "world"),),
    "blend": BlendSettings(threshold=0.8),
    "sampling": SamplingSettings(temperature=0.5, seed=2),
    "answer": AnswerSettings(max_tokens=3),
}
WITHOUT_BYTES = {"key"}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    made = {
        name: make_toy(folder / f"{name}.gguf", "plain", seed=i) for i, name in enumerate(("base", "guide"))
    }
    for name, path in dict(made).items():
        made[f"other {name}"] = folder / f"other-{name}.gguf"
        shutil.copy(path, made[f"other {name}"])
    return made


def setup_of(paths):
    return PairSetup(
        base=paths["base"],
        guide=paths["guide"],
        untuned=paths["guide"],
        template=TEMPLATE,
        base_settings=MODEL,
        guide_settings=MODEL,
        guide_template=SOURCE,
        date=datetime.date(2026, 1, 2),
    )


def signature(setup, request=REQUEST):
    with Pair(setup) as pair:
        [(_, completion)] = pair.answer_all([request])
    return completion.signature


def changes(paths):
    """Every field of a setup, with another value."""
    return {
        "base": paths["other base"],
        "guide": paths["other guide"],
        "untuned": paths["other guide"],
        "template": replace(TEMPLATE, preamble="So:\n"),
        "base_settings": replace(MODEL, kv_type="f32"),
        "guide_settings": replace(MODEL, kv_type="f32"),
        "guide_template": SOURCE + "{# the same prompt #}",
        "thinking": True,
        "exact_prompts": {"guide": "hello"},
        "n_parallel": 2,
        "date": datetime.date(2026, 1, 3),
    }


def test_every_field_of_a_setup_is_in_the_signature(paths):
    """Whatever makes a pair another one makes the signature another one.

    The settings and the system text of an answer that is asked for with none are those of that answer. What a
    search needs is only said where memory is too small.
    """
    elsewhere = {"defaults", "system", "n_search", *changes_of_guides(paths)}
    assert {field.name for field in fields(PairSetup)} - elsewhere == set(changes(paths))
    request = replace(REQUEST, blend=replace(REQUEST.blend, method="proxy"))
    found = {"": signature(setup_of(paths), request)}
    for name, value in changes(paths).items():
        found[name] = signature(replace(setup_of(paths), **{name: value}), request)
        assert found[name] not in [other for key, other in found.items() if key != name], name
    assert signature(setup_of(paths), request) == found[""]


def changes_of_guides(paths):
    """Likewise of the fields that only a pair with several guides has."""
    return {
        "guide2": paths["other guide"],
        "guide3": paths["other guide"],
        "further_templates": {"guide3": SOURCE + "{# the same prompt #}"},
    }


def test_every_further_guide_is_in_the_signature(paths):
    """Its file and its template; a second guide more is another pair, too."""
    one = setup_of(paths)
    three = replace(one, guide2=one.guide, guide3=one.guide, further_templates={"guide3": SOURCE})
    found = [signature(one), signature(replace(one, guide2=one.guide)), signature(three)]
    found += [signature(replace(three, **{name: value})) for name, value in changes_of_guides(paths).items()]

    assert all(each not in found[:i] for i, each in enumerate(found))


@pytest.mark.parametrize("part", [field.name for field in fields(TEMPLATE)])
def test_every_part_of_a_plain_template_is_in_the_signature(paths, part):
    """Two templates of one name are distinguished by their texts."""
    other = ("x",) if part == "stop" else "x {text}"
    setup = setup_of(paths)

    assert (
        signature(setup)["template"]
        != signature(replace(setup, template=replace(TEMPLATE, **{part: other})))["template"]
    )


def test_every_field_of_a_request_is_in_the_signature(paths):
    """So is what was asked, and how."""
    assert {field.name for field in fields(Request)} == {*REQUEST_CHANGES, *WITHOUT_BYTES}
    setup = setup_of(paths)
    plain = signature(setup)

    for name, value in REQUEST_CHANGES.items():
        assert signature(setup, replace(REQUEST, **{name: value})) != plain, name


def test_two_exact_prompts_have_two_signatures(paths):
    """Of an exact prompt the text counts, not only that there is one."""
    setup = setup_of(paths)
    one, two = (
        signature(replace(setup, exact_prompts={"base": text, "guide": "g"})) for text in ("one", "two")
    )

    assert one["exact_prompts"].keys() == two["exact_prompts"].keys()
    assert one["exact_prompts"] != two["exact_prompts"]


@pytest.mark.parametrize(("offloads", "asked", "chunk"), [(0, None, 128), (3, None, 512), (3, 64, 64)])
def test_how_a_prompt_is_read_is_in_the_signature(paths, monkeypatch, offloads, asked, chunk):
    """The size of the prefill chunks and the layers on a GPU as they are, not only as they were asked for."""
    monkeypatch.setattr("blendin_local.engine.model.Model.n_offloaded", offloads)
    setup = replace(setup_of(paths), base_settings=replace(MODEL, ubatch_size=asked))
    base = signature(setup)["models"]["base"]
    assert (base["prefill_chunk"], base["offloaded"]) == (chunk, offloads)
