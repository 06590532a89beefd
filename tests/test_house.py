"""The house rules, run with the tests: style, types, layers, sizes, and documents that cannot drift."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import blendin_local
from blendin_local.core.methods import METHODS
from tests.paths import PACKAGE, ROOT, SOURCES

ARCHITECTURE = ROOT / "docs" / "architecture.md"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["importlinter.cli"],
    ],
    ids=["ruff", "format", "mypy", "layers"],
)
def test_the_checks_pass(command):
    """Ruff, mypy --strict and import-linter have nothing to say."""
    name, *arguments = command
    program = [sys.executable, "-m", name] if name in {"ruff", "mypy"} else [_script("lint-imports")]
    done = subprocess.run([*program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def _script(name):
    return str(Path(sys.executable).parent / name)


def test_the_core_needs_no_model_library():
    """The core and the heart's rule import neither llama_cpp nor a terminal library."""
    code = (
        "import sys\n"
        "for name in ('llama_cpp', 'typer', 'rich', 'prompt_toolkit'): sys.modules[name] = None\n"
        "import blendin_local.core.methods, blendin_local.core.text, blendin_local.decode.respond\n"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_help_is_quick_and_light():
    """`blendin --help` imports no llama_cpp and no numpy."""
    code = (
        "import sys\nfrom blendin_local.cli import app as cli\ncli.build_app()\n"
        "heavy = {'llama_cpp', 'numpy', 'huggingface_hub', 'prompt_toolkit'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_no_test_module_is_imported_by_another():
    """What tests share stands in modules of its own: nobody imports a test module or a conftest."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [part for alias in node.names for part in alias.name.split(".")]
            else:
                continue
            shared = [name for name in names if name == "conftest" or name.startswith("test_")]
            modules = [name for name in shared if any((ROOT / "tests").rglob(f"{name}.py"))]
            assert modules == [], f"{path.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    """No file is over 400 lines and no function over 50; a file of 300 is a sign to look, not to cut."""
    text = path.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]

    assert len(text.splitlines()) <= 400
    assert [node.name for node in functions if _body_lines(node) > 50] == []


def _body_lines(function):
    body = function.body[1:] if ast.get_docstring(function) and len(function.body) > 1 else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_version_and_exports():
    """The version is said once for users and once for the installer; every exported name exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert blendin_local.__version__ == project["version"]
    for name in blendin_local.__all__:
        assert getattr(blendin_local, name) is not None


def test_the_llama_version_is_pinned_as_the_engine_expects():
    """The engine's check and the dependency name the same version."""
    from blendin_local.engine.library import VERSION

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"llama-cpp-python=={VERSION}" in project["dependencies"][0]


def test_the_documents_name_what_exists():
    """Every module named in docs/architecture.md exists, and every method is in the README."""
    architecture = ARCHITECTURE.read_text()
    rooms = "|".join(path.name for path in PACKAGE.iterdir() if path.is_dir())
    for name in set(re.findall(rf"`((?:{rooms})/[\w/]+\.py)`", architecture)):
        assert (PACKAGE / name).is_file(), name
    readme = (ROOT / "README.md").read_text()
    assert [method for method in METHODS if f"`{method}`" not in readme] == []


def test_the_drawing_of_the_folders_is_complete():
    """The tree in docs/architecture.md names every module, if by a pattern, and only what is there."""
    drawing = ARCHITECTURE.read_text().split("```")[1]
    patterns = re.findall(r"[\w*/]+\.py", drawing)
    modules = [path for path in SOURCES if not path.name.startswith("_")]

    assert [str(path) for path in modules if not any(path.match(pattern) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(path.match(pattern) for path in modules)] == []


def test_the_error_tree_is_drawn_as_it_is():
    """The drawing in errors.py names every class with its exit code."""
    from blendin_local import errors

    drawing = errors.__doc__
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.BlendinError)]
    for error in classes:
        assert re.search(rf"{error.__name__}\s+{error.exit_code}\b", drawing), error
