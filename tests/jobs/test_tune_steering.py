"""Scale and layers of a control vector chosen on a validation set: what is tried, what wins, what is kept."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.record_json import completion_to_json
from blendin_local.errors import PairError, UsageError
from blendin_local.jobs import TuneSpec, keep_settings, run_tune
from blendin_local.jobs.tune import job
from blendin_local.jobs.tune.report import judge
from blendin_local.jobs.tune.search import SCALES, steering_search
from blendin_local.models.registry import load_registry
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import PairSpec, locate_files, resolve_pair
from blendin_local.settings import scaled_file
from tests.jobs.steerings import ALL_LAYERS, UNSTEERED, gated_vector, search_of_eleven_layers
from tests.jobs.tunings import ScriptedOutcome, SettledAnswers, searched, trial_runner, tried
from tests.toys import WIDTH, make_toy, make_vector


def tried_with(score_of, layers=ALL_LAYERS):
    """Scale and layers of every trial, given its score."""
    search = steering_search(UNSTEERED, Path("v.gguf"), layers)
    return [
        (setting.values["scale"], setting.values["layers"])
        for setting in searched(search, lambda setting: ScriptedOutcome(score_of(**setting.values)))
    ]


def test_the_unsteered_base_is_first_then_the_scales_then_the_halves():
    """All scales with all layers, then the best of them with the earlier and the later half."""
    assert tried_with(lambda scale, layers: scale == 0.5) == [
        (0.0, None),
        (0.25, "100-110"),
        (0.5, "100-110"),
        (1.0, "100-110"),
        (0.5, "100-104"),
        (0.5, "105-110"),
    ]


@given(st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_of_equal_scales_the_milder_is_halved(scores):
    """Whatever the unsteered base scores; and scales are tried from the mildest."""
    by_scale = dict(zip((0.0, *SCALES), scores, strict=True))
    found = tried_with(lambda scale, layers: by_scale[scale])
    best = min(scale for scale in SCALES if by_scale[scale] == max(scores[1:]))

    assert sorted(SCALES) == list(SCALES)
    assert [scale for scale, _ in found] == [0.0, *SCALES, best, best]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12, unique=True).map(sorted))
def test_the_halves_are_all_layers_and_share_none(layers):
    """Also where their number is odd or the file leaves some out; a single layer is not halved."""
    halves = [scaled_file(f"v:1:{text}").layers for _, text in tried_with(lambda **_: 0, layers)[4:]]

    assert len(halves) == (2 if len(layers) > 1 else 0)
    if halves:
        sizes = [sum(map(half.has, layers)) for half in halves]
        assert halves[0].last < halves[1].first
        assert sum(sizes) == len(layers)
        assert sizes[1] - sizes[0] in {0, 1}


def judged(folder, right):
    folder.mkdir(exist_ok=True)
    on = trial_runner(folder, 24)
    return judge(on.benchmark, tried(on, SettledAnswers(right), search_of_eleven_layers()))


def test_among_equals_nothing_is_steered(tmp_path):
    """The milder is the one to keep, and no steering is the mildest."""
    report = judged(tmp_path, lambda blend, n: n % 2)

    assert report.best is report.chosen is report.default
    assert report.default.setting == UNSTEERED
    assert report.summary == "No setting scored higher than the unsteered base. Leave it unsteered."


def test_what_is_better_beyond_noise_is_kept_with_scale_and_layers(tmp_path):
    """By the rule of every search; the comment has the gate's share, and the vector has its whole path."""
    report, file = judged(tmp_path, lambda blend, n: blend.method == "steer" or n % 2), tmp_path / "m.toml"
    report = replace(report, pair_name="mine")
    record = report.to_json()

    assert report.conclusion == "better"
    assert (record["method"], record["control_vector"]) == ("steer", "v.gguf")
    assert record["chosen"] == {"scale": 0.25, "layers": "100-110", "gate_open": pytest.approx(12 / 23)}
    assert record["comparisons"] == 5
    assert [(each["scale"], each["gate_open"] is None) for each in record["trials"][:2]] == [
        (0.0, True),
        (0.25, False),
    ]
    assert "threshold" not in json.dumps(record)
    assert keep_settings(report, path=file) == file
    assert tomllib.loads(file.read_text())["pairs"]["mine"] == {
        "method": "steer",
        "base_control_vector": f"{Path('v.gguf').resolve()}:0.25:100-110",
    }
    assert "gate open at 52.2 % of the prompts" in file.read_text()
    assert "unsteered base 0.458" in file.read_text()
    assert report.summary in file.read_text()


def test_a_difference_within_noise_steers_nothing(tmp_path):
    """One question of 24 is not enough, and the sentence says what to do."""
    report = judged(tmp_path, lambda blend, n: n % 2 or (n == 2 and blend.method == "steer"))

    assert report.best.setting.values == {"scale": 0.25, "layers": "100-110"}
    assert report.chosen is report.default
    assert report.summary.startswith("Within noise: scale 0.25, layers 100-110 scored +0.04")
    assert report.summary.endswith("which may be chance. Leave it unsteered.")
    assert keep_settings(report, "mine", tmp_path / "models.toml") is None
    assert not (tmp_path / "models.toml").exists()


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A toy with a vector whose gate opens for some of four questions; it knows no answers."""
    folder = tmp_path_factory.mktemp("steering")
    base = make_toy(folder / "base.gguf", "plain")
    rows = [{"prompt": text, "answer": 1} for text in ("hello", "the world of hell", "or", "a wheel")]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pair = PairSpec(
        base=str(base),
        base_settings={"ctx_size": 256, "threads": 1, "control_vector": str(folder / "v.gguf")},
        answer={"max_tokens": 6, "loop_guard": False},
    )
    whole = TuneSpec(str(folder / "q.jsonl"), str(folder / "trials"), pair, n_parallel=1, method="steer")
    gated_vector(folder / "v.gguf")
    probe = run_tune(replace(whole, out=folder / "probe"))
    values = [line["signature"]["steering"]["value"] for line in lines_of(probe.trials[1])]
    gated_vector(folder / "v.gguf", float(np.median(values)))
    return whole


def lines_of(trial):
    return [json.loads(line) for line in trial.answers.read_text().splitlines()]


def answers(spec, method, vector):
    """What a pair with this method and vector answers to the questions, without any search."""
    settings = {**spec.pair.base_settings, "control_vector": vector}
    resolved = resolve_pair(replace(spec.pair, base_settings=settings, blend={"method": method}))
    with Pair(resolved.setup.with_files(locate_files(resolved))) as pair:
        rows = map(json.loads, Path(spec.data).read_text().splitlines())
        made = (pair.respond(row["prompt"], blend=resolved.blend, answer=resolved.answer) for row in rows)
        return [decided(completion_to_json(one, with_steps=True)) for one in made]


def decided(record):
    """All that was decided, to the last bit."""
    return json.dumps([record["text"], record["steps"], record["signature"].get("steering")])


def test_a_trial_answers_as_its_setting_does_without_a_search(spec):
    """Bit for bit: no steering is method base without a vector, the others are steered as they say."""
    report = run_tune(spec)
    found = [list(map(decided, lines_of(trial))) for trial in report.trials]

    assert [trial.setting.name for trial in report.trials] == [
        "the unsteered base",
        *(f"scale {scale:g}, layers 1-1" for scale in SCALES),
    ]
    vector = spec.pair.base_settings["control_vector"]
    assert found[0] == answers(spec, "base", None)
    for scale, answered in zip(SCALES, found[1:], strict=True):
        assert answered == answers(spec, "steer", f"{vector}:{scale}:1-1")
    assert len(set(map(tuple, found))) == len(found)
    assert [trial.gate_open for trial in report.trials] == [None, 0.5, 0.5, 0.5]
    manifests = [
        json.loads(trial.answers.with_suffix(".manifest.json").read_text()) for trial in report.trials
    ]
    vectors = [manifest["settings"]["base"].get("control_vector", {}) for manifest in manifests]
    assert [(each.get("scale"), each.get("layers")) for each in vectors] == [
        (None, None),
        *((scale, "1-1") for scale in SCALES),
    ]


def test_what_is_on_disk_is_not_run_again(spec, tmp_path, monkeypatch):
    """Stopped in its second trial, only the others open a pair; complete, no model is loaded."""
    spec, opened = replace(spec, out=tmp_path / "o"), []
    open_for_rows = job.open_for_rows
    monkeypatch.setattr(
        job, "open_for_rows",
        lambda setup, stop: opened.append(setup.base_settings.control_vector) or open_for_rows(setup, stop),
    )  # fmt: skip
    begun = []
    stopped = run_tune(
        spec, on_progress=begun.append, should_stop=lambda: bool(begun) and begun[-1].trial == 2
    )
    first, opened[:] = list(opened), []
    report = run_tune(spec)
    second, opened[:] = list(opened), []

    assert (len(stopped.trials), stopped.finished) == (1, False)
    assert first[0] is None
    assert [scaled_file(text).scale for text in second] == list(SCALES)
    assert run_tune(spec).to_json() == report.to_json()
    assert opened == []
    assert report.to_json() == json.loads((tmp_path / "o" / "report.json").read_text())


def test_answers_of_another_vector_are_not_taken_for_this_ones(spec, tmp_path):
    """The folder keeps to the file's content."""
    vector, pair = gated_vector(tmp_path / "v.gguf", 0.5), spec.pair
    run_tune(spec)

    with pytest.raises(UsageError, match=r"base\.control_vector\.sha256 was"):
        run_tune(replace(spec, pair=with_vector(pair, vector)))


def test_a_scale_that_is_named_is_not_used_and_that_is_told(spec):
    """The pair may have been tuned before: its file counts."""
    pair, notes = spec.pair, []
    named = with_vector(pair, f"{pair.base_settings['control_vector']}:0.7:1-1")
    report = run_tune(replace(spec, pair=named), on_note=notes.append)

    assert [trial.setting.values["scale"] for trial in report.trials] == [0.0, *SCALES]
    assert "note: the search tries its own scales and layers, not those in v.gguf:0.7:1-1" in notes


def with_vector(pair, vector):
    return replace(pair, base_settings={**pair.base_settings, "control_vector": vector and str(vector)})


@pytest.mark.parametrize(
    ("vector", "fields", "says"),
    [
        (None, {}, "method steer needs a control vector for the base"),
        ("foreign", {}, "the base's control vector has none"),
        ("wide", {}, f"for a model of width {2 * WIDTH}, and base.gguf has {WIDTH}"),
        ("fitting", {"target_rate": 0.2}, "--target-rate is for method blendin"),
        ("fitting", {"method": "nudging"}, "there is nothing to tune in 'nudging'"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_the_first_trial(spec, tmp_path, vector, fields, says):
    """In one line: the vector, a target rate, a method that is not tuned."""
    gated_vector(tmp_path / "fitting")
    gated_vector(tmp_path / "wide", width=2 * WIDTH)
    make_vector(tmp_path / "foreign", {1: np.ones(WIDTH, np.float32)})
    pair = with_vector(spec.pair, vector and tmp_path / vector)
    with pytest.raises((PairError, UsageError), match=says) as caught:
        run_tune(replace(spec, pair=pair, out=tmp_path / "o", **fields))

    assert "\n" not in caught.value.message
    assert not list(tmp_path.glob("o/*.manifest.json"))


def test_a_new_pair_has_a_guide_that_is_named_but_not_loaded(spec, tmp_path):
    """A pair of models.toml has one; without it nothing is written, and the file stays readable."""
    on = judged(tmp_path, lambda blend, n: blend.method == "steer" or n % 2)
    file = tmp_path / "models.toml"
    with pytest.raises(UsageError, match=r"a pair in models\.toml has a guide, too"):
        keep_settings(replace(on, references={"base": "b.gguf"}), "mine", file)
    assert not file.exists()

    guide = str(tmp_path / "there-is-no-guide.gguf")
    named = run_tune(replace(spec, pair=replace(spec.pair, guide=guide, base_template="qa")))
    keep_settings(replace(on, references=named.references, base_template=named.base_template), "mine", file)
    kept = load_registry(file, env={}, cwd=tmp_path).pairs["mine"]
    assert (kept.base, kept.guide, kept.base_template) == (spec.pair.base, guide, "qa")
    assert kept.settings["method"] == "steer"
