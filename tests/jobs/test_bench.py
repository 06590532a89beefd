"""Laws of the benchmark: measurements, their comparison and verdict; a tiny one on real models."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.prompts import PlainTemplate
from blendin_local.errors import UsageError
from blendin_local.jobs.bench.compare import compare, mismatches, read_record
from blendin_local.jobs.bench.job import BenchSpec, ResolvedBench, measure, run_bench, thread_counts
from blendin_local.jobs.bench.report import (
    Measurement,
    Workload,
    measurements_in,
    ratio,
)
from blendin_local.jobs.bench.verdict import best_threads, doubts, verdict
from blendin_local.pair.pair import PairSetup
from blendin_local.pair.resolve import PairSpec
from blendin_local.settings import BlendSettings, ModelSettings
from tests.jobs.benches import a_bench, fixed
from tests.toys import make_toy

TINY = Workload(
    rounds=2,
    prompt_tokens=20,
    decode_tokens=3,
    at_once=(1, 2, 4),
    calls=2,
    answer_tokens=4,
    parallel=(1, 2),
    row_tokens=3,
)
positive = st.floats(0.01, 1e6)


@given(st.lists(positive, min_size=1, max_size=9))
def test_a_figure_lies_within_its_trials(trials):
    """The median is one that trials surround, and equal trials have no spread."""
    measurement = Measurement(tuple(trials))

    assert min(trials) <= measurement.median <= max(trials)
    assert measurement.spread >= 0
    assert (measurement.spread == 0) == (min(trials) == max(trials))


@given(st.lists(st.tuples(positive, positive), min_size=1, max_size=9))
def test_ratios_are_taken_within_a_round(pairs):
    """Each trial is held against the one of its own round."""
    over, under = Measurement(tuple(a for a, _ in pairs)), Measurement(tuple(b for _, b in pairs))

    assert ratio(over, under).trials == tuple(a / b for a, b in pairs)


def test_a_record_survives_its_json():
    """Every measurement of the record is found again in its JSON, by its keys, with all trials."""
    bench = a_bench()
    found = measurements_in(json.loads(json.dumps(bench.to_json())))

    assert found["models", "guide", "decode", "4"] == bench.models["guide"].decode[4]
    assert found["methods", "blendin", "tokens_per_s"] == bench.methods["blendin"].tokens_per_s
    assert found["rows", "4", "speedup"] == bench.rows[4].speedup
    assert found["load_s",] == bench.load_s


def test_a_benchmark_beside_itself_differs_in_nothing():
    """Every measurement of the same record is noise at a factor of 1, and nothing else differs."""
    record = a_bench().to_json()
    changes = compare(record, record)

    assert len(changes) == len(measurements_in(record)) > 10
    assert {(d.factor, d.kind) for d in changes} == {(1.0, "noise")}
    assert mismatches(record, record) == []


def test_a_change_counts_only_beyond_all_trials():
    """Twice the speed is better, half of it and more milliseconds worse, and overlapping trials are noise."""
    old = {"a": {"tokens_per_s": fixed(10, 11, 12).to_json(), "first_token_ms": fixed(5, 6).to_json()}}
    new = {"a": {"tokens_per_s": fixed(20, 22, 24).to_json(), "first_token_ms": fixed(7, 8).to_json()}}
    near = {"a": {"tokens_per_s": fixed(12, 13, 14).to_json(), "first_token_ms": fixed(6, 7).to_json()}}

    def changes(before, after):
        return {d.path[-1]: d.kind for d in compare(before, after)}

    assert changes(old, new) == {"tokens_per_s": "better", "first_token_ms": "worse"}
    assert changes(new, old) == {"tokens_per_s": "worse", "first_token_ms": "better"}
    assert changes(old, near) == {"tokens_per_s": "noise", "first_token_ms": "noise"}


def test_another_pair_or_machine_is_said():
    """A comparison of different things names what differs."""
    old, new = a_bench(threads=2).to_json(), {**a_bench().to_json(), "pair": "other"}

    assert any("pair was demo, now other" in line for line in mismatches(old, new))
    assert any("threads was 2, now 4" in line for line in mismatches(old, new))


@pytest.mark.parametrize("content", ["", "[1]", '{"version": 99}', "{broken"])
def test_a_file_that_is_no_benchmark_is_refused(tmp_path, content):
    """What --compare cannot read is a usage error that says how to make it."""
    path = tmp_path / "old.json"
    path.write_text(content)

    with pytest.raises(UsageError, match="no benchmark"):
        read_record(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_record(tmp_path / "absent.json")


def test_the_smallest_count_that_is_as_fast_is_best():
    """More threads for less than three per cent are not worth it."""
    assert best_threads({1: fixed(50), 2: fixed(98), 4: fixed(100)}) == 2
    assert best_threads({1: fixed(50), 2: fixed(90), 4: fixed(100)}) == 4
    assert best_threads({1: fixed(50), 2: fixed(40)}) == 1


def test_the_verdict_says_what_to_do():
    """Thread count, rows at once and the price of the guide, each in words that follow the measurements."""
    said = verdict(a_bench(blendin=60.0))
    assert "4 threads are best (what auto takes" in said
    assert "4 rows at once give 1.8 times" in said
    assert "not cheap here: it takes 40.0 % of the base's speed" in said

    other = verdict(a_bench(decode={1: 90, 4: 80}, rows={1: 1.0, 4: 1.05}, blendin=95.0))
    assert "1 thread is best (give it with -t)" in other
    assert "more rows at once do not help" in other
    assert "is cheap here: it takes 5.0 %" in other


def test_a_busy_machine_is_said():
    """Cores in use by others, or trials far apart, make it doubtful; a quiet machine does not."""
    assert doubts(a_bench()) == ""
    assert "other programs used 1.5 cores" in doubts(a_bench(cores_left=2.5))
    assert "trials differ by ±20.0 %" in doubts(a_bench(spread=0.2))
    assert doubts(a_bench(cores_left=None)) == ""


@pytest.mark.parametrize(("most", "counts"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))])
def test_the_counts_tried_end_with_the_most(most, counts):
    """1, 2, 4 and so on, and the most itself once."""
    assert thread_counts(most) == counts


def toy_setup(folder):
    base, guide = (make_toy(folder / f"{name}.gguf", "plain", seed=i) for i, name in enumerate(("b", "g")))
    return setup_of(base, guide)


def setup_of(base, guide):
    settings = ModelSettings(ctx_size=512)
    template = PlainTemplate("raw", user="{text}", assistant="")
    return PairSetup(base, guide, template, base_settings=settings, guide_settings=settings)


def require_whole(bench, workload=TINY):
    """All parts are there, every measurement has a trial per round, and shares are shares."""
    trials = {path: measurement.trials for path, measurement in measurements_in(bench.to_json()).items()}
    assert {len(t) for path, t in trials.items() if path != ("load_s",)} == {workload.rounds}
    assert len(trials["load_s",]) == 2 + len(workload.parallel)
    assert all(t >= 0 for each in trials.values() for t in each)
    assert list(bench.methods) == ["base", "guide", "nudging", "blendin"]
    assert set(bench.rows) == set(workload.parallel)
    for method in bench.methods.values():
        assert method.in_llama.median + method.in_lists.median + method.in_python.median <= 1.01
    for model in bench.models.values():
        assert set(model.at_once) == set(workload.at_once)
        assert model.at_once[1].trials == (1.0,) * workload.rounds
        assert set(model.draft_cost) == set(workload.at_once)
    assert set(bench.memory) == {"weights", "kv_cache", "compute", "resident", "ours"}
    assert bench.verdict


def test_a_benchmark_of_toys_is_whole(tmp_path):
    """Every part is measured, and the record can be held against itself."""
    begun = []
    bench = measure(
        ResolvedBench("toys", toy_setup(tmp_path), BlendSettings(threshold=1.0), TINY), begun.append
    )

    require_whole(bench)
    assert bench.methods["base"].asked.median == 0
    assert "base alone: round 2 of 2" in map(str, begun)
    assert compare(bench.to_json(), bench.to_json())


@pytest.mark.parametrize("role", ["base", "guide"])
def test_one_model_alone_can_be_measured(tmp_path, role):
    """Without a second model only the method that needs none is measured."""
    setup = replace(toy_setup(tmp_path), **{"guide" if role == "base" else "base": None})
    bench = measure(ResolvedBench("one", setup, BlendSettings(method=role), TINY))

    assert list(bench.methods) == list(bench.models) == [role]
    assert "guide this size" not in bench.verdict
    assert bench.drafts is None


def test_a_benchmark_from_python_prints_nothing_and_stops_between_rounds(tmp_path, capfd):
    """Each part is reported; stopped at any of them there is no report; both streams stay empty."""
    setup, settings = toy_setup(tmp_path), {"ctx_size": 512, "threads": 1}
    pair = PairSpec(
        base=str(setup.base), guide=str(setup.guide), base_settings=settings, guide_settings=settings
    )
    spec = BenchSpec(pair, replace(TINY, rounds=1, parallel=(1,)))
    begun, stopped = [], []
    report = run_bench(spec, on_progress=begun.append)
    none = run_bench(spec, on_progress=stopped.append, should_stop=lambda: len(stopped) == 3)

    assert report.pair == "b.gguf guided by g.gguf"
    assert [now.part for now in begun] == [
        "memory", "base alone", "guide alone", "the pair", "answers at once: 1",
    ]  # fmt: skip
    assert none is None
    assert stopped == begun[:3]
    assert capfd.readouterr() == ("", "")


def test_records_of_earlier_versions_are_compared(tmp_path):
    """A record with the old names `sizes` and `beside_one` can be compared; both names are written."""
    new = json.loads(json.dumps(a_bench().to_json()))
    assert new["sizes"] == new["workload"]
    old = {name: value for name, value in new.items() if name != "workload"}
    for row in old["rows"].values():
        assert row.pop("speedup") == row["beside_one"]

    assert mismatches(old, new) == []
    assert ("rows", "4", "speedup") in {change.path for change in compare(old, new)}
    assert len(compare(old, new)) == len(measurements_in(new))


@pytest.mark.model
def test_a_benchmark_of_the_demo_pair_is_whole(demo_base_path, demo_guide_path):
    """On real models too; evaluating more tokens at once takes longer, and each costs less."""
    bench = measure(ResolvedBench("demo", setup_of(demo_base_path, demo_guide_path), BlendSettings(), TINY))

    require_whole(bench)
    for model in bench.models.values():
        assert 1 < model.at_once[4].median < 8
    assert bench.methods["guide"].guide_tokens.median > 0
    assert bench.memory["weights"] > 300_000_000
