"""`blendin tune` as a user meets it: toy models, stopped and gone on with, and what is written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tomllib

import pytest

from tests.cli_runner import blendin, environment, one_line_error
from tests.jobs.steerings import gated_vector
from tests.paths import ROOT
from tests.toys import make_toy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two toys and a few questions; toys know no answers, so every setting scores the same."""
    folder = tmp_path_factory.mktemp("tune")
    make_toy(folder / "base.gguf", "sliding")
    make_toy(folder / "guide.gguf", "plain", seed=1)
    rows = [{"prompt": f"hello the world {i}", "answer": i} for i in range(6)]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def tune(folder, tmp_path):
    """Arguments of `blendin tune` on the toys, with a directory of its own, and where it keeps its things."""
    models = ("--base", folder / "base.gguf", "--guide", folder / "guide.gguf", "-t", 1, "-np", 1)
    env = {name: str(tmp_path / name) for name in ("BLENDIN_CACHE", "XDG_CONFIG_HOME")}
    arguments = ["tune", "--data", folder / "q.jsonl", "-n", 12, "--no-loop-guard", *models]

    def run(*more, out="o"):
        return blendin(*arguments, "-o", tmp_path / out, *more, **env)

    run.arguments = [*map(str, arguments), "-o", str(tmp_path / "o")]
    run.env = env
    return run


def test_the_report_holds_every_trial_and_is_kept(tune, tmp_path):
    """The JSON names eight trials; the same is in report.json; answers lie beside it."""
    code, out, err = tune("--json")
    report = json.loads(out)

    assert code == 0, err
    assert len(report["trials"]) == 8
    assert report == json.loads((tmp_path / "o" / "report.json").read_text())
    assert (report["conclusion"], report["chosen"]["alpha"]) == ("default is best", "auto")
    assert all((tmp_path / "o" / trial["answers"]).is_file() for trial in report["trials"])
    assert "calibrated was left out" in report["notes"][0]


def test_a_second_run_loads_nothing_and_says_the_same(tune):
    """All trials are on the disk: the report comes at once and is equal."""
    first = tune("--json")[1]
    code, second, err = tune("--json")

    assert (code, second) == (0, first)
    assert "trial" not in err


def test_interrupted_and_resumed(tune, tmp_path):
    """Stopped in the middle it says how to resume; the same command then ends with the report of one run."""
    whole = json.loads(tune("--json", out="whole")[1])
    out = tmp_path / "o"
    process = subprocess.Popen(
        [sys.executable, "-m", "blendin_local", *tune.arguments],
        cwd=ROOT, env=environment(**tune.env), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list(out.glob("threshold-*.jsonl"))) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    code, again, _ = tune("--json")

    if process.returncode:  # else it was faster than the signal
        assert process.returncode == 130
        assert "to resume: blendin tune" in err.decode()
    assert (code, json.loads(again)) == (0, whole)


def test_write_puts_a_pair_with_its_evidence(tune, tmp_path):
    """--write makes the pair in the user's models.toml; without it nothing is written there."""
    tune()
    assert not list(tmp_path.glob("XDG_CONFIG_HOME/**/models.toml"))
    code, _, err = tune("--write", "--name", "toys")
    [path] = tmp_path.glob("XDG_CONFIG_HOME/**/models.toml")
    pair = tomllib.loads(path.read_text())["pairs"]["toys"]

    assert code == 0, err
    assert (pair["threshold"], pair["alpha"]) == (0.4, "auto")
    assert pair["base"].endswith("base.gguf")
    assert "blendin tune on q, 6 questions" in path.read_text()


def test_a_wanted_rate_is_reported(tune):
    """--target-rate adds trials until one asks about that often, and chooses it."""
    report = json.loads(tune("--json", "--target-rate", 0.5)[1])

    assert report["target_rate"] == 0.5
    assert len(report["trials"]) > 8
    rates = [abs(trial["intervention_rate"] - 0.5) for trial in report["trials"] if trial["alpha"] == "auto"]
    assert abs(report["chosen"]["intervention_rate"] - 0.5) == min(rates)


def test_wrong_options_are_one_line(tune, folder, tmp_path):
    """No data, bad rows, a rate that is none, a pair without a name, a directory of other questions."""
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n')
    one_line_error(tune("--data", tmp_path / "none"), 2, "not a file", "gsm8k")
    one_line_error(tune("--data", tmp_path / "bad.jsonl"), 2, "line 1", "answer")
    one_line_error(tune("--target-rate", 2), 2, "target-rate is 2")
    one_line_error(tune("--write"), 2, "--name")
    tune("--limit", 4)
    one_line_error(tune("--limit", 5), 2, "other questions")


def test_a_control_vector_is_tuned_without_a_guide(folder, tmp_path):
    """Scale and layers in the JSON; where no steering is better than none, nothing is written."""
    make_toy(folder / "plain.gguf", "plain")
    vector = gated_vector(tmp_path / "v.gguf")
    env = {name: str(tmp_path / name) for name in ("BLENDIN_CACHE", "XDG_CONFIG_HOME")}
    command = (
        "tune",
        "--method",
        "steer",
        "--data",
        folder / "q.jsonl",
        "-o",
        tmp_path / "o",
        "-n",
        6,
        "-t",
        1,
    )
    base = ("--base", folder / "plain.gguf", "--base-control-vector", vector)

    code, out, err = blendin(*command, *base, "--json", **env)
    report = json.loads(out)
    assert code == 0, err
    assert [trial["layers"] for trial in report["trials"]] == [None, "1-1", "1-1", "1-1"]
    assert "trial 1: the unsteered base" in err

    refused = blendin(*command, *base, "--write", "--name", "x", **env)
    one_line_error(refused, 2, "has a guide, too", "--guide")
    refused = blendin(*command, *base, "--target-rate", 0.2, **env)
    one_line_error(refused, 2, "--target-rate is for method blendin")
    one_line_error(blendin(*command, *base[:2], **env), 5, "needs a control vector", "--base-control-vector")
    guide = ("--guide", folder / "guide.gguf")
    code, out, err = blendin(*command, *base, *guide, "--write", "--name", "x", **env)
    assert code == 0, err
    assert "Leave it unsteered." in out
    assert "nothing was written: no steering was better than none" in err
    assert not list(tmp_path.glob("XDG_CONFIG_HOME/**/models.toml"))


@pytest.mark.model
def test_the_layers_and_the_scale_of_a_real_vector_are_searched_for(demo_guide_path, tmp_path):
    """Learned, then tuned: six trials, the halves at the best scale, and the gate's share of the record."""
    contrast, env = ROOT / "examples" / "contrast.jsonl", {"BLENDIN_CACHE": str(tmp_path / "cache")}
    few = [line for line in contrast.read_text().splitlines() if line][:24]
    (tmp_path / "c.jsonl").write_text("\n".join(few))
    base = ("--base", demo_guide_path, "--base-template", "chat", "-t", 1)
    learn = ("--aligned", demo_guide_path, "--contrast", tmp_path / "c.jsonl", "-o", tmp_path / "v.gguf")
    code, _, err = blendin("steer", "learn", *base, *learn, "-q", **env)
    assert code == 0, err
    trials = ("--for", "safety", "--limit", 4, "-n", 8, "-c", 512, "-o", tmp_path / "o", "--json")
    code, out, err = blendin(
        "tune", "--method", "steer", *base, "--base-control-vector", tmp_path / "v.gguf", *trials, **env
    )
    assert code == 0, err
    unsteered, *steered = json.loads(out)["trials"]

    assert (unsteered["scale"], unsteered["gate_open"]) == (0.0, None)
    assert [trial["layers"] for trial in steered] == ["10-19"] * 3 + ["10-14", "15-19"]
    best = max(steered[:3], key=lambda trial: trial["score"]["value"])["scale"]
    assert [trial["scale"] for trial in steered] == [0.25, 0.5, 1.0, best, best]
    texts = {}
    for trial in (unsteered, *steered):
        lines = [json.loads(line) for line in (tmp_path / "o" / trial["answers"]).read_text().splitlines()]
        assert len(lines) == 4
        opened = [line["custom_id"] for line in lines if line["signature"].get("steering", {}).get("open")]
        assert trial["gate_open"] == (None if trial is unsteered else len(opened) / 4)
        texts[trial["answers"]] = [line["text"] for line in lines]
    assert len(set(map(tuple, texts.values()))) > 1


@pytest.mark.model
def test_the_demo_pair_is_tuned_on_a_few_questions(demo_base_path, demo_guide_path, tmp_path):
    """Every trial answers every question, and the guide is asked more often at a higher threshold."""
    rows = [
        {"prompt": "What is the capital of France?", "answer": "Paris"},
        {"prompt": "What is 2 + 2?", "answer": 4},
        {"prompt": "What colour is grass?", "answer": ["green", "Green"]},
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = ("--base", demo_base_path, "--guide", demo_guide_path, "-c", 512)
    code, out, err = blendin(
        "tune", "--data", tmp_path / "q.jsonl", "-o", tmp_path / "o", "-n", 16, *models, "--json",
        BLENDIN_CACHE=str(tmp_path / "cache"),
    )  # fmt: skip
    report = json.loads(out)

    assert code == 0, err
    assert [trial["failed"] for trial in report["trials"]] == [0] * len(report["trials"])
    assert max(trial["score"]["value"] for trial in report["trials"]) > 0
    rates = {
        trial["threshold"]: trial["intervention_rate"]
        for trial in report["trials"]
        if trial["threshold"] != 0.4
    }
    assert rates[0.3] < rates[0.5]
