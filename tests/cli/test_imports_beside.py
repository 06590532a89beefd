"""What a start imports, and when."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from blendin_local.cli.common.imports_beside import ImportsBeside

MODULES = ("late_one", "late_two")


@pytest.fixture
def late_modules(tmp_path, monkeypatch):
    """Two modules that nobody has imported, each with the name of the thread that imported it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in MODULES:
        (tmp_path / f"{name}.py").write_text("import threading\nBY = threading.current_thread().name\n")
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)


def wait():
    """Until the threads that import have ended."""
    for thread in threading.enumerate():
        if thread.name == "blendin-imports":
            thread.join()


def test_another_thread_imports_them_once(late_modules):
    """Nothing is imported before the start; a second start changes nothing."""
    beside = ImportsBeside(MODULES)
    assert not set(MODULES) & set(sys.modules)
    beside.start()
    wait()
    assert [sys.modules[name].BY for name in MODULES] == ["blendin-imports"] * 2
    del sys.modules["late_one"]
    beside.start()
    wait()
    assert "late_one" not in sys.modules


def test_a_module_that_fails_is_an_error_only_for_whoever_needs_it(late_modules, capfd):
    """The thread ends quietly; the later import raises what the module raises."""
    (late_modules / "late_one.py").write_text("raise RuntimeError('no')\n")
    ImportsBeside(["late_one"]).start()
    wait()
    assert capfd.readouterr() == ("", "")
    with pytest.raises(RuntimeError, match="no"):
        import late_one  # noqa: F401


@pytest.mark.slow
def test_a_pair_needs_no_event_loop_and_no_answer_is_drawn_before_there_is_one():
    """What an open pair is made of imports neither asyncio nor what shows and keeps an answer."""
    code = (
        "import sys\n"
        "import blendin_local.cli.common.session, blendin_local.cli.run.outputs\n"
        "print([name for name in sys.argv[1:] if name in sys.modules])\n"
    )
    late = [
        "asyncio",
        "numpy.ma",
        "sqlite3",
        "blendin_local.views.answer_printer",
        "blendin_local.cli.run.log",
    ]
    done = subprocess.run([sys.executable, "-c", code, *late], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
