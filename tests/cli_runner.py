"""The program in a fresh process, run to its end or started and left running; how an error must look."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.paths import ROOT

SCHEMA = json.loads((ROOT / "docs" / "answer.schema.json").read_text())


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **more}


def blendin(*arguments, stdin=b"", cwd=ROOT, **env):
    """Run the program; returns exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "blendin_local", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env=environment(**env),
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def start(arguments, cache, **streams):
    return subprocess.Popen(
        [sys.executable, "-m", "blendin_local", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(**cache),
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **streams},
    )


def one_line_error(result, code, *words):
    """The result is one clear line with a hint, the exit code, and no traceback."""
    returncode, stdout, stderr = result
    lines = [line for line in stderr.splitlines() if line.startswith("blendin: ")]
    assert returncode == code, stderr
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    for word in words:
        assert word in stderr
    assert stdout == "" or json.loads(stdout)["error"]
