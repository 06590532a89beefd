"""One way to write a percentage, and no other in the program or its documents."""

from __future__ import annotations

import re

import pytest

from blendin_local.core.percent import percent, percent_interval
from tests.paths import PACKAGE, ROOT, SOURCES

OWN = PACKAGE / "core" / "percent.py"
IN_CODE = re.compile(r":\+?\.\d+%\}|\} ?%[\"' ,;)]|\* 100:|\b100 \* [\w.]+:|toFixed|\d%[^}{\w]")
IN_TEXT = re.compile(r"(?<![\w=])\d+(?:\.\d+)?%(?![\w}{])")
EXAMPLES = [*sorted((ROOT / "examples").glob("*.py"))]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def relative(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0.0 %"), (0.2254, "22.5 %"), (0.0001, "<0.1 %"), (0.0005, "0.1 %"), (1, "100.0 %")],
)
def test_percent(share, text):
    """One digit after the point, a space, the sign; a share that would round to nothing says so."""
    assert percent(share) == text


def test_percent_with_other_digits_and_a_plus():
    """Limits and narrow tables have no digit after the point; differences have a sign."""
    assert percent(0.2, 0) == "20 %"
    assert percent(0.004, 0) == "<1 %"
    assert percent(0.125, 1, signed=True) == "+12.5 %"
    assert percent(-0.125, 1, signed=True) == "-12.5 %"
    assert percent_interval(0.225, 0.2, 0.25) == "22.5 % (20.0 to 25.0)"


@pytest.mark.parametrize("path", [path for path in SOURCES if path != OWN], ids=relative)
def test_no_other_code_formats_a_percentage(path):
    """What is written in per cent goes through `percent`."""
    lines = path.read_text().splitlines()
    assert [line for line in lines if IN_CODE.search(line)] == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "reports" / "assets").glob("*.js")), ids=relative)
def test_no_script_formats_a_number(path):
    """A page's script shows the texts that Python made."""
    assert "toFixed" not in path.read_text()


@pytest.mark.parametrize("path", [*PAGES, *EXAMPLES], ids=relative)
def test_documents_and_examples_write_it_so_too(path):
    """`20 %`, never `20%`; and no `:.0%` in an example to copy."""
    text = path.read_text()
    assert IN_TEXT.findall(text) == []
    assert re.findall(r":\.\d%", text) == []
