"""A trace of the demo pair, replayed with another threshold and compared with a real run at it."""

import json

import pytest

from blendin_local.core.records import Completion
from blendin_local.jobs.replay.answer_file import read_answers
from blendin_local.jobs.replay.replayed_answer import replay_answer
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.jobs.replays import trace_lines
from tests.near_ties import is_near_tie
from tests.prompts import PROMPTS, TEMPLATE

pytestmark = pytest.mark.model

LENGTH = 48


@pytest.mark.parametrize("change", [{"threshold": 0.3}, {"alpha": 0.3}, {"method": "nudging"}], ids=str)
def test_a_replay_foretells_the_real_run(demo_base_path, demo_guide_path, tmp_path, change):
    """A real run takes every replayed step and differs where the replay says, but for near-ties."""
    model = ModelSettings(ctx_size=512, threads=1)
    limits = AnswerSettings(max_tokens=LENGTH, loop_guard=False, evidence=True)
    other, differing = BlendSettings(**change), 0
    with Pair(PairSetup(demo_base_path, demo_guide_path, TEMPLATE, model, model)) as pair:
        for prompt in PROMPTS[:3]:
            then = pair.respond(prompt, answer=limits)
            really = pair.respond(prompt, answer=limits, blend=other)
            again = replay_answer(_stored(tmp_path, then), other)
            differing += again.outcome == "differs"
            for told, step in zip(again.steps, really.steps, strict=False):
                if (told.bytes, told.source) != (step.bytes, step.source):
                    assert is_near_tie(step, other.threshold), (told, step)
                    break
            else:
                assert len(really.steps) >= len(again.steps)
    assert differing


def _stored(folder, completion: Completion):
    path = folder / "t.jsonl"
    path.write_text("\n".join(trace_lines(completion)) + "\n")
    assert json.loads(path.read_text().splitlines()[0])["version"] == 2
    [recording] = read_answers(path).answers
    return recording
