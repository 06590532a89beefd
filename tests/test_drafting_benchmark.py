"""The simulation of `benchmarks/drafting.py` counts what is evaluated; its measurement runs in turns."""

import importlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.prompts import PlainTemplate
from blendin_local.pair.pair import Pair, PairSetup
from blendin_local.settings import ModelSettings
from tests.paths import ROOT
from tests.toys import make_toy


@pytest.fixture(scope="module", autouse=True)
def scripts():
    """The scripts as modules; neighbours are found as they are when one is run."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("draft_simulation"), importlib.import_module("drafting")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        for name in ("drafting", "draft_simulation"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def simulation(scripts):
    return scripts[0]


@pytest.fixture(scope="module")
def drafting(scripts):
    return scripts[1]


FLAT = {1: 1.0, 16: 1.0}
LINEAR = {1: 1.0, 16: 16.0}
places = st.lists(st.tuples(st.floats(0.01, 1), st.booleans(), st.booleans()), min_size=1, max_size=60)


def answer_of(simulation, found):
    return [simulation.Place(*each) for each in found]


@given(places, st.integers(0, 15))
def test_each_evaluation_gives_one_token_beside_those_that_came_true(simulation, found, k):
    """With calls that all cost one and a free guide, an answer takes its steps less the accepted guesses."""
    played = simulation.play(answer_of(simulation, found), simulation.Costs(FLAT, 0.0), simulation.fixed(k))

    assert played.steps == len(found)
    assert played.spent == pytest.approx(played.steps - played.accepted)
    assert 0 <= played.accepted <= played.drafted


@given(places, st.floats(0.01, 1))
def test_without_drafts_the_guide_costs_what_it_reads(simulation, found, c):
    """On a linear curve every token up to the last question is read once, whenever it is asked."""
    answer = answer_of(simulation, found)
    played = simulation.play(answer, simulation.Costs(LINEAR, c), simulation.fixed(0))
    last = max((i + 1 for i, place in enumerate(answer) if place.asked), default=0)

    assert played.spent == pytest.approx(len(answer) + c * last)


@pytest.mark.parametrize(("points", "calls"), [(LINEAR, 12), (FLAT, 3)])
def test_guesses_that_all_come_true_save_calls(simulation, points, calls):
    """Twelve steps with three guesses each are three calls of four tokens; the guide reads each step once."""
    answer = [simulation.Place(0.9, True, asked=True)] * 12
    played = simulation.play(answer, simulation.Costs(points, 0.5), simulation.fixed(3))

    assert (played.drafted, played.accepted) == (9, 9)
    assert played.spent == pytest.approx(calls + 0.5 * 12)


def test_guesses_that_never_come_true_cost(simulation):
    """Each wrong guess is a token of the guide, and one more in the base's call."""
    answer = [simulation.Place(0.9, False, asked=False)] * 10
    played = simulation.play(answer, simulation.Costs(LINEAR, 0.5), simulation.fixed(1))

    assert (played.drafted, played.accepted) == (9, 0)
    assert played.spent == pytest.approx(10 + 9 + 9 * 0.5)


@given(st.lists(places, min_size=1, max_size=4), st.sampled_from([0.55, 0.25, 0.1]))
def test_the_best_fixed_length_is_no_slower_than_none(simulation, found, c):
    """All lengths are tried, none among them; where nothing is shared our rule makes none."""
    answers = [answer_of(simulation, each) for each in found]
    for points in simulation.CURVES.values():
        predicted = simulation.predict(answers, simulation.Costs(points, c))
        assert predicted.best_fixed.speed >= predicted.lazy.speed
    shares_nothing = simulation.predict(answers, simulation.Costs(LINEAR, c))
    assert shares_nothing.own == shares_nothing.lazy


def test_our_rule_beats_every_fixed_length_where_the_guide_knows_itself(simulation):
    """Runs of sure guesses that come true, then unsure ones that do not: only the rule stops in time."""
    sure, unsure = simulation.Place(0.995, True, asked=False), simulation.Place(0.2, False, asked=False)
    answers = [[*[sure] * 9, *[unsure] * 6] * 4] * 30
    predicted = simulation.predict(answers, simulation.Costs(simulation.CURVES["many cores (assumed)"], 0.1))

    assert predicted.own.speed > predicted.best_fixed.speed > 1


@given(st.integers(1, 40))
def test_a_curve_passes_its_points_and_goes_on(simulation, n):
    """Between two points lies a straight line, and beyond the last it goes on as steep."""
    costs = simulation.Costs({1: 1.0, 2: 2.0, 16: 9.0}, 0.5)

    assert costs.base(n) == pytest.approx(1.0 if n == 1 else 2 + (n - 2) / 2)
    assert costs.of_guide(n) == pytest.approx(costs.base(n) / 2)


def test_recorded_answers_are_read_again(simulation, drafting, tmp_path):
    """What was written is what is read, without answering again."""
    answers = [[simulation.Place(0.5, True, asked=False)], [simulation.Place(0.25, False, asked=True)]]
    path = tmp_path / "answers.json"

    assert drafting.recorded(path, lambda: answers) == answers
    assert drafting.recorded(path, lambda: pytest.fail("they are there")) == answers


def test_every_prompt_is_answered_in_every_way(drafting, tmp_path, capsys):
    """Three answers to each, another one first each time, and medians of the ratios of a prompt."""
    base, guide = (make_toy(tmp_path / f"{role}.gguf", "plain", seed=i) for i, role in enumerate("bg"))
    settings = ModelSettings(ctx_size=256, threads=1)
    setup = PairSetup(
        base,
        guide,
        PlainTemplate("raw", user="{text}", assistant=""),
        base_settings=settings,
        guide_settings=settings,
    )
    with Pair(setup) as pair:
        found = drafting.measure(pair, ["the hello", "a world"], 5)
    drafting.print_measured("free text", found)

    assert [list(each) for each in found] == [["base alone", "off", "auto"], ["off", "auto", "base alone"]]
    assert all(each["base alone"].blend.asked == 0 for each in found)
    assert all(not each[name].timings.drafted for each in found for name in ("base alone", "off"))
    assert "auto / base alone median" in capsys.readouterr().out
