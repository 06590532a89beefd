"""What an evaluation counts, keeps and compares. The pair is scripted, so every number is known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.folder import Folder, read_items
from blendin_local.jobs.evaluation.spec.plan import keep_plan, read_plan
from blendin_local.jobs.evaluation.spec.variants import Variant, old_name_notes, variants_of
from blendin_local.jobs.scoring.statistics import Group, group_difference, mcnemar
from blendin_local.reports.evaluation.files import report_json
from blendin_local.settings import BlendSettings
from tests.jobs.evaluation.evaluations import N_ITEMS, SUMS, Evaluation, KnowingPair, said, sum_item, usual


@pytest.fixture
def evaluation(tmp_path):
    return Evaluation(Folder(tmp_path / "out"))


def without_times(report):
    return {name: value for name, value in report.to_json().items() if name != "times"}


def test_the_report_equals_a_hand_count(evaluation):
    """Scores, rates, lengths, ends, faults and letters of every method are what was scripted."""
    evaluation.run()
    report = evaluation.report()
    base, guide, nudging, blendin = report.cells

    assert report.complete
    assert report.title == "Evaluation of toys"
    assert [cell.score.value for cell in report.cells] == pytest.approx([3 / 12, 6 / 12, 6 / 12, 9 / 12])
    assert (base.answered, base.failed, base.wanted) == (11, 1, 12)
    assert base.ended_by == {"base_end": 3, "failed": 1, "max_tokens": 8}
    assert base.faults == {"no parse": 8, "cut": 8, "empty": 0, "repetition": 0, "endless": 8, "failed": 1}
    assert guide.faults == {"no parse": 1, "cut": 0, "empty": 1, "repetition": 0, "endless": 0, "failed": 0}
    assert blendin.faults == {"no parse": 3, "cut": 0, "empty": 0, "repetition": 3, "endless": 3, "failed": 0}
    assert (base.intervention_rate, nudging.intervention_rate) == (0.0, pytest.approx(2 / 3))
    assert blendin.changed_rate == pytest.approx(1 / 3)
    assert guide.mean_steps == pytest.approx(11 * 3 / 12)
    assert guide.letters == {"A": 5, "B": 6, "none": 1}


def test_differences_are_paired_and_tested(evaluation):
    """Blendin against base and nudging: the difference over the same items, with McNemar's exact p."""
    evaluation.run()
    blendin = evaluation.report().cells[3]
    differences = Group.of([1.0] * 6 + [0.0] * 6)

    against = blendin.comparisons["base"]["accuracy"]
    assert against.difference == group_difference([differences])
    assert against.p == mcnemar(6, 0).p == pytest.approx(2 / 2**6)
    assert blendin.comparisons["nudging"]["accuracy"].p == mcnemar(3, 0).p
    assert not evaluation.report().cells[0].comparisons.get("base")


def test_the_same_answers_give_the_same_report(evaluation, tmp_path):
    """Two runs agree byte for byte but for the times; scored again without a pair, all of it agrees."""
    twin = Evaluation(Folder(tmp_path / "twin"))
    evaluation.run()
    twin.run()

    assert json.dumps(without_times(evaluation.report())) == json.dumps(without_times(twin.report()))
    assert json.dumps(report_json(evaluation.report())) == json.dumps(report_json(evaluation.report()))
    assert "seconds" not in json.dumps(without_times(evaluation.report()))


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 13, 30, 47])
def test_stopped_and_continued_loses_nothing(evaluation, tmp_path, stop_after):
    """A run cut short says so in its title; continued, its report is that of a run in one go."""
    whole = Evaluation(Folder(tmp_path / "whole"))
    whole.run()
    first = evaluation.run(KnowingPair(usual, stop_after=stop_after))
    cut = evaluation.report()
    second = evaluation.run()

    assert not cut.complete
    assert f"CUT SHORT: {stop_after} of 48 answers" in cut.title
    assert len(first.asked) + len(second.asked) == 48
    assert without_times(evaluation.report()) == without_times(whole.report())


def test_a_finished_run_loads_nothing(evaluation):
    """Models are opened once for all methods, and not at all where no row is left."""
    assert evaluation.run().opened == 1
    assert evaluation.run().opened == 0


def test_a_cut_run_compares_only_what_both_have(evaluation):
    """Differences of a run that was cut short are over the items that both methods have answered."""
    evaluation.run(KnowingPair(usual, stop_after=28))
    nudging = evaluation.report().cells[2]

    assert nudging.answered == 4
    assert nudging.comparisons["base"]["accuracy"].difference.n == 4


def test_other_settings_are_not_mixed(evaluation):
    """Another threshold, other questions or another seed are refused, and nothing is touched."""
    evaluation.run()
    other = replace(evaluation, settings=BlendSettings(threshold=0.3))
    with pytest.raises(UsageError, match=r"other settings.*threshold"):
        other.run()
    with pytest.raises(UsageError, match="other questions"):
        replace(evaluation, n_items=5).run()
    assert evaluation.report().complete


def test_figures_may_change_between_runs(evaluation):
    """Scoring can be redone: a later run whose benchmark has another figure goes on, and its word counts."""
    evaluation.run()
    plan = read_plan(evaluation.folder)
    facts = {**plan.benchmarks["sums"], "figures": ["accuracy", "new"], "about": "One more, said anew"}
    keep_plan(evaluation.folder, replace(plan, benchmarks={"sums": facts}))

    assert read_plan(evaluation.folder).benchmarks["sums"] == facts
    with pytest.raises(UsageError, match=r"sums\.max_tokens"):
        keep_plan(evaluation.folder, replace(plan, benchmarks={"sums": {**facts, "max_tokens": 9}}))


def test_questions_are_kept_as_they_were_asked(evaluation):
    """What is needed to score again lies in the folder, the order of options included."""
    evaluation.keep()

    assert read_items(evaluation.folder.items("sums")) == [sum_item(i) for i in range(N_ITEMS)]


def test_a_sweep_runs_models_alone_once(evaluation):
    """Variants of blendin are answered apart; base and guide are asked each question once."""
    sweep = variants_of("base,guide,blendin", ["threshold=0.3,0.4,0.5"], BlendSettings())
    evaluation.variants = sweep
    pair = evaluation.run()

    names = [variant.name for variant in sweep]
    assert names == ["base", "guide", "blendin", "blendin[threshold=0.3]", "blendin[threshold=0.5]"]
    assert sum(method == "base" for method, _ in pair.asked) == N_ITEMS
    assert sum(method == "blendin" for method, _ in pair.asked) == 3 * N_ITEMS


def test_swept_values_stand_by_number(evaluation):
    """5 before 50 before 100, and 0 before 0.3, in whatever order they were wanted or spelt."""
    evaluation.variants = variants_of(
        "blendin", ["top-k-blend=50,5,200", "agreement-bonus=0.3,0"], BlendSettings()
    )
    evaluation.run()
    swept = [
        f"blendin[{s}]"
        for s in ("agreement-bonus=0", "agreement-bonus=0.3", *(f"top-k-blend={k}" for k in (5, 50, 200)))
    ]

    assert list(read_plan(evaluation.folder).variants) == ["blendin", *swept]


def test_more_methods_may_join_later(evaluation):
    """A later run into the same folder adds methods to the report and asks only them."""
    evaluation.variants = variants_of("base", (), BlendSettings())
    evaluation.run()
    evaluation.variants = variants_of("blendin,base", (), BlendSettings())
    pair = evaluation.run()

    assert {method for method, _ in pair.asked} == {"blendin"}
    assert [cell.variant for cell in evaluation.report().cells] == ["base", "blendin"]


def test_options_are_read_once_and_scored(evaluation):
    """Log-likelihoods: per byte and plain, letters with their histogram; a second run reads nothing."""
    evaluation.likelihood_roles = ("base", "guide")
    evaluation.n_items = 9  # of 0 to 8 only the last has an option of two digits
    pair = evaluation.run()
    base, guide = evaluation.report().likelihoods

    assert pair.read == 2 * 2 * 9
    assert evaluation.run().read == 0
    assert guide.figures["acc"].value == guide.figures["acc_norm"].value == 1.0
    assert base.figures["acc"].value == 0.0
    assert base.figures["acc_norm"].value == 0.0  # the longest option wins where all have the same likelihood
    assert base.letters == {"A": 9, "none": 0}
    assert base.gold == {"B": 9, "none": 0}


def test_progress_counts_cells_and_rows(evaluation):
    """Every moment says which cell of how many, and how many rows are left over all of them."""
    evaluation.run()
    last = evaluation.progress[-1]

    assert (last.number, last.cells, last.left) == (4, 4, 0)
    assert [m.left for m in evaluation.progress if m.rows] == sorted(
        (m.left for m in evaluation.progress if m.rows), reverse=True
    )


@pytest.mark.parametrize(
    ("methods", "sweeps", "words"),
    [
        ("base,magic", [], "no method 'magic'"),
        ("", [], "no method was named"),
        ("blendin[mood=1]", [], "no setting 'mood'"),
        ("blendin[threshold=high]", [], "threshold is 'high'"),
        ("base", ["threshold"], "--sweep is 'threshold'"),
        ("base", ["threshold=1.5"], "threshold is 1.5"),
    ],
)
def test_wrong_words_are_named(methods, sweeps, words):
    """A method, setting or value that does not exist is named in one line."""
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        variants_of(methods, sweeps, BlendSettings())


def test_names_of_variants_carry_their_settings():
    """Settings in brackets are part of the name and of what is run."""
    [variant] = variants_of("nudging[threshold=0.3,top-k-blend=20]", (), BlendSettings())

    assert variant == Variant(
        "nudging[threshold=0.3,top-k-blend=20]", "nudging", {"threshold": 0.3, "top-k-blend": 20}
    )
    assert variant.blend(BlendSettings(alpha=0.5)) == BlendSettings("nudging", 0.3, 0.5, top_k=20)


def test_old_names_of_settings_are_read_for_now():
    """`lambda` and `top-k` of version 0.1 mean what they meant and keep their cells; a note says so."""
    variants = variants_of("nudging[top-k=20],base", ["lambda=0,0.3", "cap=0.2"], BlendSettings())

    assert [variant.name for variant in variants] == [
        "nudging[top-k=20]",
        "base",
        "blendin[lambda=0]",
        "blendin[lambda=0.3]",
        "blendin[cap=0.2]",
    ]
    assert variants[0].settings == {"top-k-blend": 20}
    assert variants[3].blend(BlendSettings()) == BlendSettings(agreement_bonus=0.3)
    assert [note.split(";")[0] for note in old_name_notes(variants)] == [
        "the setting lambda is now called agreement-bonus",
        "the setting top-k is now called top-k-blend",
    ]
    assert old_name_notes(variants_of("blendin", ["top-k-blend=20"], BlendSettings())) == ()


def test_an_unknown_benchmark_is_named(evaluation):
    """A folder that asks for a benchmark that is not known says which are."""
    evaluation.run()
    with pytest.raises(UsageError, match="no benchmark 'sums'"):
        evaluation.report({"other": SUMS})


def test_answers_without_a_word_are_empty_and_wrong(evaluation):
    """A method that says nothing scores nothing, and all its answers are counted as empty."""
    evaluation.run(KnowingPair(lambda method, number: said("")))

    assert [cell.score.value for cell in evaluation.report().cells] == [0.0] * 4
    assert {cell.faults["empty"] for cell in evaluation.report().cells} == {12}


def test_calibrated_alpha_needs_the_pairs_own_temperatures():
    """It is a variant of a pair whose temperatures were fitted, and is refused for others."""
    fitted = BlendSettings(base_temperature=1.2, guide_temperature=0.9)
    [own, calibrated] = variants_of("blendin", ["alpha=calibrated"], fitted)

    assert calibrated.name == "blendin[alpha=calibrated]"
    assert calibrated.blend(fitted).alpha == "calibrated"
    assert own.blend(fitted).alpha is None
    with pytest.raises(UsageError, match="fitted temperature"):
        variants_of("blendin", ["alpha=calibrated"], BlendSettings())
