"""The door to llama.cpp: its log calls Python neither unasked nor too late, and it is the library we know."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from blendin_local.engine import library as library_module
from blendin_local.engine.library import STRUCT_DEFAULTS, differences, library, require_layout
from blendin_local.engine.model import Model
from blendin_local.errors import LoadError
from blendin_local.settings import ModelSettings
from tests.toys import make_toy

ROOT = Path(__file__).parents[2]


def child(code, *arguments, **env):
    """Run Python code in a process of its own; returns exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **env},
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


LATE = """
import ctypes, sys
from pathlib import Path
from blendin_local.engine.library import library
from blendin_local.engine.model import Model
from blendin_local.settings import ModelSettings

kept = Model(Path(sys.argv[1]), ModelSettings())
if sys.argv[2] == "listened":
    library().listen(lambda line: None)
base = ctypes.CDLL(str(next(Path(sys.argv[3]).glob("libggml-base.so*"))))
ctypes.CDLL(None).on_exit(base.ggml_log_internal, b"a late line\\n")  # called after Python has ended
print("end", flush=True)
sys.exit(4)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="on_exit is a function of glibc")
@pytest.mark.parametrize("listened", ["listened", "not"])
def test_a_line_that_is_logged_after_python_has_ended_harms_nothing(tmp_path, listened):
    """llama.cpp logs while its libraries are taken down: no crash, no noise, the exit code stays."""
    import llama_cpp

    toy = make_toy(tmp_path / "toy.gguf", "plain")
    libraries = Path(llama_cpp.__file__).parent / "lib"
    assert child(LATE, toy, listened, libraries) == (4, "end\n", "")


def test_the_first_error_is_the_reason(tmp_path):
    """Of what llama.cpp logs before it fails, the first error is reported, in its own words."""
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"GGUF" + b"\xff" * 60)
    with pytest.raises(LoadError) as error:
        Model(path, ModelSettings())
    assert "gave no reason" not in error.value.message
    library().clear_errors()
    assert library().reason("none") == "none"


def test_a_listener_hears_the_log_and_may_fail(tmp_path):
    """The listener gets every line; what it raises is raised before the next call, and ends the listening."""
    toy = make_toy(tmp_path / "toy.gguf", "plain")
    heard = []
    library().listen(heard.append)
    Model(toy, ModelSettings()).close()
    library().listen(None)
    assert any("llama" in line for line in heard)

    def fail(line):
        raise KeyboardInterrupt(line)

    library().listen(fail)
    Model(toy, ModelSettings()).close()
    with pytest.raises(KeyboardInterrupt):
        Model(toy, ModelSettings())
    Model(toy, ModelSettings()).close()
    library().listen(None)


def shifted(struct, at, size):
    """The same struct read as if `size` bytes had been put in before byte `at`."""
    data = bytes(struct)
    return type(struct).from_buffer_copy((data[:at] + bytes(size) + data[at:])[: len(data)])


@pytest.mark.parametrize("name", STRUCT_DEFAULTS)
def test_a_field_more_is_noticed(name):
    """Wherever a number or a pointer was put in before the last field that is set, a default is wrong."""
    struct = getattr(library().api, f"llama_{name}_default_params")()
    defaults = STRUCT_DEFAULTS[name]
    assert differences(struct, defaults) == []
    last = max(getattr(type(struct), field).offset for field, value in defaults.items() if value)
    for field, *_ in struct._fields_:
        at = getattr(type(struct), field).offset
        if at <= last:
            assert all(differences(shifted(struct, at, size), defaults) for size in (4, 8)), field


def test_another_library_is_refused(monkeypatch):
    """The message names what is wrong, the hint what to do."""
    require_layout(library().api, "hint")
    wrong = {**STRUCT_DEFAULTS, "context": {**STRUCT_DEFAULTS["context"], "n_batch": 7}}
    monkeypatch.setattr(library_module, "STRUCT_DEFAULTS", wrong)
    with pytest.raises(LoadError, match="n_batch 2048 instead of 7") as error:
        require_layout(library().api, "unset it")
    assert error.value.hint == "unset it"


def test_a_larger_struct_does_not_overflow():
    """A function that returns more than it should writes into memory of its own."""
    struct = library_module._call_padded(library().api.llama_context_default_params)
    assert ctypes.sizeof(struct) == ctypes.sizeof(type(library().api.llama_context_default_params()))
    assert struct.n_ctx == 512


AT_START = """
from blendin_local.engine.library import library
from blendin_local.errors import LoadError
try:
    print(library().notice)
except LoadError as error:
    print(error.message, "|", error.hint)
"""


@pytest.mark.slow
def test_a_replaced_library_is_reported(tmp_path):
    """LLAMA_CPP_LIB_PATH: a folder without a library is an error with the way out, one with it a notice."""
    import llama_cpp

    status, said, noise = child(AT_START, LLAMA_CPP_LIB_PATH=str(tmp_path))
    assert (status, noise) == (0, "")
    assert "cannot be imported" in said
    assert f"unset LLAMA_CPP_LIB_PATH, which is '{tmp_path}'" in said
    libraries = Path(llama_cpp.__file__).parent / "lib"
    status, said, noise = child(AT_START, LLAMA_CPP_LIB_PATH=str(libraries))
    assert (status, noise) == (0, "")
    assert f"taken from {libraries} (LLAMA_CPP_LIB_PATH)" in said
    assert child(AT_START)[1] == "\n"


BESIDE = """
import sys
from pathlib import Path
from blendin_local.engine.library import library
from blendin_local.engine.model import Model
from blendin_local.errors import LoadError
from blendin_local.settings import ModelSettings

library()
print([name for name in ("llama_cpp", "jinja2", "diskcache") if name in sys.modules])
import llama_cpp
print(llama_cpp.Llama.__name__, hasattr(llama_cpp.llama_cpp, "llama_decode"))
try:
    Model(Path(sys.argv[1]), ModelSettings())
except LoadError as error:
    print("gave no reason" in error.message)
"""


@pytest.mark.slow
def test_only_the_bindings_are_imported_and_all_of_the_package_can_be(tmp_path):
    """A start does without the rest of llama-cpp-python, which works beside us and does not take our log."""
    path = tmp_path / "junk.gguf"
    path.write_bytes(b"GGUF" + b"\xff" * 60)
    assert child(BESIDE, path) == (0, "[]\nLlama True\nFalse\n", "")


def test_another_version_is_refused(monkeypatch):
    """Where the metadata are not those of the version needed, the package itself says which one it is."""
    monkeypatch.setattr(library_module, "VERSION", "0.0.1")
    with pytest.raises(LoadError, match=r"llama-cpp-python is \d.*, but 0.0.1 is needed"):
        library.__wrapped__()
