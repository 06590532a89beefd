"""Sampled answers beside greedy ones: what is run, where it is kept, how it goes on, what a score is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs import EvalSpec, run_eval
from blendin_local.jobs.evaluation.folder import Folder
from blendin_local.jobs.evaluation.run.answers import read_answers
from blendin_local.jobs.evaluation.spec.plan import read_plan
from blendin_local.jobs.evaluation.spec.variants import Variant, variants_of, with_sampled
from blendin_local.pair.resolve import PairSpec
from blendin_local.reports.evaluation.files import report_json
from blendin_local.settings import BlendSettings, SamplingSettings
from tests.jobs.evaluation.evaluations import N_ITEMS, Evaluation, KnowingPair, said, usual
from tests.toys import make_toy

SEEDED = tuple(f"base[temp=0.7,seed={seed}]" for seed in (1, 2, 3))


def sampled(methods, temperature=0.7, min_p=0.0, seeds=3):
    return with_sampled(
        variants_of(methods, (), BlendSettings()), temperature=temperature, min_p=min_p, seeds=seeds
    )


def names(variants):
    return [variant.name for variant in variants]


@dataclass
class DrawingPair(KnowingPair):
    """A pair that knows how each request was to be sampled; sampled, a third of the answers are wrong."""

    drawn: list[tuple[str, SamplingSettings]] = field(default_factory=list)

    def answer_all(self, requests, *, should_stop, watch):
        sampling = {}

        def noted():
            for request in requests:
                sampling[request.key] = request.sampling
                self.drawn.append((request.key, request.sampling))
                yield request

        for request, answer in super().answer_all(noted(), should_stop=should_stop, watch=watch):
            seed = sampling[request.key].seed
            yield request, said("so so") if seed is not None and seed % 3 == 0 else answer


@pytest.fixture
def evaluation(tmp_path):
    return Evaluation(Folder(tmp_path / "out"), variants=sampled("base,guide"))


def test_every_method_is_sampled_beside_its_greedy_answers():
    """Greedy ones first, then each at the temperature, once per seed; the base with min-p is a control."""
    assert names(sampled("base,blendin[threshold=0.3]", min_p=0.1, seeds=2)) == [
        "base",
        "blendin[threshold=0.3]",
        "base[temp=0.7,seed=1]",
        "base[temp=0.7,seed=2]",
        "blendin[threshold=0.3,temp=0.7,seed=1]",
        "blendin[threshold=0.3,temp=0.7,seed=2]",
        "base[temp=0.7,min-p=0.1,seed=1]",
        "base[temp=0.7,min-p=0.1,seed=2]",
    ]
    assert names(sampled("base,blendin", temperature=0)) == ["base", "blendin"]


def test_a_method_can_bring_its_own_sampling():
    """In brackets, without --temp: only that method is sampled, with these settings and a seed each time."""
    variants = sampled("base,blendin[temp=1,top-p=0.9]", temperature=0, seeds=2)

    assert names(variants) == [
        "base",
        "blendin[temp=1,top-p=0.9,seed=1]",
        "blendin[temp=1,top-p=0.9,seed=2]",
    ]
    assert variants[0].sampling == SamplingSettings()
    assert variants[2].sampling == SamplingSettings(temperature=1, top_p=0.9, seed=2)
    assert variants[2].blend(BlendSettings()) == BlendSettings()


def test_a_temperature_of_0_is_greedy():
    """It is the same variant as the method without it, and has no seeds."""
    assert names(variants_of("base,base[temp=0],base[temp=1]", (), BlendSettings())) == [
        "base",
        "base[temp=1]",
    ]
    assert names(sampled("base[temp=0]", temperature=0)) == ["base[temp=0]"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": 200.0}, "temp is 200"),
        ({"temperature": 0.7, "min_p": 2.0}, "min-p is 2"),
        ({"min_p": 0.1}, "--min-p 0.1 needs a temperature"),
        ({"temperature": 0.7, "seeds": 0}, "seeds is 0"),
        ({"temperature": 0.7, "seeds": 1.5}, "seeds is 1.5"),
        ({"methods": ("blendin[min-p=0.1]",)}, "greedy, so min-p changes nothing"),
        ({"methods": ("blendin[temp=hot]",)}, "temp is 'hot'"),
        ({"methods": ("blendin[seed=1]",)}, "no setting 'seed'"),
    ],
)
def test_wrong_sampling_is_refused_before_anything_runs(tmp_path, values, words):
    """One line with the value; the folder is not begun."""
    with pytest.raises(UsageError) as refused:
        run_eval(replace(EvalSpec(tmp_path / "out"), **values), should_stop=lambda: True)

    assert words in refused.value.message
    assert not (tmp_path / "out").exists()


def test_each_seed_has_a_file_and_the_report_has_one_row(evaluation):
    """Files, plan and progress have every seed; cells and tables have the method, with all its answers."""
    evaluation.run(DrawingPair(usual))
    report = evaluation.report()
    cell = report.cell("toys", "sums", "base[temp=0.7]")

    assert list(read_plan(evaluation.folder).variants)[:5] == ["base", "guide", *SEEDED]
    assert all(evaluation.folder.answers("toys", "sums", name).is_file() for name in SEEDED)
    assert [each.variant for each in report.cells] == ["base", "guide", "base[temp=0.7]", "guide[temp=0.7]"]
    assert (cell.seeds, cell.wanted, cell.answered + cell.failed) == (3, 36, 36)
    assert sum(cell.ended_by.values()) == 36
    assert cell.settings == {"temp": 0.7}
    assert report.times["toys sums base[temp=0.7]"]["state"] == "finished"
    assert report.complete


def test_the_score_of_a_question_is_its_mean_over_seeds(evaluation):
    """Counted by hand from the files: the mean over questions of the mean over seeds, and n is questions."""
    evaluation.run(DrawingPair(usual))
    score = evaluation.report().cell("toys", "sums", "guide[temp=0.7]").score
    answers = [
        read_answers(evaluation.folder.answers("toys", "sums", name))
        for name in names(evaluation.variants)[5:]
    ]
    right = [
        sum(seed[f"sum-{i}"].text.split()[-1:] == [str(i + 1)] for seed in answers) / 3
        for i in range(N_ITEMS)
    ]

    assert len({*right}) > 2  # the seeds do not agree
    assert score.value == pytest.approx(sum(right) / N_ITEMS)
    assert score.n == N_ITEMS


def test_every_question_is_drawn_with_a_seed_of_its_own(evaluation):
    """All of a method's draws differ, two methods share them, and greedy requests have none."""
    pair = evaluation.run(DrawingPair(usual))
    greedy = [each for _, each in pair.drawn if each.temperature == 0]
    draws = [(key, each.seed) for key, each in pair.drawn if each.temperature > 0]

    assert {each.seed for each in greedy} == {None}
    assert len(greedy) == 2 * N_ITEMS
    assert sorted(draws[: 3 * N_ITEMS]) == sorted(draws[3 * N_ITEMS :])
    assert len({seed for _, seed in draws}) == 3 * N_ITEMS


def test_seeds_and_temperatures_join_an_older_folder(tmp_path):
    """A greedy evaluation is gone on with: its answers stay, sampled ones are added, later more seeds."""
    evaluation = Evaluation(Folder(tmp_path / "out"), variants=variants_of("base,guide", (), BlendSettings()))
    evaluation.run()
    before = json.loads(evaluation.folder.plan.read_bytes())["variants"]
    greedy = evaluation.report().cells
    evaluation.variants = sampled("base,guide", seeds=1)
    first = evaluation.run(DrawingPair(usual))
    evaluation.variants = sampled("base", seeds=3)
    second = evaluation.run(DrawingPair(usual))

    assert before == {name: {"method": name, "settings": {}} for name in ("base", "guide")}
    assert (len(first.asked), len(second.asked)) == (2 * N_ITEMS, 2 * N_ITEMS)
    assert [each.seeds for each in evaluation.report().cells] == [1, 1, 3, 1]
    assert evaluation.report().cells[:2] == greedy


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [30, 70])
def test_a_sampled_run_resumes(evaluation, tmp_path, stop_after):
    """Stopped in its greedy or its sampled part and started again, its report is that of a run in one go."""
    whole = Evaluation(Folder(tmp_path / "whole"), variants=evaluation.variants)
    whole.run(DrawingPair(usual))
    evaluation.run(DrawingPair(usual, stop_after=stop_after))
    cut = evaluation.report()
    evaluation.run(DrawingPair(usual))

    assert f"CUT SHORT: {stop_after} of {8 * N_ITEMS} answers" in cut.title
    assert without_times(evaluation.report()) == without_times(whole.report())


def without_times(report):
    return {name: value for name, value in report_json(report).items() if name != "times"}


def test_sampled_methods_are_held_against_the_sampled_base(evaluation):
    """Of the same temperature; a method with min-p too where no base or nudging has that."""
    evaluation.variants = sampled("base,nudging,blendin", min_p=0.1, seeds=1)
    evaluation.run(DrawingPair(usual))
    report = evaluation.report()
    cells = {cell.variant: cell for cell in report.cells}
    against = {(each.a, each.b): each.comparison for each in report.comparisons}

    assert list(cells)[3:5] == [
        "base[temp=0.7]",
        "base[temp=0.7,min-p=0.1]",
    ]  # the control after its plain self
    for name, baselines in (
        ("blendin", {"base": "base", "nudging": "nudging"}),
        ("blendin[temp=0.7]", {"base": "base[temp=0.7]", "nudging": "nudging[temp=0.7]"}),
        ("base[temp=0.7]", {"nudging": "nudging[temp=0.7]"}),
        ("base[temp=0.7,min-p=0.1]", {"base": "base[temp=0.7]", "nudging": "nudging[temp=0.7]"}),
    ):
        assert set(cells[name].comparisons) == set(baselines)
        for baseline, whose in baselines.items():
            if (name, whose) in against:
                assert cells[name].comparisons[baseline]["accuracy"] == against[name, whose]


def test_the_papers_tables_stay_greedy(evaluation):
    """Sampled cells are in no table of the paper, whose answers are greedy."""
    evaluation.variants = variants_of("base,nudging,blendin,capped", (), BlendSettings())
    evaluation.run()
    greedy = report_json(evaluation.report())["displays"]
    evaluation.variants = sampled("base,nudging,blendin,capped", seeds=1)
    evaluation.run(DrawingPair(usual))

    assert report_json(evaluation.report())["displays"] == greedy


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Two toys, on one thread each."""
    folder = tmp_path_factory.mktemp("toys")
    base = make_toy(folder / "base.gguf", "plain", ctx=4096)
    guide = make_toy(folder / "guide.gguf", "plain", seed=1, ctx=4096)
    threads = {"threads": 1}
    return PairSpec(base=str(base), guide=str(guide), base_settings=threads, guide_settings=threads)


@pytest.fixture
def spec(toys, tmp_path, monkeypatch):
    """Three short answers to one benchmark."""
    monkeypatch.setenv("BLENDIN_CACHE", str(tmp_path / "cache"))
    return EvalSpec(
        tmp_path / "out",
        toys,
        benchmarks=("xstest",),
        methods=("blendin",),
        limit=3,
        max_tokens=6,
        n_parallel=1,
    )


def texts(spec, name):
    found = read_answers(Folder(spec.out).answers("base+guide", "xstest", name))
    return {key: answer.text for key, answer in found.items()}


def test_sampling_at_temperature_0_with_one_seed_is_the_greedy_run(spec, tmp_path):
    """Law: same answers, same scores; and a real temperature gives other answers, the same ones each time."""
    zero = replace(spec, out=tmp_path / "zero", methods=("blendin[temp=0]",), seeds=1)
    hot, again = (replace(spec, out=tmp_path / name, temperature=5.0, seeds=2) for name in ("hot", "again"))
    cells = [run_eval(each).report.cells for each in (spec, zero, hot, again)]

    assert texts(zero, "blendin[temp=0]") == texts(spec, "blendin") == texts(hot, "blendin")
    assert replace(cells[1][0], variant="blendin", settings={}) == cells[0][0] == cells[2][0]
    first, second = (texts(hot, f"blendin[temp=5,seed={seed}]") for seed in (1, 2))
    assert first != second
    assert texts(spec, "blendin") not in (first, second)
    assert cells[2] == cells[3]
    assert first == texts(again, "blendin[temp=5,seed=1]")


def test_a_variants_record_is_that_of_earlier_versions_unless_it_has_a_seed():
    """So that folders of earlier versions can be gone on with."""
    assert Variant("base", "base").to_json() == {"method": "base", "settings": {}}
    assert sampled("base")[1].to_json() == {
        "method": "base",
        "settings": {"temp": 0.7},
        "seed": 1,
        "seed_of": "base[temp=0.7]",
    }
