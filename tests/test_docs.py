"""The documents: links resolve, lines are short, and glossary, workflows and justfile agree with the rest."""

import re
import shlex

import pytest
import yaml

import blendin_local
from tests.paths import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
MAX_COLUMNS = 120
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def named(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: str(path.relative_to(ROOT)))


def anchors(text):
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@named(PAGES)
def test_links_lead_somewhere(path):
    """Each relative link names a file of the repository, and each anchor a heading of that file."""
    broken = []
    for link in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(link)

    assert broken == []


@named(PAGES)
def test_lines_of_documents_are_short(path):
    """Prose ends before column 120; tables, code and pictures may be longer."""
    text = FENCE.sub(lambda block: "\n" * block[0].count("\n"), path.read_text(encoding="utf-8"))
    long = [n for n, line in enumerate(text.splitlines(), 1) if len(line) > MAX_COLUMNS]
    lines = text.splitlines()

    assert [n for n in long if not lines[n - 1].lstrip().startswith(("|", "!["))] == []


def test_every_glossary_term_is_used():
    """A term that no other document, help text or docstring uses is not one of ours."""
    glossary = ROOT / "docs" / "glossary.md"
    terms = re.findall(r"^\| \*\*(.+?)\*\* \|", glossary.read_text(encoding="utf-8"), re.M)
    files = [*(page for page in PAGES if page != glossary), *(ROOT / "blendin_local").rglob("*.py")]
    text = " ".join(" ".join(file.read_text(encoding="utf-8").split()).lower() for file in files)

    assert len(terms) > 30
    assert [term for term in terms if term.strip("`").lower() not in text] == []
    assert len(set(terms)) == len(terms)


def recipes():
    """The commands of the justfile by recipe, with its variables put in."""
    text = (ROOT / "justfile").read_text(encoding="utf-8")
    fast = re.search(r'^fast := "(.+)"$', text, re.M)[1]
    found = re.findall(r"^([a-z]+)(?: \*arguments)?:[^\n]*\n((?: {4}.+\n?)*)", text, re.M)
    fill = {"{{python}}": "python", "{{fast}}": fast, " {{arguments}}": ""}
    commands = {}
    for name, body in found:
        commands[name] = [line.strip() for line in body.splitlines()]
        for variable, value in fill.items():
            commands[name] = [line.replace(variable, value) for line in commands[name]]
    return commands


def workflow_commands(path):
    """The lines that the steps of a workflow run."""
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    runs = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    return [line for run in runs for line in run.splitlines()]


def test_the_workflow_of_tests_runs_the_commands_of_the_justfile():
    """Nothing is tested in a workflow that `just` or the README's test command do not run."""
    known = {line for lines in recipes().values() for line in lines} | {".ci/run"}

    assert set(workflow_commands(ROOT / ".github" / "workflows" / "tests.yml")) <= known


def test_the_justfile_installs_what_the_readme_installs():
    """One set of extras for the README's test command and for `just setup`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [extras] = set(re.findall(r'pip install -q -e "(\.\[[^"]+\])"', readme))

    assert f'python -m pip install -q -e "{extras}"' in recipes()["setup"]


def test_the_checks_of_the_justfile_are_all_there():
    """`just check` runs lint, types, layers and all tests, and every recipe it names exists."""
    text = (ROOT / "justfile").read_text(encoding="utf-8")
    needed = re.search(r"^check: (.+)$", text, re.M)[1].split()

    assert needed == ["lint", "types", "layers", "test"]
    assert set(needed) <= recipes().keys()
    assert all(shlex.split(line) for lines in recipes().values() for line in lines)


def test_the_fast_tests_are_told_the_same_everywhere():
    """CONTRIBUTING names the expression of markers that the justfile uses, and the markers exist."""
    [command] = recipes()["fast"]
    expression = shlex.split(command)[-1]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")

    assert f'-m "{expression}"' in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f'"{marker}: ' in project for marker in re.findall(r"not (\w+)", expression))


@named([*WORKFLOWS, *FORMS, ROOT / "CITATION.cff", ROOT / ".pre-commit-config.yaml"])
def test_yaml_is_valid(path):
    """Each YAML file parses to a mapping; workflows have jobs with steps, forms have fields."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))

    assert isinstance(content, dict)
    if path in WORKFLOWS:
        assert all(job["steps"] and job["runs-on"] for job in content["jobs"].values())
        assert content["permissions"] == {"contents": "read"}
    if path in FORMS and path.stem != "config":
        fields = [field["id"] for field in content["body"]]
        assert len(set(fields)) == len(fields)


def test_the_citation_has_the_version():
    """The version of CITATION.cff is the program's."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    assert str(citation["version"]) == blendin_local.__version__


def test_every_page_of_the_documentation_can_be_found():
    """Each page in docs is linked from the README, CONTRIBUTING or another page."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    pages = [page for page in PAGES if page.parent.name == "docs"]

    assert [
        page.name
        for page in pages
        if not any(page.name in text for other, text in texts.items() if other != page)
    ] == []
