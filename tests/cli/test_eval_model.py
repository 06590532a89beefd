"""`blendin eval` on the demo pair, with a few questions."""

from __future__ import annotations

import json

import pytest

from tests.cli_runner import blendin

pytestmark = pytest.mark.model


def test_a_few_questions_on_the_demo_pair(demo_base_path, demo_guide_path, tmp_path):
    """Four methods answer, options are read, and the guide is asked by nudging and blendin only."""
    out = tmp_path / "out"
    models = ("--base", demo_base_path, "--guide", demo_guide_path)
    code, stdout, stderr = blendin(
        "eval",
        "-o",
        out,
        *models,
        "-b",
        "arc-challenge,xstest",
        "--limit",
        "2",
        "-n",
        "24",
        "--parallel",
        "2",
    )
    report = json.loads((out / "report.json").read_text())
    cells = {(cell["benchmark"], cell["variant"]): cell for cell in report["cells"]}

    assert code == 0, stderr
    assert report["complete"]
    assert "XSTest" in stdout
    for (benchmark, variant), cell in cells.items():
        assert cell["answered"] == 2, (benchmark, variant)
        assert (cell["intervention_rate"] > 0) == (variant in {"nudging", "blendin"})
    assert {reading["read"] for reading in report["readings"]} == {2}
    assert all(0 <= figure["value"] <= 1 for r in report["readings"] for figure in r["figures"].values())
