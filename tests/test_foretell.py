"""What `benchmarks/foretell.py` counts, on checks and evaluations written by hand."""

import importlib
import json
import sys
from collections import Counter

import pytest

from blendin_local.jobs.probe.prompts import PURPOSES
from tests.paths import ROOT


@pytest.fixture(scope="module")
def foretell():
    """The script as a module."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("foretell")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
        del sys.modules["foretell"]


@pytest.fixture
def case(foretell):
    """A pair on which the probe saw `probe` at a share asked of `rate`, and `measured` was measured."""

    def make(probe, rate, measured, *, p=0.01, word="no difference seen", pair="a", purpose="safety"):
        return foretell.Foretold(pair, purpose, word, probe, rate, measured, p, 100)

    return make


def test_the_measured_word_is_the_probes_rule(case):
    """Beyond noise it pays or hurts; within noise nothing is seen, whatever the sign."""
    assert [case(0, 0, d, p=p).measured_word for d, p in ((0.1, 0.04), (-0.1, 0.04), (0.1, 0.05))] == [
        "pays",
        "hurts",
        "no difference seen",
    ]


def test_hits_of_the_probe_and_of_the_rule(case):
    """The probe is right with the measured word; the rule above its limit where guiding does not pay."""
    assert case(0.4, 0.3, 0.1, word="pays").probe_is_right
    assert not case(0.1, 0.3, 0.1).probe_is_right
    assert not case(0.4, 0.3, -0.1, word="pays").probe_is_right
    silent = [case(0.1, 0.3, 0.1), case(0.1, 0.3, 0.1, p=0.5), case(0.4, 0.3, -0.1, word="pays")]
    assert [each.probe_is_silent for each in silent] == [True, False, False]
    assert [
        case(0, rate, d).rule_is_right for rate, d in ((0.3, -0.1), (0.3, 0.1), (0.2, 0.1), (0.2, -0.1))
    ] == [
        True,
        False,
        True,
        False,
    ]


def test_a_limit_is_chosen_on_the_other_pairs_alone(foretell, case):
    """Three that pay above 0.2 and three that do not below: all hits, and a contrary pair a miss."""
    low = [case(probe, 0, 0.0, p=1.0) for probe in (0.0, 0.05, 0.1)]
    high = [case(probe, 0, 0.2) for probe in (0.3, 0.35, 0.4)]
    contrary = case(0.5, 0, 0.0, p=1.0)

    assert foretell.left_out([*low, *high], lambda each: each.probe) == [True] * 6
    assert foretell.left_out([*low, *high, contrary], lambda each: each.probe)[-1] is False
    assert foretell.left_out([low[0]], lambda each: each.probe) == [False]  # nothing to learn from: it pays


def test_the_majority_of_the_others_does_not_see_the_pair(foretell, case):
    """Two of each kind: each is in the minority among the others, so every guess is wrong."""
    cases = [case(0, 0, 0.2), case(0, 0, 0.2), case(0, 0, 0, p=1.0), case(0, 0, 0, p=1.0)]

    assert foretell.majority(cases) == [False] * 4


def write(folder, name, value):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def check(gained, rate):
    """A check in whose probe the method alone has the first `gained` prompts of each metric right."""
    answers = []
    for purpose, benchmark in PURPOSES.items():
        seen = Counter()
        for item in benchmark.load():
            label = item.reference.get("label")
            metric = {"safe": "complied_safe", "unsafe": "refused_unsafe"}.get(label, "followed")
            seen[metric] += 1
            for entrant in ("base", "guide", "method"):
                right = float(entrant == "method" and seen[metric] <= gained)
                said = {"purpose": purpose, "key": item.key, "entrant": entrant, "text": "x"}
                answers.append({**said, "scores": {metric: right}, "failed": ""})
    return {
        "probe": {"method": "blendin", "answers": answers},
        "answers": {"intervention_rate": {"value": rate}},
    }


def report(pair, value, p, *, complete=True):
    def row(a, b, v):
        return {"pair": pair, "a": a, "b": b, "value": v, "p": p, "n": 120}

    return {
        "comparisons": [
            row("guide", "base", 9.0),
            row("blendin", "base", value),
            row("blendin", "guide", 9.0),
        ],
        "cells": [{"variant": name, "complete": complete} for name in ("base", "blendin")],
    }


@pytest.fixture
def folders(tmp_path):
    """Pair `a` has everything, with more questions on XSTest too; `b` no IFEval; `c` is not finished."""
    checks, evidence = tmp_path / "checks", tmp_path / "evidence"
    for pair in "abc":
        write(checks, f"{pair}.json", check(6, 0.4))
        write(evidence, f"{pair}/xstest/report.json", report(pair, 0.2, 0.01, complete=pair != "c"))
    write(evidence, "a/xstest-all/report.json", report("a", 0.1, 0.2))
    write(evidence, "a/ifeval/report.json", report("a", -0.1, 0.03))
    return checks, evidence


def test_what_both_folders_have_is_read(foretell, folders):
    """The method against the base, of the largest set that was measured; unfinished runs do not count."""
    found = foretell.read(*folders)

    assert [(each.purpose, each.pair, each.measured, each.measured_word) for each in found] == [
        ("safety", "a", 0.1, "no difference seen"),
        ("safety", "b", 0.2, "pays"),
        ("instructions", "a", -0.1, "hurts"),
    ]


def test_counts_are_of_pairs_measured_for_both_purposes(foretell, folders):
    """Pair `a` alone: the probe's `pays` was wrong twice, the 20 % rule right twice."""
    assert foretell.counts(foretell.read(*folders)) == {
        "made_by": "benchmarks/foretell.py --write",
        "pairs": ["a"],
        "signals": {
            "probe": {purpose: {"right": 0, "wrong": 1} for purpose in ("safety", "instructions")},
            "over-intervening": {purpose: {"right": 1, "wrong": 0} for purpose in ("safety", "instructions")},
        },
    }
    assert foretell.counts([])["signals"] == {}


def test_the_tables_name_every_pair_and_count(foretell, folders):
    """A line per pair and purpose, and a line of hits per purpose."""
    cases = foretell.read(*folders)

    assert list(foretell.table(cases))[3] == (
        "| safety | b | pays (+0.60) | 40 % | pays (+0.20, n 120, p 0.01) | hit | miss |"
    )
    assert list(foretell.summary(cases))[2].startswith("| safety | 2 | 1 | 1 | 0 | 1 |")
