"""How tuned and replayed answers look: what they say, and that it fits a terminal of 80 columns."""

from __future__ import annotations

import pytest

from blendin_local.core.candidates import END
from blendin_local.jobs.replay.replayed_answer import replay_answer
from blendin_local.jobs.replay.report import ReplayReport
from blendin_local.jobs.tune.report import judge
from blendin_local.jobs.tune.search import appendix_a4_search
from blendin_local.jobs.tune.setting import TrialSetting
from blendin_local.settings import AnswerSettings, BlendSettings
from blendin_local.views.replay import replay_view, replays_view
from blendin_local.views.tune import tune_view
from tests.answers import rendered
from tests.jobs.replays import answered, stored
from tests.jobs.steerings import search_of_eleven_layers
from tests.jobs.tunings import SettledAnswers, trial_runner, tried

FITTED = TrialSetting(BlendSettings(base_temperature=1.2, guide_temperature=2.0))
CALIBRATED = FITTED.with_blend(alpha="calibrated")


def tuned(folder, right, **more):
    folder.mkdir(exist_ok=True)
    on = trial_runner(folder)
    return judge(
        on.benchmark, tried(on, SettledAnswers(right), appendix_a4_search(FITTED, [CALIBRATED])), **more
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "words"),
    [
        (lambda blend, n: blend.alpha is None, ["No setting scored higher", "Use threshold 0.4, alpha auto"]),
        (lambda blend, n: blend.alpha == 0.3 or n % 3, ["Better than the defaults", "alpha 0.3"]),
        (
            lambda blend, n: n % 2 or (n == 2 and blend.alpha == "calibrated"),
            ["Within noise", "defaults are kept"],
        ),
    ],
)
def test_the_trials_fit_80_columns_and_end_in_a_sentence(tmp_path, right, words):
    """Every heading and number is whole, and the one row that is marked is what the sentence says to use."""
    report = tuned(tmp_path, right)
    shown = rendered(tune_view(report))

    assert "…" not in shown
    assert "calibrated" in shown
    assert shown.count("▸") == 1
    assert marked(shown) == report.chosen.name
    assert f"Use {report.chosen.name}" in " ".join(shown.split())
    assert "1 question without an answer" in shown
    for word in words:
        assert word in " ".join(shown.split())


def marked(shown):
    """The settings of the row that is marked."""
    [row] = (line.split() for line in shown.splitlines() if "▸" in line)
    return f"threshold {row[0].removeprefix('▸')}, alpha {row[1]}"


def test_the_mark_is_at_the_advice_and_not_at_the_highest_score(tmp_path):
    """Within noise the defaults are marked, for a target rate its setting, in an unfinished search none."""
    chance = lambda blend, n: n % 2 or (n == 2 and blend.alpha == 0.7)  # noqa: E731
    report, aimed = tuned(tmp_path / "a", chance), tuned(tmp_path / "b", chance, target_rate=0.1)
    shown = rendered(tune_view(report))

    assert report.best is not report.chosen
    assert marked(shown) == report.chosen.name == "threshold 0.4, alpha auto"
    [best] = (line for line in shown.splitlines() if " best " in line and "vs" not in line)
    assert best.split()[1] == "0.7"
    assert marked(rendered(tune_view(aimed))) == aimed.chosen.name
    assert "▸" not in rendered(tune_view(tuned(tmp_path / "c", chance, finished=False)))


@pytest.mark.parametrize(
    ("right", "words"),
    [
        (lambda blend, n: n % 2, "higher than the unsteered base. Leave it unsteered."),
        (
            lambda blend, n: n % 2 or (n == 2 and blend.method == "steer"),
            "may be chance. Leave it unsteered.",
        ),
        (lambda blend, n: n % 2 or blend.method == "steer", "Use scale 0.25, layers 100-110."),
    ],
)
def test_a_search_for_scale_and_layers_fits_80_columns(tmp_path, right, words):
    """With the share of prompts at which the gate opened, and no column of blending."""
    on = trial_runner(tmp_path, 24)
    report = judge(on.benchmark, tried(on, SettledAnswers(right), search_of_eleven_layers()))
    shown = rendered(tune_view(report))
    _, heads, _, *rows = shown.splitlines()

    assert " ".join(heads.split()) == "scale layers score (95 %) vs base vs best gate open"
    assert [row.split()[0].strip("▸") for row in rows[:6]] == ["0", "0.25", "0.5", "1", "0.25", "0.25"]
    assert [row.split()[1] for row in rows[1:6]] == ["100-110"] * 3 + ["100-104", "105-110"]
    assert "%" not in rows[0]
    assert all(row.rstrip().endswith("52.2 %") for row in rows[1:6])
    assert [rows.index(row) for row in rows if "▸" in row] == [report.trials.index(report.chosen)]
    assert words in " ".join(shown.split())
    assert not {"…", "asked", "changed", "threshold", "defaults"} & set(shown.split())


def test_the_target_rate_and_the_rate_reached(tmp_path):
    """With a target rate the sentence names both."""
    shown = rendered(tune_view(tuned(tmp_path, lambda *_: True, target_rate=0.4)))

    assert "the target is 40.0 %" in " ".join(shown.split())


def recordings(folder, n):
    made = []
    for i in range(n):
        answer = AnswerSettings(max_tokens=8, evidence=True)
        base = lambda text, i=i: {b" word": 0.28 + i / 20, END: 0.1}  # noqa: E731
        completion = answered(base, lambda _: {b"\n": 0.6, b" x": 0.3}, BlendSettings(), answer=answer)
        made.append(stored(folder / f"answer-{i}.jsonl", completion))
    return made


def test_a_replayed_answer_fits_80_columns(tmp_path):
    """The step that differs stands with both lists and both blends, the winners marked."""
    [recording] = recordings(tmp_path, 1)
    shown = rendered(replay_view(replay_answer(recording, BlendSettings(alpha=0.2))))

    assert "…" not in shown
    assert "alpha auto → 0.2" in shown
    assert shown.count("▸") == 2
    assert "Step 0 is the first that differs" in shown


def test_changed_settings_are_shown_as_users_write_them(tmp_path):
    """Words for values that have one, and no more digits than a number needs."""
    [recording] = recordings(tmp_path, 1)
    other = BlendSettings(threshold=0.35, dial=0.0, guide_weight=(1.0, 3.0))
    shown = rendered(replay_view(replay_answer(recording, other)), 200)

    assert "replayed with threshold 0.4 → 0.35, dial 1 → 0, guide weight equal → 1 3" in shown


def test_many_replayed_answers_are_a_table_with_a_sum(tmp_path):
    """Every answer has its line, and the sum counts the outcomes."""
    replays = [
        replay_answer(recording, BlendSettings(threshold=0.31)) for recording in recordings(tmp_path, 4)
    ]
    shown = rendered(replays_view(ReplayReport("b.jsonl", replays)))

    assert all(f"answer-{i}.jsonl" in shown for i in range(4))
    assert "4 answers: 2 the same, 2 differ, 0 unknown" in " ".join(shown.split())
