"""The examples run as they are, each in a process of its own, on toy models."""

import json
import subprocess
import sys

import pytest

from tests.cli_runner import blendin, environment
from tests.paths import ROOT
from tests.toys import make_toy

EXAMPLES = ROOT / "examples"


def example(name, *arguments):
    """The output of an example that ends well and complains of nothing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)],
        capture_output=True,
        cwd=ROOT,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """The options of a toy pair."""
    folder = tmp_path_factory.mktemp("models")
    base, guide = make_toy(folder / "base.gguf", "plain"), make_toy(folder / "guide.gguf", "plain", seed=1)
    return "--base", base, "--guide", guide


def test_every_example_is_tested():
    """A new example has a test here, by its name."""
    text = (ROOT / "tests" / "test_examples.py").read_text()
    assert [path.name for path in sorted(EXAMPLES.glob("*.py")) if f'"{path.name}"' not in text] == []


@pytest.mark.slow
def test_the_tokens_that_the_guide_changed_are_printed(toys):
    """Toys are never sure, so every step asks."""
    out = example("guided_tokens.py", "hello", "-n", 8, *toys)

    assert "instead of" in out
    assert "100.0 % asked" in out


@pytest.mark.slow
def test_a_streamed_answer_ends_with_its_reason(toys):
    """After the answer comes why it ended, and after how many steps."""
    assert "(length, 8 steps)" in example("stream.py", "hello", "-n", 8, *toys)


@pytest.mark.slow
def test_a_batch_is_answered_and_resumed(toys, tmp_path):
    """The second run finds every row answered and adds nothing."""
    (tmp_path / "prompts.txt").write_text("hello\nthe world\n")
    arguments = (tmp_path / "prompts.txt", tmp_path / "answers.jsonl", "-n", 4, *toys)

    assert "2 of 2 rows" in example("batch.py", *arguments)
    answers = (tmp_path / "answers.jsonl").read_text()
    assert len([json.loads(line)["text"] for line in answers.splitlines()]) == 2
    assert "2 of 2 rows" in example("batch.py", *arguments)
    assert (tmp_path / "answers.jsonl").read_text() == answers


@pytest.mark.slow
def test_a_method_of_ones_own_is_checked_and_run():
    """The right one keeps the laws, the faulty one breaks the gate's."""
    out = example("custom_method.py")

    assert "averaged keeps the laws" in out
    assert "the_gate_holds" in out
    assert "'yes' (changed)" in out


@pytest.mark.slow
def test_a_trace_is_read(toys, tmp_path):
    """What `run --trace` wrote is counted, and the guide's surest changes are listed."""
    trace = tmp_path / "answer.jsonl"
    code, _, err = blendin("run", "hello", "-n", 6, "--trace", trace, "--no-loop-guard", *toys)
    assert code == 0, err

    out = example("read_trace.py", trace)
    assert "6 steps" in out
    assert "  step " in out
