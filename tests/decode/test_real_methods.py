"""The methods beyond base, guide, nudging and blendin on the real demo pair."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blendin_local.core.candidates import END
from blendin_local.core.methods import METHODS
from blendin_local.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.decode.test_real_pair import slow_twin
from tests.near_ties import is_near_tie, parting
from tests.prompts import PROMPTS, TEMPLATE

pytestmark = pytest.mark.model

SETTINGS = ModelSettings(ctx_size=512)
FEW = (PROMPTS[0], PROMPTS[2], PROMPTS[7])


@pytest.fixture(scope="module")
def trio(demo_base_path, demo_guide_path):
    """The demo pair with its own guide, read in the plain prompt, as the third model."""
    setup = PairSetup(
        demo_base_path, demo_guide_path, TEMPLATE, SETTINGS, SETTINGS, anti=demo_guide_path, n_lanes=2
    )
    with Pair(setup) as opened:
        yield opened
