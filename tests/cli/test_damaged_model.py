"""A model file that makes llama.cpp abort ends every command with one line and exit code 4."""

import json
import os
import subprocess
import sys

import pytest

from tests.damage import doubled_token
from tests.toys import make_toy

PAIR = ("--base", "base.gguf", "--guide", "guide.gguf")
COMMANDS = {
    "run": ("run", *PAIR, "Hello"),
    "chat": ("chat", *PAIR),
    "batch": ("batch", "rows.jsonl", "-o", "out.jsonl", *PAIR),
    "check": ("check", *PAIR),
    "check --static": ("check", *PAIR, "--static"),
    "bench": ("bench", *PAIR, "--rounds", "1"),
    "tune": ("tune", "--data", "rows.jsonl", "-o", "tuned", *PAIR),
    "eval": ("eval", "--benchmarks", "gsm8k", "--limit", "2", "-o", "scores", *PAIR),
}
PYTHON = """
from pathlib import Path
from blendin_local import open_pair
from blendin_local.errors import LoadError
try:
    open_pair(base="base.gguf", guide="guide.gguf")
except LoadError as error:
    print(error.message)
"""


@pytest.fixture
def folder(tmp_path):
    """A good base, a guide with a token that is there twice, and rows."""
    make_toy(tmp_path / "base.gguf", "plain")
    doubled_token(tmp_path / "guide.gguf")
    row = json.dumps({"prompt": "the world", "answer": "3"})
    (tmp_path / "rows.jsonl").write_text(f"{row}\n" * 40)
    return tmp_path


def python(folder, *arguments):
    env = {**os.environ, "BLENDIN_CACHE": str(folder / "cache"), "XDG_CONFIG_HOME": str(folder / "config")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder, env=env, input="Hello\n", capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_model_is_one_line_and_exit_4(folder, command):
    """Not a signal, not a traceback: the file, llama.cpp's own reason and what to do."""
    done = python(folder, "-m", "blendin_local", *COMMANDS[command])

    assert done.returncode == 4, done.stderr
    said = " ".join(done.stderr.split())
    assert "guide.gguf cannot be loaded" in said
    assert "GGML_ASSERT" in said
    assert "Traceback" not in said


def test_python_gets_a_load_error(folder):
    """The same through the Python API."""
    done = python(folder, "-c", PYTHON)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("guide.gguf cannot be loaded")
    assert len(done.stdout.splitlines()) == 1
