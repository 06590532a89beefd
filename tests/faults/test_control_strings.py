"""Text of users that tries to be a control token: through templates, seams, cases, and parts of strings."""

from __future__ import annotations

import datetime
import random

import pytest

from blendin_local.engine.chat_template.template import ChatTemplate
from blendin_local.engine.model import open_vocabulary
from tests.toys import CHAT_TOKENS, make_toy

SPECIAL = {
    **CHAT_TOKENS,
    "<|user|>": 3,
    "<|assistant|>": 3,
    "[INST]": 3,
    "[/INST]": 3,
    "<|tool call|>": 4,
    "<b>": 4,
}
BODIES = (
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}",
    "<|{{ m.role }}|>{{ m.content|trim }}</s>",
    "[INST]{{ m.content }}[/INST]",
    "{% set c = m.content.split('</think>')[-1].lstrip() %}<|im_start|>{{ m.role }} {{ c }}<|im_end|>",
    "{{ m.role }}: {{ m.content|upper }}</s>",
    "{{ m.role }}: {{ m.content|lower|replace('x', '') }}</s>",
    "{% if '<tool_call>' in m.content %}<tool_call>{% endif %}{{ m.content }}<|im_end|>",
    "<|im_start|>{{ m.content[1:-1] }}<|im_end|>",
)
OPENINGS = ("", "<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n")
TEMPLATES = [
    "{% for m in messages %}" + body + "{% endfor %}" + opening for body in BODIES for opening in OPENINGS
]
PIECES = [
    "a",
    " ",
    "\n",
    "x",
    "<",
    "|",
    ">",
    "im_",
    "end",
    "START",
    "|>",
    "<|",
    "/",
    "\ue000",
    "0",
    "\ue001",
    "7",
]
TODAY = datetime.date(2026, 1, 1)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    path = make_toy(tmp_path_factory.mktemp("toy") / "chat.gguf", "plain", special=SPECIAL)
    with open_vocabulary(path) as found:
        yield found


def forged(rng, strings):
    """A text of pieces, whole control strings, broken ones and private-use characters."""
    parts = []
    for _ in range(rng.randint(1, 9)):
        string = rng.choice(strings)
        cut = rng.randint(1, len(string) - 1)
        parts.append(
            rng.choice(
                [
                    string,
                    string,
                    string.upper(),
                    string[:cut] + "x" + string[cut:],
                    string[:cut],
                    string[cut:],
                    string[:cut] + string + string[cut:],
                    f"{string}\ue000{rng.randint(-1, 9)}\ue001",
                    chr(rng.randrange(0xF0000, 0x10FFFE)) * rng.randint(1, 9),
                    rng.choice(PIECES),
                    rng.choice(PIECES),
                ]
            )
        )
    return "".join(parts)


def plain(template, turns):
    """What the template writes where nothing is kept from it: the slow twin of the spans."""
    from blendin_local.engine.chat_template.renderer import renderer

    return renderer().render(template._rendering, [turns], 10.0)[0]


def written_by_itself(template, vocabulary, turns):
    """How often the template writes each special token for harmless text of this shape."""
    shape = plain(
        template,
        [{**turn, "content": "1234" if turn["content"].strip() else turn["content"]} for turn in turns],
    )
    return {string: shape.count(string) for string in vocabulary.control_strings}


def problem_of(vocabulary, template, turns):
    """What is wrong with the prompt of these turns, None if nothing."""
    spans = template.render(turns)
    text = "".join(span.text for span in spans)
    wanted = plain(template, turns)
    if text.replace("<think>\n\n</think>\n\n", "<think>") != wanted.replace(
        "<think>\n\n</think>\n\n", "<think>"
    ):
        return f"another text: {text!r}"
    special = {*vocabulary.markup_ids, *vocabulary.end_ids}
    special |= {i for i, piece in enumerate(vocabulary.pieces) if not piece}
    for span in spans:
        if not span.trusted and (stray := special.intersection(vocabulary.tokenize_prompt([span])[1:])):
            return f"{span.text!r} became {[vocabulary.literal(i) for i in stray]}"
    ids = vocabulary.tokenize_prompt(spans)
    own = written_by_itself(template, vocabulary, turns)
    for i in special.difference([vocabulary.bos_id]):
        if (n := ids.count(i)) > own.get(vocabulary.literal(i), 0) + text.count("<think>\n\n</think>"):
            return f"{vocabulary.literal(i)} stands in it {n} times"
    said = b"".join(vocabulary.pieces[i] or vocabulary.literal(i).encode() for i in ids)
    if said.removeprefix(b"<s>") != text.encode():
        return f"the tokens say {said!r}"
    return None


@pytest.mark.slow
def test_no_text_of_a_user_becomes_a_control_token(vocabulary, ledger):
    """Whatever a text spells and a template does to it, special tokens are only those the template wrote."""
    rng = random.Random(13)
    templates = [ChatTemplate(source, vocabulary, date=TODAY) for source in TEMPLATES]
    with ledger.kind("forged control strings") as trials:
        for i in range(ledger.count(500, 13_500)):
            roles = ["system", "user", "assistant", "user"][rng.choice([0, 1, 1]) :][: rng.choice([1, 3, 4])]
            turns = [{"role": role, "content": forged(rng, vocabulary.control_strings)} for role in roles]
            source = i % len(templates)
            trials.record(f"{TEMPLATES[source]!r} {turns}", problem_of(vocabulary, templates[source], turns))


def test_no_plain_text_becomes_a_special_token(family_vocabulary, ledger):
    """On real vocabularies the tokens of such text are its bytes, and none is a special one."""
    rng = random.Random(14)
    vocabulary = family_vocabulary
    special = {*vocabulary.markup_ids, *vocabulary.end_ids}
    with ledger.kind("forged control strings in plain text") as trials:
        for _ in range(ledger.count(40, 2_000)):
            text = forged(rng, vocabulary.control_strings)
            ids = vocabulary.tokenize_following(text)
            said = b"".join(vocabulary.pieces[i] for i in ids)
            problem = None if special.isdisjoint(ids) and said == text.encode() else f"{said!r}"
            trials.record(repr(text), problem)
