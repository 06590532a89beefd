"""Laws of what the benchmark says about drafts: guesses, predicted speed, verdict, old records."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.prompts import PlainTemplate
from blendin_local.core.token_scores import TokenScore
from blendin_local.jobs.bench.compare import compare, mismatches
from blendin_local.jobs.bench.drafts import interpolated, predicted_speed
from blendin_local.jobs.bench.guesses import Guess, guesses_along, guesses_of, rates_by_depth
from blendin_local.jobs.bench.job import ResolvedBench, measure
from blendin_local.jobs.bench.report import Workload, measurements_in
from blendin_local.jobs.bench.verdict import verdict
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings
from tests.jobs.benches import a_bench, fixed, some_drafts
from tests.toys import make_toy

sureness = st.floats(0.01, 1)
rates = st.lists(st.floats(0, 1), min_size=1, max_size=15)
cost = st.floats(0.01, 2)
answers = st.lists(st.lists(st.builds(Guess, sureness, st.booleans()), min_size=1, max_size=30), min_size=1)


@st.composite
def two_cuts(draw):
    """The lengths of the steps of a text, and the guide's tokens of the same text with what it thought."""
    steps = draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    lengths, left = [], sum(steps)
    while left:
        lengths.append(draw(st.integers(1, min(left, 5))))
        left -= lengths[-1]
    return steps, [(n, draw(sureness), draw(st.booleans())) for n in lengths]


@given(two_cuts(), st.integers(0, 3))
def test_a_step_is_guessed_if_all_tokens_in_it_are(cuts, n_prompt):
    """Steps and tokens may be cut differently: a step is as sure as the least sure token that touches it."""
    steps, tokens = cuts
    scores, start = [TokenScore(i, b"p", -1.0, 0.5, True) for i in range(n_prompt)], n_prompt
    for length, top_p, is_top in tokens:
        scores.append(TokenScore(start, b"x" * length, -1.0, top_p, is_top))
        start += length
    guesses = guesses_of(scores, [b"x" * n for n in steps])

    begin = n_prompt
    for length, guess in zip(steps, guesses, strict=True):
        touching = [
            score
            for score in scores[n_prompt:]
            if score.start < begin + length and begin < score.start + len(score.token_bytes)
        ]
        assert guess.probability == min(score.top_p for score in touching)
        assert guess.came_true == all(score.top_is_token for score in touching)
        begin += length


@given(answers, st.integers(1, 15))
def test_rates_are_shares_of_the_guesses_reached(found, n):
    """The first rate is the share of guesses that came true; all are shares, as many as asked."""
    known = rates_by_depth(found, n)
    everything = [guess.came_true for answer in found for guess in answer]

    assert len(known) == n
    assert known[0] == pytest.approx(sum(everything) / len(everything))
    assert all(0 <= rate <= 1 for rate in known)


def test_a_later_guess_counts_only_after_those_before_it():
    """Of right, right, wrong, repeated: a first guess is right two times of three, a second one of two."""
    answer = [Guess(0.9, right) for right in (True, True, False) * 20]
    first, second, third = rates_by_depth([answer], 3)

    assert first == pytest.approx(2 / 3)
    assert second == pytest.approx(1 / 2, abs=0.02)
    assert third == 0


@given(rates, cost, cost, st.lists(st.floats(1, 4), min_size=15, max_size=15))
def test_the_best_draft_is_never_slower_than_none(known, guide_cost, asked_cost, curve):
    """Without drafts a step costs 1 + g; with the best length no more, with a cheaper guide no more still."""
    costs = {1: 1.0, **{n + 2: value * (n + 2) / 4 for n, value in enumerate(curve)}}
    seconds = interpolated(costs)
    without, drafts, length = predicted_speed(seconds, guide_cost, asked_cost, known)
    _, cheaper, _ = predicted_speed(seconds, guide_cost / 10, asked_cost / 10, known)

    assert without == pytest.approx(1 / (1 + asked_cost))
    assert drafts >= without
    assert (length == 0) == (drafts == without)
    assert cheaper >= drafts


def test_the_costs_decide_on_the_length():
    """Tokens that cost nothing more make the longest draft best, tokens that share nothing none."""
    assert predicted_speed(lambda _: 1.0, 0.001, 0.0, [1.0] * 7)[2] == 7
    assert predicted_speed(float, 0.001, 0.0, [1.0] * 7)[2] == 0


def test_the_verdict_says_what_drafts_bring():
    """What was measured decides whether they save something; the costs of two tokens and a tenth are said."""
    nothing = verdict(a_bench(drafts=some_drafts(gain=1.0)))
    assert "drafts save nothing here: 2 tokens at once cost 1.8 times one" in nothing
    assert "they should give 1.30 times the speed of the base alone, 0.70 without" in nothing

    assert "drafts give 1.20 times the tokens/s: 2 tokens at once cost 1.1" in verdict(
        a_bench(drafts=some_drafts(gain=1.2), two=1.1)
    )
    assert "tenth" not in verdict(a_bench(drafts=some_drafts(guide_cost=0.08)))
    assert "memory allows no drafts" in verdict(a_bench(drafts=some_drafts(), two=None))
    assert "draft" not in verdict(a_bench())


def test_the_verdict_says_that_no_guide_would_help():
    """Where no length pays even with a guide of a tenth, that is said instead of a figure."""
    drafts = some_drafts()
    tenth = replace(drafts.predicted["a_tenth"], length=fixed(0))
    said = verdict(a_bench(drafts=replace(drafts, predicted={**drafts.predicted, "a_tenth": tenth})))

    assert said.endswith("1.8 times one, nor would they with a guide of a tenth of the base's cost")


def test_records_without_drafts_are_compared():
    """A record of before drafts were measured is the same benchmark, and all that it has is compared."""
    new = json.loads(json.dumps(a_bench(drafts=some_drafts()).to_json()))
    old = {name: value for name, value in new.items() if name != "drafts"}
    for model in old["models"].values():
        del model["draft_cost"]

    assert mismatches(old, new) == []
    assert len(compare(old, new)) == len(measurements_in(old)) > 10


def test_cheaper_drafts_are_better():
    """A draft that costs less is an improvement; how often guesses come true is not rated."""
    slow, fast = (a_bench(two=two, drafts=some_drafts(came_true=two / 2)).to_json() for two in (2.0, 1.2))
    kinds = {change.path: change.kind for change in compare(slow, fast)}

    assert kinds["models", "base", "draft_cost", "2"] == "better"
    assert kinds["drafts", "came_true"] == "noise"


@pytest.mark.parametrize("kind", ["plain", "recurrent"])
def test_drafts_are_measured_where_the_memory_allows_them(tmp_path, kind):
    """Each size once per round; a base that cannot take tokens back has no costs, and the verdict says so."""
    base, guide = make_toy(tmp_path / "b.gguf", kind), make_toy(tmp_path / "g.gguf", "plain", seed=1)
    settings = ModelSettings(ctx_size=512, threads=1)
    template = PlainTemplate("raw", user="{text}", assistant="")
    setup = PairSetup(base, guide, template, base_settings=settings, guide_settings=settings)
    workload = Workload(2, 20, 3, (1, 2, 4), 2, 4, (1,), 3)
    bench = measure(ResolvedBench("toys", setup, BlendSettings(threshold=1.0), workload))

    assert set(bench.models["base"].draft_cost) == (set(workload.at_once) if kind == "plain" else set())
    assert set(bench.models["guide"].draft_cost) == set(workload.at_once)
    assert set(bench.drafts.predicted) == {"this_guide", "a_tenth"}
    assert bench.drafts.predicted["a_tenth"].guide_cost.median == pytest.approx(0.1)
    assert ("allows no drafts" in bench.verdict) == (kind == "recurrent")


@pytest.mark.model
def test_a_guide_guesses_its_own_answer(demo_base_path, demo_guide_path):
    """Along an answer that the guide gave alone nearly every step is its guess; along the base's fewer."""
    settings = ModelSettings(ctx_size=512, threads=1)
    template = PlainTemplate("qa", user="Question: {text}\n", assistant="Answer:")
    setup = PairSetup(
        demo_base_path, demo_guide_path, template, base_settings=settings, guide_settings=settings
    )
    question, limits = "Give me three tips for a job interview.", AnswerSettings(max_tokens=40)
    with Pair(setup) as pair:
        found = {}
        for method in ("guide", "base"):
            completion = pair.respond(question, blend=BlendSettings(method=method), answer=limits)
            found[method] = guesses_along(pair, question, completion)

    shares = {name: sum(each.came_true for each in along) / len(along) for name, along in found.items()}
    assert shares["guide"] >= 0.95
    assert 0.1 < shares["base"] < shares["guide"]
