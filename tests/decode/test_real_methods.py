"""The methods beyond base, guide, nudging and blendin on the real demo pair."""

from __future__ import annotations

import pytest

from blendin_local.core.candidates import END
from blendin_local.core.methods import ASKING_IF_IT_MATTERS, METHODS
from blendin_local.core.prompts import Message
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.near_ties import is_near_tie, parting, whole
from tests.prompts import PROMPTS, TEMPLATE
from tests.slow_twin import slow_twin

pytestmark = pytest.mark.model

SETTINGS = ModelSettings(ctx_size=512)
HELD_ELSEWHERE = {"base", "guide", "nudging", "blendin", "proxy"}
FEW = (PROMPTS[0], PROMPTS[2], PROMPTS[7])


@pytest.fixture(scope="module")
def trio(demo_base_path, demo_guide_path):
    """The demo pair with its own guide, read in the plain prompt, as the third model."""
    setup = PairSetup(
        demo_base_path, demo_guide_path, TEMPLATE, SETTINGS, SETTINGS, untuned=demo_guide_path, n_parallel=2
    )
    with Pair(setup) as opened:
        yield opened


def may_part(pair, prompt, steps, other, settings):
    """Whether llama.cpp's differences between batch shapes can have turned the last step into the other."""
    step = steps[-1]
    if any(is_near_tie(one, settings.threshold) for one in (step, other)):
        return True
    margins = [abs(s.guide_top.p - s.base_top.p) for s in (step, other) if s.asked]
    if "competition" in settings.method and any(margin < 0.16 for margin in margins):
        return True
    if settings.method in ASKING_IF_IT_MATTERS and own_test_is_near_tie((step, other), settings):
        return True
    asked = [s.candidates for s in (step, other) if s.asked]
    lists = [kept for both in asked for kept in (both.base, both.guide)]  # a rejection falls back on the base
    return any(len(c) > 1 and c[0].p - c[1].p < 0.12 for c in lists) or (
        settings.method == "nudging-words" and draft_is_near_tie(pair, prompt, steps[:-1])
    )


def own_test_is_near_tie(both, settings):
    """Whether the test of a bet or of deferral can have been turned."""
    if settings.method == "kad":
        listed = [c.p for step in both if step.candidates for c in step.candidates.base]
        return any(is_near_tie(s, 0.5) for s in both) or any(
            abs(p - settings.threshold) < 0.08 for p in listed
        )
    gaps = [s.guide_top.p - s.base_top.p for s in both if s.asked]
    sure_from = 1 - settings.margin
    return any(abs(s.base_top.p - sure_from) < 0.08 for s in both) or any(
        abs(gap - settings.margin) < 0.16 for gap in gaps
    )


def draft_is_near_tie(pair, prompt, steps):
    """Whether one of the tokens that the guide would draft here, or drafted up to here, is a near-tie."""
    role_context = pair._slots[0]["guide"]
    pair.respond(prompt, blend=BlendSettings(method="guide"), answer=AnswerSettings(max_tokens=1))
    text = b"".join(step.bytes for step in steps[:-4])
    for _ in range(24):
        prediction = role_context.predict(text, lambda: False)
        first, second = list(prediction.candidates.values())[:2]
        if first - second < 0.12:
            return True
        if prediction.top == END:
            return False
        text += prediction.top
    return False


@pytest.mark.parametrize(
    "settings",
    [
        *(
            BlendSettings(method=m)
            for m in METHODS
            if m not in {"base", "guide", "nudging", "blendin", "proxy", "steer"}
        ),
        BlendSettings(bridge="prefix"),
        BlendSettings(combine="product", always_first=2),
        BlendSettings(method="ensemble", alpha="calibrated", base_temperature=1.3, guide_temperature=0.9),
    ],
    ids=lambda s: f"{s.method}-{s.bridge}-{s.combine}-{s.alpha_name}",
)
def test_every_method_equals_its_slow_twin(trio, settings):
    """Reading everything anew before each prediction gives the same answer, up to partings at near-ties."""
    answer = AnswerSettings(max_tokens=8, loop_guard=False, top_logprobs=6, draft="off")
    for prompt in FEW:
        fast = whole(trio.respond(prompt, blend=settings, answer=answer))
        slow = slow_twin(trio, prompt, settings, answer)
        parted = parting(fast, slow)

        assert parted is None or may_part(trio, prompt, fast[: parted[0].i + 1], parted[1], settings), prompt
        assert fast


def test_proxy_tuning_against_the_base_itself_is_the_guide(demo_base_path, demo_guide_path):
    """With the base as its own untuned model, b g / b is g: shared strings get the guide's weights."""
    setup = PairSetup(demo_base_path, demo_guide_path, TEMPLATE, SETTINGS, SETTINGS, untuned=demo_base_path)
    with Pair(setup) as pair:
        answer = AnswerSettings(max_tokens=10, loop_guard=False, top_logprobs=40, draft="off")
        steps = pair.respond(FEW[0], blend=BlendSettings(method="proxy"), answer=answer).steps
        known = pair._models["base"].table.ids.keys() & pair._models["guide"].table.ids.keys()
    for step in steps:
        blend = {c.bytes: c.p for c in step.candidates.blend if c.bytes in known}
        guide = {c.bytes: c.p for c in step.candidates.guide if c.bytes in blend}
        scale = sum(blend[s] for s in guide) / sum(guide.values())

        assert step.base_top == step.untuned_top
        assert len(guide) > 3
        assert {s: p * scale for s, p in guide.items()} == pytest.approx(
            {s: blend[s] for s in guide}, rel=1e-3, abs=1e-9
        )


def test_the_second_driver_asks_ahead_and_asks_a_third_model(trio):
    """Two answers at once, by every method: each as it is alone, up to partings at near-ties."""
    answer = AnswerSettings(max_tokens=6, loop_guard=False, top_logprobs=6, draft="off")
    for method in ("nudging-words", "proxy"):
        blend = BlendSettings(method=method)
        wanted = [Request(str(i), (Message("user", p),), blend, answer=answer) for i, p in enumerate(FEW)]
        together = {request.key: result for request, result in trio.answer_all(wanted)}

        for i, prompt in enumerate(FEW):
            alone = whole(trio.respond(prompt, blend=blend, answer=answer))
            steps = whole(together[str(i)])
            parted = parting(alone, steps)

            assert steps
            assert all((step.untuned_top is not None) == (method == "proxy") for step in steps)
            if parted is not None and method == "nudging-words":
                assert may_part(trio, prompt, alone[: parted[0].i + 1], parted[1], blend), prompt
