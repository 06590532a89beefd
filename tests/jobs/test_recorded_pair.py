"""A stored answer goes on: with the models, the prompts and the settings of its record."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pytest

from blendin_local.core.answer_start import forked_steps
from blendin_local.core.prompts import messages_to_json
from blendin_local.core.record_json import completion_to_json
from blendin_local.errors import ModelNotFoundError, UsageError
from blendin_local.jobs.replay.answer_file import read_answers
from blendin_local.jobs.replay.recorded_pair import (
    differences,
    find_models,
    recorded_spec,
    with_recorded_prompts,
)
from blendin_local.models.registry import load_registry
from blendin_local.models.store import Store
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import PairSpec, resolve_pair
from tests.toys import make_toy

MODELS = '[models.{}]\npath = "{}"\n'
SPECS = {
    "greedy": PairSpec(
        blend={"threshold": 0.15},
        system="Be brief.",
        thinking=True,
        base_settings={"threads": 1, "ctx_size": 512},
        guide_settings={"threads": 1},
        answer={"max_tokens": 12, "loop_guard": False, "top_logprobs": 4, "draft": "off", "stop": ("qq",)},
    ),
    "sampled": PairSpec(
        blend={"alpha": 0.6},
        sampling={"temperature": 1.0, "seed": 7, "repeat_penalty": 1.2},
        base_template="chat",
        base_settings={"threads": 1},
        guide_settings={"threads": 1},
        answer={"max_tokens": 12, "loop_guard": False, "draft": "off"},
    ),
    "base": PairSpec(
        blend={"method": "base"},
        base_settings={"threads": 1},
        answer={"max_tokens": 8, "loop_guard": False, "draft": "off"},
    ),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A base with a chat template and a guide."""
    folder = tmp_path_factory.mktemp("models")
    return make_toy(folder / "base.gguf", "sliding"), make_toy(folder / "guide.gguf", "plain", seed=1)


def opened(models, resolved):
    return Pair(resolved.setup.with_files(dict(zip(("base", "guide"), models, strict=True))))


def asked(models, spec):
    """A question answered with a spec, as the object of `run --json`."""
    base, guide = map(str, models)
    resolved = resolve_pair(replace(spec, base=base, guide=guide))
    with opened(models, resolved) as pair:
        stream = pair.stream(
            "hello",
            system=resolved.system,
            blend=resolved.blend,
            sampling=resolved.sampling,
            answer=resolved.answer,
        )
        for _ in stream:
            pass
    system = [{"role": "system", "content": resolved.system}] if resolved.system else []
    messages = [*system, {"role": "user", "content": "hello"}]
    return {"messages": messages, **completion_to_json(stream.completion)}


def stored_in(path, record):
    path.write_text(json.dumps(record))
    [stored] = read_answers(path).answers
    return stored


@pytest.fixture(scope="module", params=SPECS)
def stored(request, models, tmp_path_factory):
    """An answer that was made with other settings than the defaults, read from its file."""
    return stored_in(tmp_path_factory.mktemp("stored") / "answer.json", asked(models, SPECS[request.param]))


def test_from_every_step_on_its_own_candidate_gives_the_same_answer(stored, models):
    """The record alone says how the answer was made: the prompts are equal too, and so is what follows."""
    base, guide = map(str, models)
    spec = recorded_spec(stored, PairSpec(base=base, guide=guide))
    resolved = with_recorded_prompts(resolve_pair(spec), stored)
    before = [step.bytes for step in stored.steps]
    with opened(models, resolved) as pair:
        for i in range(len(before)):
            stream = pair.stream(
                stored.messages,
                system="",
                blend=resolved.blend,
                sampling=resolved.sampling,
                answer=resolved.answer,
                answer_start=forked_steps(stored.decisions, i, before[i]),
            )
            assert [step.bytes for step in stream] == before
            assert stream.completion.stopped_by == stored.stopped_by
            assert stream.signature["prompts"] == stored.signature["prompts"]
            assert stream.signature["models"] == stored.signature["models"]
            assert list(differences(stored, stream.signature)) == []


def test_what_is_given_wins_over_the_record(stored):
    """Each setting by itself; the others stay as recorded."""
    given = PairSpec(
        blend={"threshold": 0.9}, answer={"max_tokens": 3}, base_settings={"ctx_size": 256}, thinking=False
    )
    spec = recorded_spec(stored, given)

    assert spec.blend["threshold"] == 0.9
    assert spec.blend["method"] == stored.blend.method
    assert spec.answer["max_tokens"] == 3
    assert spec.answer["stop"] == stored.answer.stop
    assert spec.sampling["seed"] == stored.sampling.seed
    assert spec.base_settings["ctx_size"] == 256
    assert spec.base_settings["threads"] == 1
    assert spec.thinking is False


def test_threads_that_the_program_chose_are_not_kept(stored):
    """They belong to the machine of then."""
    facts = {**stored.signature["models"]["base"], "threads": 999, "threads_auto": True}
    changed = replace(stored, signature={**stored.signature, "models": {"base": facts}})

    assert "threads" not in recorded_spec(changed, PairSpec()).base_settings


class TestFindingTheModels:
    """By name, size and time of the recorded files, among the models that `ls` lists."""

    @pytest.fixture
    def answer(self, models, tmp_path):
        return stored_in(tmp_path / "a.json", asked(models, SPECS["greedy"]))

    def found(self, answer, tmp_path, roles=("base", "guide"), **paths):
        toml = tmp_path / "models.toml"
        toml.write_text("".join(MODELS.format(name, path) for name, path in paths.items()))
        return find_models(answer, roles, load_registry(toml, env={}, cwd=tmp_path), Store(tmp_path))

    def test_known_models_are_named(self, answer, models, tmp_path):
        base, guide = models
        assert self.found(answer, tmp_path, small=base, chatty=guide) == {"base": "small", "guide": "chatty"}
        assert self.found(answer, tmp_path, roles=("guide",), chatty=guide) == {"guide": "chatty"}

    def test_two_names_of_one_file_are_no_question(self, answer, models, tmp_path):
        base, _ = models
        assert self.found(answer, tmp_path, roles=("base",), one=base, two=base) == {"base": "one"}

    def test_a_file_with_another_name_or_size_is_another_model(self, answer, models, tmp_path):
        base, _ = models
        renamed, longer = tmp_path / "other.gguf", tmp_path / "base.gguf"
        shutil.copy2(base, renamed)
        longer.write_bytes(base.read_bytes() + b"\0")
        with pytest.raises(ModelNotFoundError, match=r"the base was base\.gguf") as error:
            self.found(answer, tmp_path, renamed=renamed, longer=longer)
        assert error.value.hint == "name its file with --base"

    def test_among_copies_the_time_decides_else_the_user(self, answer, models, tmp_path):
        base, _ = models
        copy, third = tmp_path / "copy" / "base.gguf", tmp_path / "third" / "base.gguf"
        for each in (copy, third):
            each.parent.mkdir()
            shutil.copy(base, each)
            os.utime(each, (1, 1))
        assert self.found(answer, tmp_path, roles=("base",), copy=copy, it=base) == {"base": "it"}
        with pytest.raises(UsageError, match="several models") as error:
            self.found(answer, tmp_path, roles=("base",), copy=copy, third=third)
        assert error.value.hint == "choose one with --base: copy, third"


def test_other_files_and_other_prompts_are_told(models, tmp_path):
    """One sentence for each role whose file or prompt is not as it was."""
    stored = stored_in(tmp_path / "a.json", asked(models, SPECS["greedy"]))
    models_of_now = {role: {"file": "other.gguf", "size": 1} for role in ("base", "guide")}
    now = {"models": models_of_now, "prompts": {"base": "0", "guide": stored.signature["prompts"]["guide"]}}

    file_of_base, file_of_guide, prompt_of_base = differences(stored, now)

    assert "the base is other.gguf of 1 bytes" in file_of_base
    assert "guide.gguf" in file_of_guide
    assert "the prompt of the base is not the one" in prompt_of_base


def test_exact_prompts_come_from_the_trace_or_are_asked_for(models, tmp_path):
    """A trace holds them; an object of `run --json` only their checksums."""
    base, guide = map(str, models)
    exact = {"base": "hello the", "guide": "[user] hello\n"}
    record = asked(models, replace(SPECS["greedy"], exact_prompts=exact))
    bare = stored_in(tmp_path / "a.json", {**record, "messages": []})
    traced = replace(bare, prompts=exact)
    given = PairSpec(base=base, guide=guide)

    again = with_recorded_prompts(resolve_pair(recorded_spec(traced, given)), traced)
    assert again.setup.exact_prompts == exact
    with pytest.raises(UsageError, match="exact prompt that the base") as error:
        with_recorded_prompts(resolve_pair(recorded_spec(bare, given)), bare)
    assert error.value.hint == "give it again with --base-prompt-file"


def test_a_record_without_its_question_cannot_go_on(models, tmp_path):
    """Records of earlier versions had none; the hint says which have."""
    base, guide = map(str, models)
    record = asked(models, SPECS["greedy"])
    del record["messages"]
    stored = stored_in(tmp_path / "a.json", record)
    resolved = resolve_pair(recorded_spec(stored, PairSpec(base=base, guide=guide)))

    with pytest.raises(UsageError, match="does not hold the question") as error:
        with_recorded_prompts(resolved, stored)
    assert "batch --steps" in error.value.hint


def test_every_kind_of_file_brings_the_conversation(models, tmp_path):
    """A trace, a batch in both forms, a saved chat and a conversation of the history."""
    record = asked(models, SPECS["greedy"])
    start = {"type": "start", "version": 2, "signature": record["signature"], "messages": record["messages"]}
    end = {**{name: value for name, value in record.items() if name != "steps"}, "type": "end"}
    system, question = record["messages"]
    answer = {"role": "assistant", "content": record["text"], "completion": record}
    turn = {"question": "hello", "answer": record["text"], "completion": record}
    talk = {"system": "Be brief.", "turns": [{**turn, "standing": False}, turn, {**turn, "question": "more"}]}
    files = {
        "trace": [start, *record["steps"], end],
        "batch": [{"custom_id": "a", **record}],
        "openai": [{"custom_id": "a", "response": {"body": record}}],
        "chat": [{"type": "blendin-chat"}, system, question, answer, {**question, "content": "more"}, answer],
        "logs": [talk],
    }
    told = {}
    for name, lines in files.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        told[name] = [messages_to_json(stored.messages) for stored in read_answers(path).answers]

    first = record["messages"]
    second = [*first, {"role": "assistant", "content": record["text"]}, {"role": "user", "content": "more"}]
    assert told["trace"] == told["batch"] == told["openai"] == [first]
    assert told["chat"] == [first, second]
    assert told["logs"] == [first, first, second]
