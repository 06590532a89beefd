# Development commands. `just` lists them; `just check` runs everything that must pass before a commit.

python := if os_family() == "windows" { ".venv/Scripts/python.exe" } else { ".venv/bin/python" }
fast := "not slow and not cli and not model"

_default:
    @just --list

# Create .venv and install the package with its test tools
setup:
    python3 -m venv .venv
    {{python}} -m pip install -q -e ".[test]"

# Format the code and apply safe fixes
fmt:
    {{python}} -m ruff format .
    {{python}} -m ruff check --fix .

# Check formatting and lint rules
lint:
    {{python}} -m ruff format --check .
    {{python}} -m ruff check .

# Check types (mypy, strict)
types:
    {{python}} -m mypy

# Check the direction of imports
layers:
    {{python}} -c "from importlinter.cli import lint_imports_command as run; run()"

# Run the fast tests on all cores: no models, no subprocesses of the program
fast *arguments:
    {{python}} -m pytest -n auto --dist worksteal -m "{{fast}}" {{arguments}}

# Run all tests; downloads the demo pair once (351 MB)
test *arguments:
    {{python}} -m pytest {{arguments}}

# Run all checks and all tests
check: lint types layers test

# Build the sdist and the wheel into dist/
build:
    {{python}} -m pip install -q build
    {{python}} -m build
