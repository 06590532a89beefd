"""`--date`: the date in a guide's prompt, and what becomes of it when a batch goes on another day."""

from __future__ import annotations

import datetime
import json

import pytest

from blendin_local.jobs.batch.manifest import PARTS, first_run_date
from blendin_local.models.registry import load_registry
from blendin_local.pair.resolve import PairSpec, resolve_pair
from tests.cli_runner import blendin, one_line_error
from tests.toys import make_toy

DATED = "{{ strftime_now('%d %b %Y') }}\n{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two toys, whose guide asks for the date, and a file of questions."""
    folder = tmp_path_factory.mktemp("dates")
    make_toy(folder / "base.gguf", "plain")
    make_toy(folder / "guide.gguf", "plain", seed=1, template=DATED)
    rows = [{"custom_id": f"id-{i}", "prompt": f"hello {i}", "max_tokens": 2} for i in range(4)]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def models(folder):
    return ["--base", folder / "base.gguf", "--guide", folder / "guide.gguf", "-t", "1"]


def test_a_batch_goes_on_with_the_date_it_was_begun_with(folder, tmp_path):
    """Rows answered on another day are told the date of the first; another one is not taken in silence."""
    out, cache = tmp_path / "a.jsonl", {"BLENDIN_CACHE": str(tmp_path / "cache")}
    batch = ["batch", folder / "p.jsonl", "-o", out, *models(folder), "--steps"]
    assert blendin(*batch, "--limit", "2", "--date", "2026-01-31", **cache)[0] == 0

    other = blendin(*batch, "--date", "2026-02-01", **cache)
    one_line_error(other, 2, 'date was "2026-01-31", now "2026-02-01"')

    assert blendin(*batch, **cache)[0] == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["signature"]["date"] for row in rows] == ["2026-01-31"] * 4
    assert first_run_date(tmp_path / "a.manifest.json") == datetime.date(2026, 1, 31)


def test_the_date_of_an_answer_is_today_or_what_was_said(folder):
    """It stands in the signature and in the guide's prompt."""
    run = ["run", "hello", *models(folder), "-n", "1", "--jsonl"]
    said = json.loads(blendin(*run, "--date", "1999-12-31")[1].splitlines()[0])
    unsaid = json.loads(blendin(*run)[1].splitlines()[0])

    assert said["prompts"]["guide"].startswith("31 Dec 1999")
    assert said["signature"]["date"] == "1999-12-31"
    assert unsaid["signature"]["date"] == datetime.date.today().isoformat()


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "31.12.2026"])
def test_a_date_that_is_none_is_refused(folder, text):
    """The line says what was given and what is wanted."""
    done = blendin("run", "hello", *models(folder), "--date", text)

    one_line_error(done, 2, f"--date is {text!r}", "2026-03-31")


def test_what_was_said_wins_over_the_first_run(tmp_path):
    """Only a date that nobody gave is taken from an earlier run; a manifest without one has none."""
    old = {"version": 1, **{part: {} for part in PARTS}}
    (tmp_path / "old.manifest.json").write_text(json.dumps(old))

    assert first_run_date(tmp_path / "old.manifest.json") is None
    assert first_run_date(tmp_path / "missing.manifest.json") is None
    resolved = resolve_pair(PairSpec(), load_registry())
    assert resolved.dated(None) is resolved
