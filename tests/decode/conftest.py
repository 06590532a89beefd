"""Models for the laws of drafts: three toys in one pair, with or without a constraint on their answers."""

from __future__ import annotations

import pytest

from blendin_local.decode import drafter
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import ModelSettings
from tests.prompts import TEMPLATE
from tests.toys import make_toy

EXACT = ModelSettings(ctx_size=768, threads=1, kv_type="f32", flash_attention="off")


@pytest.fixture
def drafts_of_fast_models(monkeypatch):
    """`auto` leaves models as fast as toys alone; here it does not."""
    monkeypatch.setattr(drafter, "MIN_EVALUATION_S", 0.0)


@pytest.fixture(scope="module", params=["guide is the base", "guide is another"])
def trio(request, tmp_path_factory):
    """Toys: where the guide is the base itself, most of its guesses come true; of another's, hardly any."""
    folder = tmp_path_factory.mktemp("trio")
    base, other, untuned = (make_toy(folder / f"{seed}.gguf", "plain", seed=seed) for seed in range(3))
    guide = base if request.param == "guide is the base" else other
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=3, untuned=untuned)) as opened:
        yield opened
