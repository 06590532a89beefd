"""The probe: its rule on counts made by hand, what it asks of whom, and what it makes of the answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from blendin_local.core.prompts import PlainTemplate
from blendin_local.errors import ContextFullError
from blendin_local.jobs.check.hit_rates import HitRate
from blendin_local.jobs.check.probe_verdicts import probe_verdicts
from blendin_local.jobs.probe.asking import ask, plan_probe
from blendin_local.jobs.probe.outcome import outcome_of, prompts_to_settle, smallest_visible, word_of
from blendin_local.jobs.probe.prompts import INSTRUCTIONS, PURPOSES, SAFETY
from blendin_local.jobs.scoring.items import Verdict
from blendin_local.jobs.scoring.statistics import grouped_mcnemar, mcnemar
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from blendin_local.views.probe_rows import probe_rows
from tests.answers import asked_step, base_step, completion
from tests.toys import make_toy

COUNTS = st.integers(0, 60)
TOO_LONG = ContextFullError(n_prompt=9, n_ctx=8)


@pytest.mark.parametrize(
    ("gained", "lost", "word"),
    [
        (6, 0, "pays"),  # 2 / 2^6 = 0.031
        (5, 0, "no difference seen"),  # 2 / 2^5 = 0.0625
        (0, 6, "hurts"),
        (0, 5, "no difference seen"),
        (8, 1, "pays"),  # 2 (1 + 9) / 2^9 = 0.039
        (7, 1, "no difference seen"),  # 2 (1 + 8) / 2^8 = 0.070
        (1, 8, "hurts"),
        (9, 9, "no difference seen"),
        (0, 0, "no difference seen"),
    ],
)
def test_the_word_on_counts_made_by_hand(gained, lost, word):
    """Pays and hurts only beyond what a fair coin does in 5 % of cases, on either side alike."""
    base = verdicts(INSTRUCTIONS, set(range(gained, gained + lost)))
    method = verdicts(INSTRUCTIONS, set(range(gained)))
    found = outcome_of(INSTRUCTIONS, {"base": base, "guide": base, "method": method}, seed=1)

    assert (found.word, found.against_base.gained, found.against_base.lost) == (word, gained, lost)


@given(COUNTS, COUNTS)
def test_the_word_follows_scipys_binomial_test(gained, lost):
    """Law: with McNemar's p, `no difference seen` stands exactly where scipy's p is 0.05 or more."""
    p = stats.binomtest(gained, gained + lost, 0.5).pvalue if gained + lost else 1.0
    word = word_of(gained - lost, mcnemar(gained, lost).p)

    assert word == ("no difference seen" if p >= 0.05 else "pays" if gained > lost else "hurts")


def test_prompts_to_settle_is_the_published_formula():
    """3 and 0 of 20: s = d = 0.15, (1.960 sqrt 0.15 + 0.8416 sqrt 0.1275)^2 / 0.0225 = 49.9."""
    assert prompts_to_settle([(3, 0, 20)]) == prompts_to_settle([(0, 3, 20)]) == 50
    assert prompts_to_settle([(5, 4, 20)]) == math.ceil(
        (1.959964 * math.sqrt(0.45) + 0.841621 * math.sqrt(0.45 - 0.0025)) ** 2 / 0.0025
    )
    assert prompts_to_settle([(4, 4, 20)]) is None
    assert prompts_to_settle([(3, 0, 10), (0, 3, 10)]) is None
    assert prompts_to_settle([(20, 0, 20)]) == 20
    # two halves: s = 0.4 and 0.2, d = 0.4 and -0.2, D = 0.1; without D s - 0.3^2 each
    assert prompts_to_settle([(4, 0, 10), (0, 2, 10)]) == math.ceil(
        (1.959964 * math.sqrt(0.3 - 0.09) + 0.841621 * math.sqrt(0.3 - 0.1)) ** 2 / 0.01
    )


@pytest.mark.parametrize("counts", [[(5, 2, 20)], [(4, 1, 10), (1, 2, 10)]])
def test_as_many_prompts_as_it_says_settle_it_in_four_of_five_tries(counts):
    """Law: with that many prompts and the same shares the test finds the difference in about 80 %."""
    each = prompts_to_settle(counts) // len(counts)
    shares = [[gained / n, lost / n, 1 - (gained + lost) / n] for gained, lost, n in counts]
    draws = [stats.multinomial(each, share, seed=i).rvs(1000) for i, share in enumerate(shares)]
    found = 0
    for drawn in zip(*draws, strict=True):
        seen = [(int(gained), int(lost), each) for gained, lost, _ in drawn]
        difference = sum(gained - lost for gained, lost, _ in seen)
        found += word_of(difference, grouped_mcnemar(seen).p) == "pays"

    assert 0.74 < found / 1000 < 0.86  # the formula is the large-sample one; the test is exact


def test_twenty_prompts_can_show_six():
    """Six of 20 on one side is the least that counts; fewer than six prompts can show nothing."""
    assert smallest_visible(20) == 0.3
    assert smallest_visible(6) == 1.0
    assert smallest_visible(5) is None


def verdicts(benchmark, right):
    """Verdicts in which the prompts at the places `right` are right."""
    found = {}
    for i, item in enumerate(benchmark.load()):
        label = item.reference.get("label")
        metric = {"safe": "complied_safe", "unsafe": "refused_unsafe", None: "followed"}[label]
        found[item.key] = Verdict({metric: float(i in right)}, None)
    return found


def test_an_outcome_on_instructions():
    """Base 2, guide 10, method 9 of 20, of which 7 are new: pays, and the guide alone is as good."""
    found = outcome_of(
        INSTRUCTIONS,
        {
            "base": verdicts(INSTRUCTIONS, {0, 1}),
            "guide": verdicts(INSTRUCTIONS, set(range(10))),
            "method": verdicts(INSTRUCTIONS, set(range(9))),
        },
        seed=1,
    )

    assert found.word == "pays"
    assert (found.against_base.gained, found.against_base.lost, found.against_base.n) == (7, 0, 20)
    assert found.against_base.difference == pytest.approx(0.35)
    assert (found.against_guide.gained, found.against_guide.lost) == (0, 1)
    assert found.guide_is_as_good
    assert found.prompts_to_settle is None
    assert [round(found.scores[of]["followed"].value, 2) for of in ("base", "guide", "method")] == [
        0.1,
        0.5,
        0.45,
    ]


def test_safety_is_the_mean_of_both_halves():
    """A guide that refuses everything has 0.5; a method that refuses 6 of 10 unsafe requests has 0.8."""
    unsafe = {i for i, item in enumerate(SAFETY.load()) if item.reference["label"] == "unsafe"}
    safe = set(range(20)) - unsafe
    method = safe | set(sorted(unsafe)[:6])
    found = outcome_of(
        SAFETY,
        {
            of: verdicts(SAFETY, right)
            for of, right in (("base", safe), ("guide", unsafe), ("method", method))
        },
        seed=1,
    )
    values = {of: round(scores["balanced_accuracy"].value, 6) for of, scores in found.scores.items()}

    assert values == {"base": 0.5, "guide": 0.5, "method": 0.8}
    assert (found.word, found.guide_is_as_good) == ("pays", False)
    assert found.against_base.difference == pytest.approx(0.3)


def test_what_was_not_answered_by_all_has_no_outcome():
    """A stop before the method's first answer leaves nothing to compare."""
    some = verdicts(INSTRUCTIONS, {1})
    assert outcome_of(INSTRUCTIONS, {"base": some, "guide": some, "method": {}}, seed=1) is None


def plan(method="blendin", answer=None, system=None):
    return plan_probe(BlendSettings(method=method), SamplingSettings(), answer or AnswerSettings(), system)


def test_each_prompt_is_asked_of_both_models_and_of_the_method():
    """40 prompts for each, short answers, no form, and the system line of the purpose unless one is given."""
    made = plan(answer=AnswerSettings(max_tokens=500, json_schema="{}", stop=("#",), top_logprobs=9))

    assert {of: len(requests) for of, requests in made.requests.items()} == {
        "base": 40, "guide": 40, "method": 40,
    }  # fmt: skip
    assert {r.blend.method for r in made.requests["method"]} == {"blendin"}
    assert {r.answer.max_tokens for r in made.requests["base"]} == {48, 64}
    assert {(r.answer.json_schema, r.answer.stop, r.answer.top_logprobs) for r in made.requests["guide"]} == {
        (None, ("#",), 0)
    }
    assert {len(r.messages) for r in made.requests["base"]} == {1, 2}
    told = plan(system="Be brief.")
    assert {r.messages[0].text for r in told.requests["base"]} == {"Be brief."}
    assert {len(r.messages) for r in plan(system="").requests["base"]} == {1}


class Answering:
    """Refuses what is unsafe with probability that depends on who is asked; fails and stops on demand."""

    def __init__(self, refuses, fails=(), stop_after=None):
        self.refuses, self.fails, self.stop_after, self.asked = refuses, fails, stop_after, 0

    def should_stop(self):
        return self.stop_after is not None and self.asked >= self.stop_after

    def answer_all(self, requests, *, should_stop):
        for request in requests:
            if should_stop():
                yield request, completion(base_step(0, b"half"), stopped_by="user")
                return
            self.asked += 1
            if request.key in self.fails:
                yield request, TOO_LONG
            else:
                no = self.refuses[request.blend.method] and request.key.endswith("unsafe")
                text = b"I cannot help with that." if no else b"Sure."
                yield request, completion(asked_step(0, text), base_step(1, b" "))


def test_the_report_has_every_answer_and_its_outcomes():
    """A method that refuses all that is unsafe pays for safety, and nothing is seen for instructions."""
    pair = Answering({"base": False, "guide": False, "blendin": True})
    seen = []
    report = ask(plan(), pair, on_answer=seen.append)

    assert report.complete
    assert seen == list(range(1, 121))
    assert {purpose: found.word for purpose, found in report.outcomes.items()} == {
        "safety": "pays",
        "instructions": "no difference seen",
    }
    assert report.intervention_rate == 0.5
    assert set(report.seconds) == {"base", "guide", "method"}
    assert report.outcomes["safety"].scores["method"]["refused_unsafe"].value == 1


def test_a_method_that_is_one_model_alone_is_not_asked_twice():
    """With `--method guide` 80 prompts are asked, and the guide is compared with the base."""
    report = ask(plan("guide"), Answering({"base": False, "guide": True}))

    assert len(report.answers) == 80
    assert report.outcomes["safety"].word == "pays"
    assert report.outcomes["safety"].against_guide.difference == 0
    assert report.intervention_rate is None


def test_a_prompt_that_fails_is_left_out_and_told():
    """A prompt that does not fit into the context is compared by nobody; its reason is kept."""
    pair = Answering(dict.fromkeys(("base", "guide", "blendin"), False), fails=("capital",))
    report = ask(plan(), pair)

    assert report.complete
    assert report.outcomes["instructions"].against_base.n == 19
    assert {answer.failed for answer in report.answers if answer.key == "capital"} == {TOO_LONG.message}


def test_a_stop_leaves_what_was_answered():
    """Stopped in the method's answers: half an answer is dropped, the rest is compared, and it says so."""
    pair = Answering(dict.fromkeys(("base", "guide", "blendin"), False), stop_after=110)
    report = ask(plan(), pair, should_stop=pair.should_stop)

    assert not report.complete
    assert len(report.answers) == 110
    assert report.outcomes["safety"].against_base.n == 20
    assert report.outcomes["instructions"].against_base.n == 10


def test_a_stop_before_the_method_has_no_outcome():
    """Then there is nothing to compare."""
    pair = Answering(dict.fromkeys(("base", "guide", "blendin"), False), stop_after=50)
    report = ask(plan(), pair, should_stop=pair.should_stop)

    assert (report.complete, report.outcomes, set(report.seconds)) == (False, {}, {"base", "guide"})


@pytest.mark.slow
def test_a_batch_answers_as_each_prompt_alone(tmp_path):
    """The answers of the probe are those of `respond`, prompt by prompt, and so are their scores."""
    toys = [make_toy(tmp_path / f"{i}.gguf", "plain", seed=i) for i in (1, 2)]
    settings = ModelSettings(ctx_size=4096, threads=1, kv_type="f32", flash_attention="off")
    full = plan(answer=AnswerSettings(loop_guard=False, draft="off"))
    made = replace(full, requests={of: requests[::7] for of, requests in full.requests.items()})
    template = PlainTemplate("t", "hello {text}.", "{text}\n")
    with Pair(PairSetup(*toys, template, settings, settings, n_parallel=6)) as pair:
        together = ask(made, pair)
    with Pair(PairSetup(*toys, template, settings, settings)) as pair:
        alone = {
            (of, r.key): pair.respond(r.messages, blend=r.blend, sampling=r.sampling, answer=r.answer).text
            for of, requests in made.requests.items()
            for r in requests
        }

    assert {(answer.entrant, answer.key): answer.text for answer in together.answers} == alone
    for answer in together.answers:
        _, item = made.prompts[answer.key]
        assert PURPOSES[answer.purpose].score(item, alone[answer.entrant, answer.key]).scores == answer.scores


def words(report, rates=None):
    return {found.purpose: found for found in probe_verdicts(report, rates or {})}


def test_a_verdict_says_what_was_seen_and_how_many_prompts_it_takes():
    """For each purpose the word, the shares with intervals, what was gained and lost, and the next step."""
    report = ask(plan(), Answering({"base": False, "guide": False, "blendin": True}))
    safety, instructions = words(report).values()

    assert (safety.name, safety.purpose) == ("pays", "safety")
    assert safety.reasons[0].startswith("blendin is right on 100.0 % (")
    assert "the base alone on 50.0 %" in safety.reasons[0]
    assert "of 20 prompts blendin gains 10 and loses none against the base: +50.0 %" in safety.reasons[1]
    assert safety.reasons[1].endswith("p 0.002")
    assert safety.reasons[-1].startswith("against the guide alone blendin has +50.0 %")
    assert safety.advice == ""
    assert instructions.name == "no difference seen"
    assert instructions.reasons[-1] == "20 prompts can show a difference of 30 % or more"
    assert instructions.advice == "ask more: blendin eval --benchmarks ifeval"


def test_a_verdict_that_hurts_and_a_guide_that_is_as_good():
    """Losing to the base is said with what to do; a guide that does as well is named where it pays."""
    hurts = words(ask(plan(), Answering({"base": True, "guide": False, "blendin": False})))["safety"]
    equal = words(ask(plan(), Answering({"base": False, "guide": True, "blendin": True})))["safety"]

    assert (hurts.name, hurts.advice) == ("hurts", "use --method base for this")
    assert equal.name == "pays"
    assert any(reason.startswith("the guide alone is as good or better") for reason in equal.reasons)
    assert "--method guide" in equal.advice


def test_how_often_the_probe_was_right_stands_beside_its_verdict():
    """Each verdict has the counts of its own purpose, where there are any."""
    report = ask(plan(), Answering({"base": False, "guide": False, "blendin": True}))
    rates = {"probe": {"safety": HitRate(7, 2)}, "over-intervening": {"safety": HitRate(4, 5)}}
    safety, instructions = words(report, rates).values()

    assert safety.reasons[-1] == "of the pairs that were evaluated, this was right for safety on 7 of 9"
    assert instructions.reasons == words(report)["instructions"].reasons


def test_the_rows_are_counts_of_prompts():
    """Base, guide and method side by side; a method that is one model alone has no time of its own."""
    both = probe_rows(ask(plan(), Answering({"base": False, "guide": False, "blendin": True})))
    alone = probe_rows(ask(plan("guide"), Answering({"base": False, "guide": True})))

    assert both[:3] == [
        ("unsafe requests refused", "0 of 10", "0 of 10", "10 of 10"),
        ("safe requests not refused", "10 of 10", "10 of 10", "10 of 10"),
        ("instructions followed", "0 of 20", "0 of 20", "0 of 20"),
    ]
    assert both[3] == ("guide asked", "", "", "50.0 %")
    assert alone[-1] == ("time", "0 s", "0 s", "")
