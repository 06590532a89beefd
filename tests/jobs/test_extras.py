"""What runs without the extra `eval`, and what is said where it is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.cli

WITHOUT = (
    "import sys\n"
    "for name in {missing}: sys.modules[name] = None\n"
    "sys.argv = ['blendin', *{arguments}]\n"
    "from blendin_local.cli.app import main\n"
    "main()\n"
)


def blendin_without(missing, *arguments):
    code = WITHOUT.format(missing=missing, arguments=list(arguments))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", ["eval", "tune"])
@pytest.mark.parametrize("missing", [("scipy",), ("langdetect",)])
def test_a_missing_extra_is_one_line_and_a_next_step(tmp_path, verb, missing):
    """Exit code 2 before a model is looked for, with the command that installs what is missing."""
    data = ("--data", "gsm8k") if verb == "tune" else ()
    done = blendin_without(missing, verb, "-o", str(tmp_path / "out"), "--offline", *data)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"blendin: {missing[0]} is not installed, but needed by blendin eval and blendin tune --data",
        "  pip install 'blendin-local[eval]'",
    ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["run", "chat", "batch", "check", "eval", "tune", "replay", "bench"])
def test_help_needs_no_extra(verb):
    """Every verb shows its help without scipy and langdetect."""
    done = blendin_without(("scipy", "langdetect"), verb, "--help")

    assert done.returncode == 0, done.stderr


def test_all_but_evaluation_is_imported_without_the_extra():
    """The Python API and what check, batch and replay run import neither scipy nor langdetect."""
    code = (
        "import sys\n"
        "for name in ('scipy', 'langdetect'): sys.modules[name] = None\n"
        "import blendin_local, blendin_local.jobs\n"
        "for name in blendin_local.__all__: getattr(blendin_local, name)\n"
        "import blendin_local.cli.run.command, blendin_local.cli.chat.command\n"
        "import blendin_local.cli.batch.run, blendin_local.cli.check.run, blendin_local.cli.replay.command\n"
        "import blendin_local.jobs.probe.prompts, blendin_local.jobs.scoring.figures\n"
        "import blendin_local.cli.tune.run\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_missing_are_named_in_python():
    """Importing `run_eval` raises our error, which names both packages."""
    code = (
        "import sys\n"
        "for name in ('scipy', 'langdetect'): sys.modules[name] = None\n"
        "from blendin_local.errors import UsageError\n"
        "try: from blendin_local.jobs import run_eval\n"
        "except UsageError as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    needed_by = "blendin eval and blendin tune --data"
    assert done.stdout == f"scipy and langdetect are not installed, but needed by {needed_by}\n"
