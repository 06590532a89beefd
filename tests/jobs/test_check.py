"""What a check measures and how it judges: on steps and figures written by hand, and on toy models."""

import json
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from blendin_local.core.prompts import Message, PlainTemplate
from blendin_local.core.records import Candidate, CandidateLists, Completion, Step
from blendin_local.core.token_scores import TokenScore, token_score
from blendin_local.errors import ContextFullError
from blendin_local.jobs.check.answers import (
    AnswerStatistics,
    RankStatistics,
    Rate,
    answer_statistics,
    nucleus,
    rank_of,
    rank_statistics,
    ratio,
)
from blendin_local.jobs.check.built_in_texts import built_in_prompts, one_word_answers, reference_passages
from blendin_local.jobs.check.calibration import calibrate
from blendin_local.jobs.check.description import (
    ModelDescription,
    PairDescription,
    VocabularyOverlap,
    overlap,
    speed_class,
)
from blendin_local.jobs.check.hit_rates import HitRate, shipped_hit_rates
from blendin_local.jobs.check.measure import (
    CheckProgress,
    ResolvedCheck,
    describe_files,
    measure,
)
from blendin_local.jobs.check.verdicts import judge, remarks, signals
from blendin_local.jobs.probe.prompts import PURPOSES
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.settings import AnswerSettings, BlendSettings, CheckSettings, ModelSettings
from tests.toys import make_toy

LIMITS = CheckSettings()


def listed(*pieces):
    """Candidates of falling probability: 0.5, 0.25, ..."""
    return tuple(Candidate(piece, 0.5 ** (i + 1)) for i, piece in enumerate(pieces))


def asked(i, said, base, guide, alpha=0.5):
    """An asked step with both lists."""
    lists = CandidateLists(listed(*base), listed(*guide), None)
    source = "kept" if said == base[0] else "changed"
    return Step(i, said, source, alpha, lists.base[0], lists.guide[0], lists)


def plain(i, said=b" x"):
    return Step(i, said, "base", base_top=Candidate(said, 0.9))


def answer(*steps, stopped_by="max_tokens", end=None):
    return Completion("".join(s.text for s in steps), steps, stopped_by, end)


def test_the_guides_choice_is_ranked_among_the_bases():
    """Ranks, heads, the nucleus and who won, by hand."""
    steps = [
        asked(0, b"a", [b"a", b"b"], [b"a"]),  # same choice
        asked(1, b"b", [b"a", b"b"], [b"b"]),  # the guide's, rank 2
        asked(2, b"a", [b"a", b"b"], [b"z"]),  # the base's; the guide's is nowhere
        asked(3, b"c", [b"a", b"b", b"c", b"d", b"e", b"f"], [b"f"]),  # a third; rank 6
    ]
    found = rank_statistics(steps)

    assert found.positions == 4
    assert found.in_top == {"10": 0.75, "50": 0.75, "100": 0.75}
    assert found.in_nucleus == 0.5  # 0.5 + 0.25 + 0.125 + 0.0625 reaches 0.9: the sixth is outside
    assert found.mean_rank == pytest.approx((1 + 2 + 6) / 3)
    assert found.median_rank == 4
    assert found.agree == 0.25
    assert (found.guide_wins, found.base_wins) == pytest.approx((1 / 3, 1 / 3))


def test_a_finished_character_still_counts_as_the_candidate_it_began_with():
    """A step that completes half a character was won by the model whose half it was."""
    whole = "é".encode()
    found = rank_statistics([asked(0, whole, [b"a"], [whole[:1]])])

    assert found.guide_wins == 1


def test_the_end_takes_part():
    """An answer that the guide ends is an asked place too, and its end is not any other word."""
    end = replace(asked(2, b"", [b"a", b""], [b""]), bytes=b"")
    figures = answer_statistics(
        [answer(plain(0), plain(1), stopped_by="guide_end", end=end)], seconds=2.0, parallel=3, seed=0
    )

    assert figures.ranks.guide_wins == 1
    assert figures.ended_by == {"guide_end": 1}
    assert (figures.steps, figures.intervention_rate.value) == (2, 0.0)
    assert figures.tokens_per_second == 1.0


def test_the_nucleus_is_the_smallest_head_of_enough_mass():
    """It stops at the candidate that reaches the mass, and is everything where none does."""
    assert nucleus(listed(b"a", b"b", b"c"), 0.75) == {b"a", b"b"}
    assert nucleus(listed(b"a", b"b", b"c"), 0.76) == {b"a", b"b", b"c"}
    assert nucleus(listed(b"a"), 0.9) == {b"a"}
    assert rank_of(b"z", listed(b"a")) is None


def test_an_interval_counts_answers_not_steps():
    """Answers that are all asked or all not give a wide interval, though there are many steps."""
    even = ratio([20] * 20, [100] * 20, 0)
    uneven = ratio([100] * 4 + [0] * 16, [100] * 20, 0)

    assert (even.value, even.low, even.high) == pytest.approx((0.2, 0.2, 0.2))
    assert uneven.value == pytest.approx(0.2)
    assert uneven.low < 0.06
    assert uneven.high > 0.35
    assert ratio([0], [0], 0) == Rate(0, 0, 0)


def test_alpha_is_counted_in_ten_bins():
    """Every asked step falls into one bin."""
    steps = [asked(i, b"a", [b"a"], [b"b"], alpha) for i, alpha in enumerate((0.05, 0.55, 0.55, 1.0))]
    figures = answer_statistics([answer(*steps)], seconds=1, parallel=1, seed=0)

    assert figures.alpha_counts == (1, 0, 0, 0, 0, 2, 0, 0, 0, 1)
    assert figures.alpha_mean == pytest.approx(2.15 / 4)


def test_vocabularies_meet_as_byte_strings():
    """Shares count kinds; use counts occurrences."""
    pieces = {"base": {b"a", b"b", b"c", b"d"}, "guide": {b"a", b"x"}}
    found = overlap(pieces, {"base": [b"a", b"a", b"a", b"b"], "guide": [b"x"]})

    assert (found.shared, found.share_of_base, found.share_of_guide) == (1, 0.25, 0.5)
    assert (found.base_use, found.guide_use) == (0.75, 0.0)
    assert [speed_class(int(g * 2**30)) for g in (0.1, 1, 4, 10, 40)] == [
        "tiny", "small", "medium", "large", "very large",
    ]  # fmt: skip


def sheet(template="own file"):
    model = ModelDescription(
        "m.gguf", "llama", 10, "Q4_0", 2048, 512, "BPE", 10, False, ("</s>",), template,
        False, False, "plain", "", 9, 9,
    )  # fmt: skip
    return PairDescription({"base": model, "guide": model}, VocabularyOverlap(1, 1, 1, 1, 1), "tiny", 2.0)


def figures(rate=0.1, changed=0.05, *, guide_wins=0.6, agree=0.2, ended=None, prompts=20, width=0.02):
    ranks = RankStatistics(50, {"10": 0.9}, 0.9, 2.0, 1.0, agree, guide_wins, 1 - guide_wins)
    rates = (Rate(r, r - width, r + width) for r in (rate, changed))
    ended = ended or {"guide_end": prompts}
    return AnswerStatistics(prompts, {}, 1000, *rates, ranks, 0.5, (0,) * 10, ended, 1.0, 1000.0, 1)


def names(*args, **kwargs):
    answers = figures(*args, **kwargs)
    found = (*signals(answers, LIMITS, {}), *judge(sheet(), answers, 0.99, LIMITS))
    return [verdict.name for verdict in found]


def test_signals_and_verdicts_on_figures_written_by_hand():
    """Each where its figures say so, and none where none does."""
    assert names() == []
    assert names(0.2) == []
    assert names(0.21) == ["over-intervening"]
    assert names(changed=0.01) == ["base alone is as good"]
    assert names(0.7, 0.5) == ["over-intervening"]
    assert names(0.7, 0.5, guide_wins=0.95) == ["over-intervening", "guide alone is as good"]
    assert names(ended={"repetition": 10, "max_tokens": 10}) == ["template suspect"]
    assert names(ended={"repetition": 10, "guide_end": 1, "max_tokens": 9}) == []
    assert names(ended={"repetition": 2, "max_tokens": 18}) == []
    assert signals(None, LIMITS, {}) == ()


def test_a_signal_says_how_often_it_was_right():
    """The counts by purpose where there are any, and nothing of the kind where there are none."""
    rates = {"over-intervening": {"safety": HitRate(4, 5), "instructions": HitRate(6, 3)}}
    [counted] = signals(figures(0.3), LIMITS, rates)
    [uncounted] = signals(figures(0.3), LIMITS, {"probe": {"safety": HitRate(1, 1)}})

    assert counted.reasons[-1] == (
        "of the pairs that were evaluated, this was right for safety on 4 of 9 and for instructions on 6 of 9"
    )
    assert counted.reasons[:-1] == uncounted.reasons


def test_the_counts_that_ship_are_counts():
    """Whatever signals.json holds is about signals and purposes that there are, each pair counted once."""
    path = resources.files("blendin_local.jobs.check").joinpath("data", "signals.json")
    pairs = json.loads(path.read_text())["pairs"]
    for signal, found in shipped_hit_rates().items():
        assert signal in {"probe", "over-intervening"}
        assert set(found) <= set(PURPOSES)
        assert {rate.right + rate.wrong for rate in found.values()} <= {len(pairs)}


def test_a_template_is_suspect_without_any_answer():
    """A file without a template says so by itself; so does a guide that knows no end."""
    [verdict] = judge(sheet(template=""), None, None, LIMITS)
    assert verdict.name == "template suspect"
    assert "m.gguf has no chat template" in verdict.reasons[0]
    [verdict] = judge(sheet(), figures(), 0.015, LIMITS)
    assert verdict.name == "template suspect"
    assert "0.015, less than 0.25" in verdict.reasons[0]
    assert judge(sheet(), figures(), 0.43, LIMITS) == ()
    assert judge(sheet(), None, None, LIMITS) == ()


def test_an_interval_across_the_limit_is_said():
    """Where the interval of a signal reaches below its limit, more prompts are recommended."""
    [near], [far] = (signals(figures(rate, width=0.05), LIMITS, {}) for rate in (0.21, 0.26))
    assert any("more prompts" in reason for reason in near.reasons)
    assert not any("more prompts" in reason for reason in far.reasons)


class ScriptedReader:
    """Both are 70 % sure at every fourth letter, and right at every other of these; else 90 %, and right."""

    def read(self, role, prompt, *, temperature_profile, should_stop):
        del should_stop
        assert temperature_profile
        if "long" in prompt:
            raise ContextFullError(n_prompt=9, n_ctx=3)
        width = 1 if role == "base" else 2
        for i in range(0, len(prompt), width):
            unsure = i % 4 == 0
            yield place(
                i, prompt[i : i + width].encode(), 0.3 if unsure else 0.9, hit=i % 8 == 0 or not unsure
            )


def place(start, piece, top_p, *, hit):
    logits = np.log(np.array([top_p, 0.95 - top_p, 0.05], dtype=np.float32))
    return token_score(logits, int(logits.argmax()) if hit else 2, start, piece, temperature_profile=True)


def test_uncertain_places_are_the_bases_at_shared_boundaries():
    """The guide's uncertain places are those of the base where a token of its own begins."""
    found = calibrate(ScriptedReader(), ["a" * 64, "too long"], 0.75)

    assert found["base"].everywhere.positions == 64
    assert found["guide"].everywhere.positions == 32
    assert found["base"].uncertain.positions == 16
    assert found["guide"].uncertain.positions == 16
    assert isinstance(
        next(ScriptedReader().read("base", "a", temperature_profile=True, should_stop=bool)), TokenScore
    )
    assert calibrate(ScriptedReader(), ["too long"], 0.75) == {}


def test_untrustworthy_confidence_is_remarked():
    """At uncertain places both are sure of 70 % and right half of the time."""
    found = calibrate(ScriptedReader(), ["a" * 640], 0.75)

    assert [("too sure" in remark, "base is uncertain" in remark) for remark in remarks(found, LIMITS)] == [
        (True, True)
    ] * 2


TEMPLATE = PlainTemplate("t", "hello {text}.", "{text}\n")


@pytest.fixture(scope="module")
def toy_plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    settings = ModelSettings(ctx_size=512, threads=1)
    base, guide = (make_toy(folder / f"{i}.gguf", "plain", seed=i) for i in (1, 2))
    setup = PairSetup(base, guide, TEMPLATE, settings, settings, n_parallel=2)
    answer = AnswerSettings(max_tokens=12, top_logprobs=100)
    blend = BlendSettings(threshold=0.5)
    requests = [
        Request(str(i), [Message("user", f"the world {word}")], blend, answer=answer)
        for i, word in enumerate(("hello", "a", "hell", "door"))
    ]
    passages = ["hello the world. a door", "the hello world or the a door."]
    return ResolvedCheck(setup, {"base": "a", "guide": "b"}, "", requests, passages, 0.5)


def test_a_check_on_toys_from_start_to_end(toy_plan):
    """Everything is measured; the same check again says the same; its JSON is plain."""
    stages = []
    before = describe_files(toy_plan)
    with Pair(toy_plan.setup) as pair:
        check = measure(toy_plan, before, pair, on_progress=stages.append)
        again = measure(toy_plan, before, pair)

    assert before.description.overlap.share_of_base == 1.0
    assert "may be aligned already" in check.remarks[0]
    assert check.answers.prompts == 4
    assert check.answers.steps == sum(check.answers.ended_by.values()) * 12
    assert check.answers.intervention_rate.value > 0.5
    assert [signal.name for signal in check.signals] == ["over-intervening"]
    assert check.probe is None
    assert check.complete
    assert stages[-1] == CheckProgress("text", 2, 2)
    assert again.answers.intervention_rate == check.answers.intervention_rate
    assert again.calibration == check.calibration
    record = json.loads(json.dumps(check.to_json()))
    assert (record["kind"], record["version"]) == ("blendin-check", 1)
    assert record["temperatures"] == check.temperatures
    assert record["sheet"] == record["description"]
    assert record["answers"]["lanes"] == record["answers"]["parallel"] == 2
    assert record["answers"]["ranks"]["places"] == check.answers.ranks.positions
    assert record["calibration"]["base"]["everywhere"]["places"] > 0


def test_a_stopped_check_is_no_verdict(toy_plan):
    """What was measured until then is kept, marked as incomplete, and not judged."""
    calls = iter(range(1000))
    with Pair(toy_plan.setup) as pair:
        check = measure(toy_plan, describe_files(toy_plan), pair, lambda: next(calls) > 40)

    assert not check.complete
    assert check.verdicts == ()
    assert check.calibration == {}


def test_the_end_is_not_measured_where_the_guide_thinks_aloud_first(toy_plan):
    """An answer without a thought is then no answer of its own; its template is not suspected for that."""
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}<think>\n"
    setup = replace(toy_plan.setup, guide_template=template, n_parallel=1)
    for thinking in (False, True):
        plan = replace(toy_plan, setup=replace(setup, thinking=thinking), requests=(), passages=())
        with Pair(plan.setup) as pair:
            check = measure(plan, describe_files(plan), pair)
        assert (check.end_p is None) == thinking


def test_the_shipped_texts_are_what_they_should_be():
    """Enough prompts, all different, and passages that fit into a small context."""
    prompts = built_in_prompts().read_text(encoding="utf-8").splitlines()

    assert 20 <= len(set(prompts)) == len(prompts) <= 40
    passages = reference_passages()
    assert 1400 < sum(len(passage.split()) for passage in passages) < 2500
    assert max(len(passage) for passage in passages) < 2000
    assert all(passage.strip() for passage in passages)
    answers = one_word_answers()
    assert len(dict(answers)) == 12
    assert all(answer.isalpha() and question.endswith("with one word.") for question, answer in answers)


@pytest.mark.model
def test_the_demo_pair_is_over_intervening(demo_base_path, demo_guide_path):
    """The demo pair asks too often, its template fits, and both temperatures are near 1."""
    from blendin_local.models.registry import load_registry

    template = load_registry().templates["qa"]
    settings = ModelSettings(ctx_size=512)
    setup = PairSetup(demo_base_path, demo_guide_path, template, settings, settings, n_parallel=6)
    answer = AnswerSettings(max_tokens=24, top_logprobs=100)
    prompts = built_in_prompts().read_text(encoding="utf-8").splitlines()[:6]
    requests = [Request(p, [Message("user", p)], BlendSettings(), answer=answer) for p in prompts]
    plan = ResolvedCheck(setup, {"base": "b", "guide": "g"}, "", requests, reference_passages()[:2], 0.4)
    with Pair(setup) as pair:
        check = measure(plan, describe_files(plan), pair)

    assert "over-intervening" in [signal.name for signal in check.signals]
    assert check.end_p > LIMITS.end_p
    assert check.description.overlap.guide_use > 0.9
    assert all(0.8 < t < 1.3 for t in check.temperatures.values())
    assert check.calibration["base"].bits_per_byte < 2
