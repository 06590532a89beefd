"""Settings chosen on a validation set: the appendix_a4_search, the verdict, going on, and a wanted rate."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.errors import UsageError
from blendin_local.jobs.scoring.items import Item
from blendin_local.jobs.tune.report import judge, least_gain
from blendin_local.jobs.tune.search import appendix_a4_search, default_of, target_rate_search
from blendin_local.jobs.tune.setting import TrialSetting
from blendin_local.jobs.tune.user_dataset import is_number, score, user_dataset
from blendin_local.settings import BlendSettings
from tests.jobs.tunings import ScriptedOutcome, SettledAnswers, searched, trial_runner, tried

DEFAULT = TrialSetting(BlendSettings())


def likes(alpha, threshold=0.4):
    """A pair that is right more often the nearer its settings come to these."""

    def right(blend, number):
        of_alpha = 0.5 if blend.alpha is None else abs(blend.alpha - alpha)
        return number % 10 >= 20 * of_alpha + 20 * abs(blend.threshold - threshold)

    return right


def test_the_protocol_is_that_of_appendix_a4():
    """Alpha at 0.4, the best number +- 0.1, then the threshold with the best alpha; nothing twice."""
    fitted = BlendSettings(alpha="calibrated", base_temperature=1.5, guide_temperature=2.0)
    asked_for = searched(
        appendix_a4_search(DEFAULT, [TrialSetting(fitted)]),
        lambda setting: ScriptedOutcome({0.6: 1.0, 0.7: 0.5}.get(setting.blend.alpha, 0.0)),
    )

    assert [(setting.blend.threshold, setting.blend.alpha) for setting in asked_for] == [
        (0.4, None), (0.4, 0.3), (0.4, 0.5), (0.4, 0.7), (0.4, "calibrated"), (0.4, 0.6), (0.4, 0.8),
        (0.3, 0.6), (0.5, 0.6),
    ]  # fmt: skip


@given(st.randoms())
def test_the_protocol_tries_at_most_eight_settings_and_each_once(random):
    """Whatever the scores, no more than eight trials without `calibrated`, the defaults first."""
    asked_for = searched(appendix_a4_search(DEFAULT), lambda _: ScriptedOutcome(random.random()))

    assert asked_for[0] == DEFAULT
    assert len(asked_for) == len(set(asked_for)) <= 8


@pytest.mark.slow
@given(st.lists(st.floats(0.01, 0.99), min_size=200, max_size=300), st.floats(0.05, 0.95))
def test_a_rate_that_can_be_reached_is_reached(top1_probs, rate):
    """Where a threshold with that rate exists, the search ends at one within the tolerance."""
    ranked = tuple(sorted(top1_probs))

    def outcome_of(setting):
        below = sum(p < setting.blend.threshold for p in ranked)
        return ScriptedOutcome(0.0, below / len(ranked), ranked)

    reachable = min(abs(sum(p < cut for p in ranked) / len(ranked) - rate) for cut in (*ranked, 1.0))
    asked_for = searched(target_rate_search(DEFAULT, rate), outcome_of)

    if reachable < 0.01 and len(set(ranked)) == len(ranked):
        assert min(abs(outcome_of(setting).intervention_rate - rate) for setting in asked_for) <= 0.02


@pytest.mark.slow
def test_the_best_setting_is_found_and_kept(tmp_path):
    """A pair that is clearly best at alpha 0.6 and threshold 0.3 is tuned to them."""
    found = tried(trial_runner(tmp_path), SettledAnswers(likes(0.6, 0.3)), appendix_a4_search(DEFAULT))
    report = judge(trial_runner(tmp_path).benchmark, found)

    assert (report.best.setting.blend.alpha, report.best.setting.blend.threshold) == (0.6, 0.3)
    assert report.conclusion == "better"
    assert report.chosen is report.best
    assert report.best_minus_default.low > 0


def test_a_difference_within_noise_keeps_the_defaults(tmp_path):
    """One question more of sixty is called noise, and the defaults stay."""
    found = tried(
        trial_runner(tmp_path),
        SettledAnswers(lambda blend, n: n % 2 == 0 or (n == 7 and blend.alpha == 0.5)),
        appendix_a4_search(DEFAULT),
    )
    report = judge(trial_runner(tmp_path).benchmark, found)

    assert report.best.setting.blend.alpha == 0.5
    assert report.best_minus_default.value > 0
    assert report.conclusion == "within noise"
    assert report.chosen is report.default


@pytest.mark.slow
def test_chance_among_many_comparisons_is_allowed_for(tmp_path):
    """An interval above 0 is not enough where it is the best of eight."""
    gained = {1, 3, 5, 7, 9, 11}
    found = tried(
        trial_runner(tmp_path, 100),
        SettledAnswers(lambda blend, n: n % 2 == 0 or (n in gained and blend.alpha == 0.5)),
        appendix_a4_search(DEFAULT),
    )
    report = judge(trial_runner(tmp_path, 100).benchmark, found)

    assert report.best_minus_default.low > 0
    assert report.best_minus_default.p < 0.05 < report.corrected_p
    assert report.conclusion == "within noise"


@pytest.mark.parametrize("more", [0, -1])
def test_the_least_gain_is_where_the_conclusion_turns(tmp_path, more):
    """So many questions gained are better beyond noise, one fewer is noise; few questions show nothing."""
    n, comparisons = 12, 7
    least = least_gain(n, comparisons)
    settings = appendix_a4_search(DEFAULT)
    found = tried(
        trial_runner(tmp_path, n), SettledAnswers(lambda b, i: b.alpha == 0.5 and i < least + more), settings
    )
    report = judge(trial_runner(tmp_path, n).benchmark, found)

    assert len(found) == comparisons + 1
    assert report.conclusion == ("within noise" if more else "better")
    assert least_gain(20, comparisons) == 7
    assert least_gain(2, comparisons) is None


def test_all_trials_are_reported(tmp_path):
    """Every trial is in the JSON in order, with its score, its difference and its rates."""
    found = tried(trial_runner(tmp_path), SettledAnswers(likes(0.5)), appendix_a4_search(DEFAULT))
    record = json.loads(json.dumps(judge(trial_runner(tmp_path).benchmark, found).to_json()))

    assert [(trial["threshold"], trial["alpha"]) for trial in record["trials"]] == [
        (setting.blend.threshold, setting.blend.alpha_name) for setting in found
    ]
    assert record["comparisons"] == len(found) - 1
    for trial in record["trials"]:
        assert trial["failed"] == 1
        assert trial["minus_default"]["n"] == trial["score"]["n"] == 60


@pytest.mark.slow
def test_stopped_at_any_answer_and_gone_on_with_it_says_the_same(tmp_path):
    """Stopped after every 37 answers, the trials in the end are those of one run, and none is asked twice."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, parts = trial_runner(tmp_path / "whole"), trial_runner(tmp_path / "parts")
    uninterrupted = SettledAnswers(likes(0.7))
    found = tried(whole, uninterrupted, appendix_a4_search(DEFAULT))
    asked, pieces = [], {}
    for _ in range(100):
        pair = SettledAnswers(likes(0.7), stop_after=37)
        pieces = tried(parts, pair, appendix_a4_search(DEFAULT))
        asked += pair.seen
        if not pair.stopped:
            break
    else:
        pytest.fail("it never ends")

    assert judge(parts.benchmark, pieces).to_json() == judge(whole.benchmark, found).to_json()
    assert len(asked) == len(set(asked)) == len(uninterrupted.seen)


def test_trials_on_other_questions_are_not_mixed(tmp_path):
    """A directory keeps to the questions it was begun with."""
    trial_runner(tmp_path, 60)

    with pytest.raises(UsageError, match="other questions"):
        trial_runner(tmp_path, 61)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 0.25, 0.6])
def test_a_wanted_rate_is_reached(tmp_path, rate):
    """The threshold found asks the guide at that share of the steps, within the tolerance, in a real run."""
    on = trial_runner(tmp_path)
    found = tried(on, SettledAnswers(likes(0.5)), appendix_a4_search(DEFAULT))
    chosen = judge(on.benchmark, found).chosen.setting
    tried(on, SettledAnswers(likes(0.5)), target_rate_search(chosen, rate), into=found)
    report = judge(on.benchmark, found, rate)

    assert report.chosen.setting.blend.alpha == chosen.blend.alpha
    assert report.chosen.intervention_rate == pytest.approx(rate, abs=0.02)


def test_the_defaults_are_the_papers():
    """Whatever the pair's own settings, the comparison is with threshold 0.4 and alpha auto."""
    mine = BlendSettings(method="nudging", threshold=0.7, alpha=0.2, agreement_bonus=0.3)

    assert default_of(mine) == BlendSettings(agreement_bonus=0.3)
    assert replace(default_of(mine), agreement_bonus=0.1) == DEFAULT.blend


@pytest.mark.parametrize(
    ("answer", "said", "right"),
    [
        ("42", "It is 17 + 25 = 42.", 1),
        ("42", "42, or 43", 0),
        ("1,000", "That makes 1000", 1),
        ("-3", "so x = -3", 1),
        ("$5", "It costs 5.00 dollars", 1),
        ("7", "seven", 0),
        ("Paris", "The capital is PARIS, of course.", 1),
        ("Paris", "Parisians live there", 0),
        ("New York", "new  york!", 1),
        ("Paris", "", 0),
        ("Paris", "Rome.\nQuestion: And France?\nParis", 0),
    ],
)
def test_how_own_answers_are_scored(answer, said, right):
    """A number by the last number said, a text by being said word for word."""
    rule = "last number" if is_number(answer) else "contains the answer"
    item = Item("k", "p", reference={"answers": (answer,), "rule": rule})

    assert score(item, said).scores == {"right": right}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"prompt": "a"}', "there is no answer"),
        ('{"prompt": "a", "answer": {"b": 1}}', "not a text or a number"),
        ('{"prompt": "a", "answer": "..."}', "not a text or a number"),
        ('{"prompt": "a", "answer": []}', "not a text or a number"),
        ('{"prompt": " ", "answer": 1}', "prompt is"),
        ("{", "not JSON"),
        ("[1]", "not an object"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path, line, words):
    """What is wrong with a validation set is said with its line."""
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "x", "answer": 1}\n' + line + "\n")

    with pytest.raises(UsageError, match=words) as caught:
        user_dataset(path).load(tmp_path)
    assert "line 2" in caught.value.message
