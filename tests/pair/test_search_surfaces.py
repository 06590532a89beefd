"""Where a search can be asked for: the command line, many requests, batches; and where it is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest

from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion
from blendin_local.decode.request import GenerationSettings
from blendin_local.errors import PairError, UsageError
from blendin_local.jobs.batch.job import BatchSpec, run_batch
from blendin_local.jobs.replay.answer_file import read_answers
from blendin_local.jobs.replay.replayed_answer import replay_answer
from blendin_local.pair.pair import Pair, PairSetup, Request
from blendin_local.pair.resolve import PairSpec, open_pair, resolve_pair
from blendin_local.server.service import ServeSpec, open_service
from blendin_local.settings import AnswerSettings, BlendSettings, ModelSettings, SamplingSettings
from tests.cli_runner import SCHEMA, blendin, one_line_error
from tests.jobs.replays import trace_lines
from tests.prompts import TEMPLATE
from tests.toys import make_toy

EXACT = ModelSettings(ctx_size=256, threads=1, kv_type="f32", flash_attention="off")
LIMITS = AnswerSettings(max_tokens=8, loop_guard=False, draft="off")
SAMPLED = SamplingSettings(temperature=0.9, seed=3)
SEARCH = replace(SAMPLED, search="2,2,3")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A base, a guide and an untuned guide."""
    folder = tmp_path_factory.mktemp("trio")
    roles = enumerate(("base", "guide", "untuned"))
    return {role: make_toy(folder / f"{role}.gguf", "plain", seed=seed) for seed, role in roles}


@pytest.fixture
def spec(files):
    """The three by their paths."""
    paths = {role: str(path) for role, path in files.items()}
    settings = {"ctx_size": 256, "threads": 1}
    return PairSpec(**paths, base_settings=settings, guide_settings=settings, answer={"max_tokens": 8})


@pytest.fixture
def pair(files):
    """An open trio with five sequences of each model."""
    base, guide, untuned = files.values()
    with Pair(PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=5, untuned=untuned)) as opened:
        yield opened


def test_searches_among_many_requests(pair):
    """Each is answered as alone; one that needs more sequences fails alone."""
    samplings = [SAMPLED, SAMPLED, SEARCH, replace(SEARCH, search="3,3,3"), SEARCH, SAMPLED]
    rows = [
        Request(str(i), (Message("user", f"the hello {i}"),), BlendSettings(method="base"), sampling, LIMITS)
        for i, sampling in enumerate(samplings)
    ]

    results = dict(pair.answer_all(rows))

    assert {row.key for row in results} == set("012345")
    for row in rows:
        if row.key == "3":
            assert isinstance(results[row], PairError)
            continue
        alone = pair.respond(row.messages, blend=row.blend, sampling=row.sampling, answer=row.answer)
        assert isinstance(results[row], Completion)
        assert results[row].text == alone.text
        assert (results[row].search is None) == (row.sampling.search is None)


def test_a_stop_among_searches_keeps_what_is_done(pair):
    """The search that is stopped is as far as it got, and no further one begins."""
    rows = [Request(str(i), (Message("user", "the"),), sampling=SEARCH, answer=LIMITS) for i in range(5)]
    whole = pair.respond("the", sampling=SEARCH, answer=LIMITS)
    finished = []

    def stop():
        return len(finished) == 2 and pair.tokens_evaluated > n_before + 12

    results = pair.answer_all(rows, should_stop=stop)
    finished += [next(results), next(results)]
    n_before = pair.tokens_evaluated
    [(_, stopped)] = list(results)

    assert [each.text for _, each in finished] == [whole.text] * 2
    assert stopped.stopped_by == "user"
    assert len(stopped.steps) < len(whole.steps)


def test_a_spec_opens_what_a_search_needs(spec):
    """The untuned guide, and a sequence more than W * K; or it says which model is missing."""
    searching = replace(spec, sampling={"search": "2,3,5", "temperature": 0.7})

    assert resolve_pair(searching).setup.n_parallel == 7
    assert set(resolve_pair(searching).references) == {"base", "guide", "untuned"}
    assert set(resolve_pair(replace(searching, blend={"method": "base"})).references) == {
        "base",
        "guide",
        "untuned",
    }
    assert set(resolve_pair(spec).references) == {"base", "guide"}
    assert resolve_pair(spec).setup.n_parallel == 1
    with pytest.raises(UsageError, match="a search needs a third model") as missing:
        resolve_pair(replace(searching, untuned=None))
    assert "--untuned" in missing.value.hint
    with open_pair(replace(spec, sampling={"search": "1,2,3", "temperature": 0.7, "seed": 2})) as pair:
        assert pair.respond("the").search.size == "1,2,3"
        assert pair.respond("the", search="1,1,3").search.size == "1,1,3"
        assert pair.respond("the", search="off").search is None


def test_rows_of_a_batch_can_search(spec, tmp_path):
    """The rows' own searches decide how many sequences there are, and the lines have the beams."""
    rows = [
        {"custom_id": "plain", "prompt": "the hello"},
        {"custom_id": "found", "prompt": "the hello", "search": "2,2,3", "temperature": 0.8, "seed": 1},
        {"custom_id": "off", "prompt": "the hello", "search": "off"},
    ]
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    result = run_batch(BatchSpec(source, out, spec))

    lines = {line["custom_id"]: line for line in map(json.loads, out.read_text().splitlines())}
    assert result.progress.answered == 3
    assert {key for key, line in lines.items() if "search" in line} == {"found"}
    assert lines["found"]["search"]["size"] == "2,2,3"
    assert lines["found"]["signature"]["n_parallel"] == 5
    assert "search" not in lines["off"]["signature"]["sampling"]


def test_a_row_is_invalid_if_its_models_allow_no_search(spec, tmp_path):
    """Seen before anything is loaded: the untuned guide is missing, or there are several guides."""
    source = tmp_path / "rows.jsonl"
    source.write_text('{"prompt": "the", "search": "2,2,3", "temperature": 0.8}\n{"prompt": "hello"}\n')
    notes: list[str] = []
    for models, message in (
        ({"untuned": None}, "a search needs a third model"),
        ({"guide2": spec.guide}, "a search works with one guide"),
    ):
        batch = BatchSpec(source, tmp_path / "out.jsonl", replace(spec, **models), dry_run=True)
        with pytest.raises(UsageError, match="1 of 2 rows"):
            run_batch(batch, on_note=notes.append)
        assert message in notes[-1]
        assert notes[-1].startswith(f"{source}:1: ")


def test_an_open_pair_with_several_guides_makes_no_search(files):
    """The score compares one guide with what it was before it was tuned."""
    base, guide, untuned = files.values()
    setup = PairSetup(base, guide, TEMPLATE, EXACT, EXACT, n_parallel=5, untuned=untuned, guide2=guide)
    with Pair(setup) as pair, pytest.raises(UsageError, match="a search works with one guide") as refused:
        pair.respond("the", sampling=SEARCH, answer=LIMITS)
    assert "--guide" in refused.value.hint


def test_a_server_refuses_a_search(pair, spec):
    """As a default when it starts, and in a request."""
    request = pair.prepare("the", GenerationSettings(sampling=SEARCH, answer=LIMITS))
    with (
        pair.inference_thread() as thread,
        pytest.raises(UsageError, match="a server makes no search") as refused,
    ):
        thread.submit(request, None)
    assert "blendin run" in refused.value.hint
    served = ServeSpec(replace(spec, sampling={"search": "1,1,3"}))
    with pytest.raises(UsageError, match="a server makes no search"), open_service(served):
        pass


def test_a_replay_refuses_what_several_sequences_made(pair, tmp_path):
    """An answer of one sequence is repeated; several have random numbers of their own."""
    for search, is_refused in (("1,1,3", False), ("2,2,3", True)):
        found = pair.respond(
            "the", sampling=replace(SEARCH, search=search), answer=replace(LIMITS, evidence=True)
        )
        path = tmp_path / "trace.jsonl"
        path.write_text("\n".join(trace_lines(found)) + "\n")
        [stored] = read_answers(path).answers
        if is_refused:
            with pytest.raises(UsageError, match="a search among 4 sequences"):
                replay_answer(stored, stored.blend)
        else:
            assert replay_answer(stored, stored.blend).outcome == "same"


@pytest.mark.cli
def test_run_searches(files, tmp_path):
    """The record has the beams and follows the schema; the line below the answer has the score."""
    models = [part for role, path in files.items() for part in (f"--{role}", path)]
    models += ["--threads", "1", "--ctx-size", "256", "--no-log", "--no-server", "-n", "8", "--seed", "1"]

    code, out, _ = blendin("run", "the hello", *models, "--search", "2,2,3", "--temp", "0.8", "--json")
    record = json.loads(out)
    jsonschema.validate(record, SCHEMA)
    assert code == 0
    assert len(record["search"]["chunks"]) == 3
    assert record["search"]["chunks"][-1][record["search"]["winner"]]["kept"]
    shown = blendin("run", "the hello", *models, "--search", "2,2,3", "--temp", "0.8")
    assert "search 2,2,3: score" in shown[2].replace("\n", " ")
    one_line_error(blendin("run", "the", *models, "--search", "2,2,3"), 2, "temperature 0", "--temp")
