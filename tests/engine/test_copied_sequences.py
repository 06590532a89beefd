"""Laws of copying a sequence: both go on as if each had read everything itself, whatever the memory."""

from __future__ import annotations

import numpy as np
import pytest

from blendin_local.engine.context import Context
from blendin_local.engine.model import Model
from blendin_local.engine.text_logits import logits_after_prompt
from blendin_local.settings import ModelSettings
from tests.toys import make_toy

MEMORIES = {  # the kind of toy, and whether its sliding-window cache keeps every position
    "plain": ("plain", True),
    "windows, all kept": ("sliding", True),
    "windows only": ("sliding", False),
    "recurrent": ("recurrent", True),
    "hybrid": ("hybrid", True),
}
PROMPT, ANSWER = 90, 40  # longer than a window of 64, and than the places between two checkpoints
TOLERANCE = 1e-4  # float32 all through; the shapes of batches differ


@pytest.fixture(params=MEMORIES)
def context(request, tmp_path):
    """Room for three conversations with a toy."""
    kind, swa_full = MEMORIES[request.param]
    settings = ModelSettings(kv_type="f32", flash_attention="off", swa_full=swa_full)
    model = Model(make_toy(tmp_path / "toy.gguf", kind), settings)
    opened = Context(model, 512, 1, n_parallel=3)
    yield opened
    opened.close()
    model.close()


def ids_of(n, seed=0):
    return np.random.default_rng(seed).integers(3, 270, n).tolist()


def write(context, sequence, tokens):
    """Accept and read tokens one by one; the logits after the last."""
    logits = None
    for token in tokens:
        sequence.accept(token, context.model.vocabulary.pieces[token])
        logits = context.predict([sequence])[0].copy()
    return logits


def afresh(context, ids):
    """The logits after these tokens, all read again in a sequence that held something else."""
    sequence = context.sequences[2]
    sequence.begin(ids_of(7, seed=9))
    context.predict([sequence])
    sequence.begin(ids[:PROMPT])
    sequence.ids += ids[PROMPT:]
    sequence.n_valid = 0
    return context.predict([sequence])[0].copy()


def test_a_copy_and_its_origin_go_on_apart(context):
    """Neither hears what the other says; the copy evaluates its own tokens and nothing again."""
    source, target, _ = context.sequences
    target.begin(ids_of(20, seed=5))
    write(context, target, ids_of(3, seed=6))  # what the copy takes the place of
    source.begin(ids_of(PROMPT))
    context.predict([source])
    write(context, source, ids_of(ANSWER, seed=1))
    n_before = context.counter.tokens

    context.copy(source, target)
    ours = write(context, source, ids_of(5, seed=2))
    theirs = write(context, target, ids_of(5, seed=3))

    assert context.counter.tokens - n_before == 10
    common = [*ids_of(PROMPT), *ids_of(ANSWER, seed=1)]
    assert source.ids == [*common, *ids_of(5, seed=2)]
    assert target.ids == [*common, *ids_of(5, seed=3)]
    assert ours == pytest.approx(afresh(context, source.ids), abs=TOLERANCE)
    assert theirs == pytest.approx(afresh(context, target.ids), abs=TOLERANCE)


def test_a_copy_can_go_back(context):
    """Rewound into what it was copied with, the copy's logits are those of a fresh reading."""
    source, target, _ = context.sequences
    for sequence, seed in ((target, 7), (source, 0)):
        sequence.begin(ids_of(PROMPT, seed))
        context.predict([sequence])
        write(context, sequence, ids_of(ANSWER, seed + 1))

    context.copy(source, target)
    context.rewind(target, PROMPT + ANSWER - 3)
    assert target.n_valid >= PROMPT - 1  # no memory reads the prompt again for so little
    target.ids = target.ids[: PROMPT + ANSWER - 3] + ids_of(4, seed=4)
    theirs = context.predict([target])[0].copy()

    assert theirs == pytest.approx(afresh(context, target.ids), abs=TOLERANCE)
    assert source.n_valid == PROMPT + ANSWER


def test_the_text_of_a_copy_changes_alone(context):
    """What a copy goes on by does not disturb how its origin finds its place in its own text."""
    source, target, _ = context.sequences
    source.begin(ids_of(PROMPT))
    vocabulary = context.model.vocabulary
    write(context, source, vocabulary.tokenize_following("the hell"))
    written = list(source.ids)

    context.copy(source, target)
    write(context, target, vocabulary.tokenize_following(" or a wheel"))
    source.sync_text(source.text + b" a")

    assert target.text == b"the hell or a wheel"
    assert source.ids == [*written, *vocabulary.tokenize_following(" a")]


def test_rows_that_are_known_are_left_out(context):
    """The logits along a text from any place on are the last ones of all of them."""
    sequence = context.sequences[0]
    sequence.begin(ids_of(PROMPT))
    sequence.ids += ids_of(ANSWER, seed=1)
    rows = [row.copy() for row in logits_after_prompt(context, sequence)]

    for n_skipped in (0, 1, ANSWER // 2, ANSWER):
        later = [row.copy() for row in logits_after_prompt(context, sequence, n_skipped=n_skipped)]
        assert len(later) == len(rows) - n_skipped == ANSWER + 1 - n_skipped
        for row, known in zip(later, rows[n_skipped:], strict=True):
            assert row == pytest.approx(known, abs=TOLERANCE)
