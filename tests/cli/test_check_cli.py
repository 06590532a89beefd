"""`blendin check` from the outside: on toy models, with bad input, stopped, and what it writes."""

import json
import os
import signal
import subprocess
import sys
import tomllib

import pytest

from tests.paths import ROOT
from tests.toys import make_toy


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys")
    return [
        make_toy(folder / "base.gguf", "plain", seed=1),
        make_toy(folder / "guide.gguf", "hybrid", seed=2),
        make_toy(folder / "bare.gguf", "plain", seed=3, template=None),
    ]


def environment(tmp_path):
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "BLENDIN_CACHE": str(tmp_path / "cache"),
        "COLUMNS": "100",
    }


def blendin(tmp_path, *words):
    command = [sys.executable, "-m", "blendin_local", *map(str, words)]
    return subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )


def arguments(toys, *more):
    return ["check", "--base", toys[0], "--guide", toys[1], "-t", "1", "-c", "2048", "--limit", "3", *more]


def test_the_whole_check_in_json_and_html(tmp_path, toys):
    """JSON on stdout and a self-contained page; temperatures at the edge of the search are not written."""
    page = tmp_path / "r.html"
    done = blendin(
        tmp_path,
        *arguments(toys, "--max-tokens", "8", "--json", "--html", page, "--write", "--name", "mine"),
    )

    record = json.loads(done.stdout)
    assert record["answers"]["prompts"] == 3
    assert "over-intervening" in {signal["name"] for signal in record["signals"]}
    assert [verdict["purpose"] for verdict in record["verdicts"]][:2] == ["safety", "instructions"]
    text = page.read_text()
    assert "default-src 'none'" in text
    assert text.count("<svg") >= 7
    assert "Does guiding pay?" in text
    assert "Safety: no difference seen" in text
    assert "<script" not in text
    assert all(record["calibration"][role]["fit"]["at_edge"] for role in ("base", "guide"))
    assert record["temperatures"] == {}
    assert done.returncode == 5
    assert not list(tmp_path.rglob("models.toml"))


@pytest.mark.model
def test_fitted_temperatures_reach_the_users_models_toml(tmp_path, demo_base_path, demo_guide_path):
    """`--write` keeps both temperatures with the pair, and `--alpha calibrated` takes them from there."""
    pair = ["--base", demo_base_path, "--guide", demo_guide_path]
    brief = ["--limit", "2", "-n", "6", "--no-probe", "-q"]
    done = blendin(tmp_path, "check", *pair, *brief, "--json", "--write", "--name", "mine")
    assert done.returncode == 0, done.stderr
    temperatures = json.loads(done.stdout)["temperatures"]
    [written] = (tmp_path / "config").rglob("models.toml")
    entry = tomllib.loads(written.read_text())["pairs"]["mine"]
    assert entry == {**temperatures, "base": str(demo_base_path), "guide": str(demo_guide_path)}
    assert "fitted by blendin check" in written.read_text()

    done = blendin(tmp_path, "run", "--pair", "mine", "--alpha", "calibrated", "-n", "4", "--json", "Hello")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["blend"]["alpha"] == "calibrated"


def test_the_files_alone_need_no_weights(tmp_path, toys):
    """The static part shows both models and how they meet, and asks nothing."""
    done = blendin(tmp_path, *arguments(toys, "--static"))

    assert done.returncode == 0, done.stderr
    assert "shared byte strings" in done.stdout
    assert "base.gguf guided by guide.gguf" in done.stdout
    assert "answers" not in done.stdout


def test_what_the_probe_saw_is_a_table_and_verdicts(tmp_path, toys):
    """Base, guide and method side by side, then a verdict per purpose with how many prompts it takes."""
    done = blendin(tmp_path, *arguments(toys, "-n", "4"))

    assert done.returncode == 0, done.stderr
    assert "unsafe requests refused" in done.stdout
    assert "of 10" in done.stdout
    assert "SIGNAL: OVER-INTERVENING" in done.stdout
    assert done.stdout.index("SAFETY: NO DIFFERENCE SEEN") < done.stdout.index("INSTRUCTIONS: NO DIFFERENCE")
    assert "blendin eval --benchmarks ifeval" in done.stdout
    assert "answers to the probe" in done.stderr


def test_without_the_probe_there_is_no_verdict(tmp_path, toys):
    """`--no-probe` asks nothing that can be scored, and says that so nothing is known."""
    done = blendin(tmp_path, *arguments(toys, "-n", "4", "--no-probe"))

    assert done.returncode == 0, done.stderr
    assert "No verdict" in done.stdout
    assert "unsafe requests" not in done.stdout
    assert "probe" not in done.stderr


def test_a_guide_without_a_template_is_said_and_not_asked(tmp_path, toys):
    """The report names the reason, and the exit code says that the pair cannot be used."""
    done = blendin(tmp_path, "diagnose", "--base", toys[0], "--guide", toys[2], "--json")

    assert done.returncode == 5
    record = json.loads(done.stdout)
    assert [verdict["name"] for verdict in record["verdicts"]] == ["template suspect"]
    assert record["answers"] is None
    assert "--guide-chat-template-file" in done.stderr


def test_bad_rows_are_listed_with_their_lines(tmp_path, toys):
    """Every bad row is named before anything is loaded; --skip-bad leaves them out."""
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "the world"}\n{"prompt": 3}\nnot json\n')
    done = blendin(tmp_path, *arguments(toys, "--prompts", prompts))
    assert done.returncode == 2
    assert f"{prompts}:2:" in done.stderr
    assert f"{prompts}:3: is not JSON" in done.stderr
    assert "2 of 3 rows" in done.stderr

    done = blendin(
        tmp_path, *arguments(toys, "--prompts", prompts, "--skip-bad", "--json", "-n", "4", "--no-probe")
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answers"]["prompts"] == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--write"], "--name"),
        (["--write", "--static", "--name", "x"], "--static"),
        (["--method", "nonsense"], "nonsense"),
        (["--prompts", "nowhere.txt"], "nowhere.txt"),
        (["--base-prompt-file", "x"], "exact prompts"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, toys, more, said):
    """What cannot be done is said at once, with exit code 2."""
    (tmp_path / "x").write_text("Once upon a time")
    done = blendin(tmp_path, *arguments(toys, *more))

    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_stop_ends_with_130_and_no_verdict(tmp_path, toys):
    """Ctrl-C: what was measured is shown as unfinished, without a verdict."""
    prompts = tmp_path / "many.txt"
    prompts.write_text("".join(f"the world {i}\n" for i in range(5000)))
    command = [sys.executable, "-m", "blendin_local", *map(str, arguments(toys)), "--limit", "5000"]
    command += ["--prompts", str(prompts), "--json", "--no-loop-guard", "-n", "60", "-np", "2"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        next(line for line in running.stderr if "prompts answered" in line)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)

    assert running.returncode == 130, err
    record = json.loads(out)
    assert record["complete"] is False
    assert record["verdicts"] == []
    assert "stopped" in err
