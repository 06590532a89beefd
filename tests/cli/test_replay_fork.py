"""`blendin replay --fork` as a user meets it: a stored answer goes on with another candidate."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from blendin_local.core.candidates import END
from tests.cli_runner import blendin, environment, one_line_error
from tests.shells import asked
from tests.toys import make_toy

SETTINGS = ("-t", 1, "--no-loop-guard", "-n", 20, "--threshold", 0.15, "--top-logprobs", 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two toys with names, and what they answered: as a trace, as JSON and as a batch."""
    folder = tmp_path_factory.mktemp("fork")
    make_toy(folder / "base.gguf", "sliding")
    make_toy(folder / "guide.gguf", "plain", seed=1)
    (folder / "models.toml").write_text(
        '[models.small]\npath = "base.gguf"\n[models.chatty]\npath = "guide.gguf"\n'
    )
    common = ("--models", folder / "models.toml", "--base", "small", "--guide", "chatty", *SETTINGS)
    code, out, err = blendin("run", "hello", *common, "--trace", folder / "t.jsonl", "--json")
    assert code == 0, err
    (folder / "run.json").write_text(out)
    (folder / "rows.jsonl").write_text("".join(f'{{"prompt": "hello {i}"}}\n' for i in range(2)))
    code, _, err = blendin("batch", folder / "rows.jsonl", "-o", folder / "b.jsonl", *common, "--steps")
    assert code == 0, err
    return folder


def forked(folder, *arguments, file="run.json", **env):
    return blendin("replay", folder / file, "--models", folder / "models.toml", *arguments, **env)


def steps_of(text):
    return [bytes(step["bytes"]) for step in json.loads(text)["steps"]]


def test_without_a_candidate_the_step_is_shown(folder):
    """Its candidates are numbered, and the next command is named; nothing is loaded."""
    code, out, err = forked(folder, "--fork", 4)
    step = json.loads((folder / "run.json").read_text())["steps"][4]

    assert code == 0
    assert "step 4" in out
    assert "5 " in out
    assert "--candidate NUMBER" in err
    assert json.loads(forked(folder, "--fork", 4, "--json")[1]) == step


@pytest.mark.parametrize("file", ["run.json", "t.jsonl", "b.jsonl"])
def test_another_candidate_is_taken_and_the_answer_goes_on(folder, file):
    """What came before stays, the step is the candidate, and the models are found by the record."""
    which = ("--id", "line-2") if file == "b.jsonl" else ()
    step = json.loads(forked(folder, "--fork", 4, "--json", *which, file=file)[1])
    lists = step["candidates"]
    second = bytes((lists["blend"] or lists["base"])[1]["bytes"])
    code, out, err = forked(folder, "--fork", 4, "--candidate", 2, "--json", *which, file=file)
    stored = (folder / file).read_text().splitlines()
    before = json.loads(stored[0])["steps"] if file == "run.json" else None

    assert code == 0, err
    assert "small guided by chatty goes on from there" in err
    assert "stored answer was made" not in err
    record = json.loads(out)
    assert record["steps"][4]["source"] == "chosen"
    assert bytes(record["steps"][4]["bytes"]).startswith(second)
    assert record["messages"][-1]["content"] == ("hello 1" if which else "hello")
    assert len(record["steps"]) == 20
    if before is not None:
        assert record["steps"][:4] == before[:4]


def test_its_own_candidate_gives_the_same_answer(folder):
    """With the recorded settings, which are not the defaults; in every output."""
    own = json.loads((folder / "run.json").read_text())
    text = own["steps"][7]["text"]
    code, out, err = forked(
        folder, "--fork", 7, "--candidate", f'"{text}"', "--json", "-q",
        "--trace", folder / "t2.jsonl", "--html", folder / "page.html",
    )  # fmt: skip

    assert (code, err) == (0, "")
    assert json.loads(out)["text"] == own["text"]
    assert steps_of(out) == steps_of((folder / "run.json").read_text())
    assert "hello" in (folder / "page.html").read_text()
    assert "All 20 steps are the same" in blendin("replay", folder / "t2.jsonl")[1]


def test_what_is_given_wins_over_the_record(folder):
    """Settings and models alike; a model that is another one is told."""
    code, out, err = forked(folder, "--fork", 2, "--candidate", 1, "-n", 5, "--method", "base", "--json")
    signature = json.loads(out)["signature"]
    assert code == 0, err
    assert len(json.loads(out)["steps"]) == 5
    assert signature["blend"]["method"] == "base"
    assert signature["blend"]["threshold"] == 0.15

    code, out, err = forked(folder, "--fork", 2, "--candidate", 1, "--base", "chatty")
    assert code == 0
    assert "note: the base is guide.gguf" in " ".join(err.split())


def test_the_record_wins_over_the_environment(folder):
    """As for a conversation that is continued: only what is typed counts."""
    code, out, err = forked(
        folder, "--fork", 2, "--candidate", 1, "--json", BLENDIN_BASE="nothing", BLENDIN_PAIR="demo"
    )
    assert code == 0, err
    assert json.loads(out)["signature"]["models"]["base"]["file"] == "base.gguf"


def test_another_prompt_is_told(folder):
    """The prompts of the two models are compared with those of the record, by their checksums."""
    exact = folder / "prompt.txt"
    exact.write_text("something else")
    err = forked(folder, "--fork", 2, "--candidate", 1, "--base-prompt-file", exact)[2]

    assert "note: the prompt of the base is not the one" in " ".join(err.split())
    assert "prompt of the guide" not in err


def test_wrong_wishes_are_one_line(folder, tmp_path):
    """Steps, candidates, ids, files and options that cannot be meant."""
    one_line_error(forked(folder, "--fork", 20), 2, "no step 20", "the stored answer has steps 0 to 19")
    one_line_error(forked(folder, "--fork", -1), 2, "no step -1")
    one_line_error(forked(folder, "--fork", 3, "--candidate", " "), 2, "candidate is empty")
    one_line_error(forked(folder, "--fork", 3, file="b.jsonl"), 2, "holds 2 answers", "--id", "line-1")
    one_line_error(forked(folder, "--fork", 3, "--id", "x", file="b.jsonl"), 2, "'x'", "line-1")
    one_line_error(forked(folder, "--candidate", 3), 2, "--candidate is for", "--fork")
    one_line_error(blendin("replay", folder / "t.jsonl", "-n", 3), 2, "--max-tokens is for", "--fork")
    one_line_error(forked(folder, "--svg", tmp_path / "x.svg"), 2, "--svg is for", "--fork")
    one_line_error(forked(folder, "--fork", 3, "--html", tmp_path / "x.html"), 2, "add --candidate")
    one_line_error(forked(folder, "--fork", 3, "--candidate", 1, "--system", "x"), 2, "--system")
    same = ("--fork", 3, "--candidate", 1, "--trace", folder / "t.jsonl")
    one_line_error(forked(folder, *same, file="t.jsonl"), 2, "the file that is read")
    assert len((folder / "t.jsonl").read_text().splitlines()) == 22
    twice = folder / "twice.jsonl"
    twice.write_text((folder / "b.jsonl").read_text().replace("line-2", "line-1"))
    one_line_error(forked(folder, "--fork", 3, "--id", "line-1", file="twice.jsonl"), 2, "2 answers with")


def test_models_that_are_not_known_must_be_named(folder, tmp_path):
    """The record has no paths; what is typed to give them stands in the hint."""
    fork = ("replay", folder / "run.json", "--fork", 3, "--candidate", 1)
    models = ("--base", folder / "base.gguf", "--guide", folder / "guide.gguf")
    empty = {"BLENDIN_CACHE": str(tmp_path)}

    one_line_error(blendin(*fork, **empty), 3, "the base was base.gguf", "name its file with --base")
    assert blendin(*fork, *models, **empty)[0] == 0


def test_a_plain_replay_loads_no_llama(folder):
    """Deciding again stays quick, and works where llama.cpp does not."""
    code = (
        "import sys\nfrom blendin_local.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "assert 'llama_cpp' not in sys.modules and 'blendin_local.cli.replay.fork' not in sys.modules\n"
    )
    typed = [sys.executable, "-c", code, "replay", str(folder / "t.jsonl")]
    done = subprocess.run(typed, env=environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "All 20 steps" in done.stdout


def test_tab_offers_ids_steps_and_candidates(folder):
    """With what the file holds; without a file there are no words and no errors."""
    assert asked("replay", "b.jsonl", "--id", "line", cwd=folder)[1] == ["line-1", "line-2"]
    assert asked("replay", "run.json", "--fork", "1", cwd=folder)[1] == ["1", *map(str, range(10, 20))]
    words = asked("replay", "b.jsonl", "--id", "line-2", "--fork", "4", "--candidate", "", cwd=folder)[1]
    assert words[:5] == ["1", "2", "3", "4", "5"]
    assert asked("replay", "none.json", "--fork", "1", cwd=folder)[2] == ""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "trace", "batch"])
def test_the_demo_pair_is_found_and_goes_on(demo_base_path, demo_guide_path, tmp_path, form):
    """By the record alone; at the END of an answer too, and with its own candidate as it was."""
    question = ("What is the capital of France? Answer in one word.", "--pair", "demo")
    common = ("-t", 1, "-n", 12, "--top-logprobs", 5)
    if form == "batch":
        (tmp_path / "rows.txt").write_text(f"{question[0]}\n")
        stored = tmp_path / "b.jsonl"
        code, _, err = blendin(
            "batch", tmp_path / "rows.txt", "-o", stored, *question[1:], *common, "--steps"
        )
        own = json.loads(stored.read_text())
    else:
        stored = tmp_path / ("t.jsonl" if form == "trace" else "run.json")
        code, out, err = blendin("run", *question, *common, "--json", "--trace", tmp_path / "t.jsonl")
        own = json.loads(out)
        if form == "json":
            stored.write_text(out)
    assert code == 0, err
    texts = [step["text"] for step in own["steps"]]
    fork = ("replay", stored, "--json", "-q", "--fork")

    code, out, err = blendin(*fork, 1, "--candidate", f'"{texts[1]}"')
    assert (code, err) == (0, "")
    assert json.loads(out)["text"] == own["text"]
    assert own["end"] is None or bytes(own["end"]["bytes"]) == END
    last = len(texts) if own["end"] else len(texts) - 1
    code, out, err = blendin(*fork, last, "--candidate", '" However"', "-n", len(texts) + 6)
    assert code == 0, err
    assert json.loads(out)["text"].startswith("".join(texts[:last]) + " However")


SCHEMA = json.dumps(
    {"type": "array", "items": {"enum": ["hello", "world", 12]}, "minItems": 2, "maxItems": 3}
)


@pytest.fixture(scope="module")
def constrained(folder):
    """An answer of a form, as a trace."""
    common = ("--models", folder / "models.toml", "--base", "small", "--guide", "chatty", *SETTINGS)
    code, _, err = blendin("run", "hello", *common, "--trace", folder / "form.jsonl", "--json-schema", SCHEMA)
    assert code == 0, err
    return [json.loads(line) for line in (folder / "form.jsonl").read_text().splitlines()][1:-1]


def test_a_constrained_answer_is_replayed_and_forked_within_its_form(folder, constrained):
    """The form is that of the record; a candidate that it does not allow is one error that shows the text."""
    code, out, err = blendin("replay", folder / "form.jsonl", "--json")
    assert code == 0, err
    assert json.loads(out)["totals"]["same"] == 1
    assert constrained[0]["source"] == "forced"
    at = next(step["i"] for step in constrained if step["source"] != "forced")

    code, out, err = forked(folder, "--fork", at, "--candidate", "12", "--json", file="form.jsonl")
    assert code == 0, err
    record = json.loads(out)
    assert record["complete"] is True
    assert json.loads(record["text"])[0] == 12
    refused = forked(folder, "--fork", at, "--candidate", "no", file="form.jsonl")
    one_line_error(refused, 2, "matches the JSON Schema", "chosen candidate", "no")
    refused = forked(folder, "--fork", 0, "--candidate", "{", file="form.jsonl")
    one_line_error(refused, 2, "matches the JSON Schema", "chosen candidate", "{")


def test_a_fork_may_have_another_form(folder, constrained):
    """One that is given replaces the record's."""
    at = next(step["i"] for step in constrained if step["source"] != "forced")
    form = ("--regex", r"\[12 (he|or)\]")
    code, out, err = forked(folder, "--fork", at, "--candidate", "12", "--json", *form, file="form.jsonl")
    assert code == 0, err
    assert json.loads(out)["text"] in {"[12 he]", "[12 or]"}
