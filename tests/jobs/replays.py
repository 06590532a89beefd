"""Scripted answers stored in every form that `blendin replay` reads."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from blendin_local.cli.run.outputs import JsonLines
from blendin_local.core.candidates import END
from blendin_local.core.constraint import UNCONSTRAINED
from blendin_local.core.record_json import completion_to_json
from blendin_local.core.records import Completion, Step
from blendin_local.core.roles import FURTHER_GUIDES, GUIDES
from blendin_local.core.shortened import shortened
from blendin_local.decode.respond import Ending, Question, respond
from blendin_local.decode.trace import TracePolicy, with_trace
from blendin_local.grammar.definition import definition_of
from blendin_local.jobs.replay.answer_file import read_answers
from blendin_local.jobs.replay.stored_answer import StoredAnswer
from blendin_local.pair.constraints import Constraints
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from blendin_local.testing.scripted import SILENT, Script, predict

EMOJI = "😊".encode()
PARTS = (b" ", b"b", b"c", b"d", b".", b"\n", EMOJI[1:])  # so that any text of a form can be said
RARE = 1e-4
FORMS = ("(a| bc){2,5}\\.\n", "(😊|d😊|a){1,9}( bc a( bc)?)?", "d😊(a|\\.\n)+ bc😊", "a{0,3}")
"""Regular expressions of texts in `WORDS`, with choices, forced text, and ends that are open or forced."""
PROMPT = (None, b"a", b" bc", b"a", b" bc", EMOJI)
WORDS = (b"a", b" bc", b".\n", EMOJI, EMOJI[:2], EMOJI[2:], b"\xff", b"d" + EMOJI[:1], END)


def chatter(seed: int, sureness: float, silence: float = 0.0) -> Script:
    """A model that holds other words likely after every text.

    It is sure, and makes no suggestion, now and then, in these shares of all places.
    """

    def script(text: bytes) -> Mapping[bytes, float]:
        digest = hashlib.sha256(text + seed.to_bytes(4, "little")).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        words = rng.permutation(len(WORDS))[: int(rng.integers(1, len(WORDS) + 1))]
        weights = rng.dirichlet(np.full(len(words), 1.0 if rng.random() > sureness else 0.1))
        quiet = rng.random() < silence
        said = weights * (0.3 if quiet else 0.98)
        told = {WORDS[i]: float(p) for i, p in zip(words, said, strict=True) if p > 1e-6}
        return {**told, SILENT: 0.69} if quiet else told

    return script


def answered(
    base: Script,
    guide: Script,
    blend: BlendSettings,
    sampling: SamplingSettings | None = None,
    answer: AnswerSettings | None = None,
    *,
    further_guides: Sequence[Script] = (),
) -> Completion:
    """What scripted models say, with all evidence."""
    sampling = sampling or SamplingSettings()
    answer = answer or AnswerSettings(max_tokens=24, evidence=True)
    prompt = PROMPT if sampling.penalizes else ()
    constraint = Constraints(()).of(definition_of(answer))
    scripts = {"base": base, "guide": guide, **dict(zip(FURTHER_GUIDES, further_guides, strict=False))}
    guides = tuple(role for role in GUIDES if role in scripts)
    running = with_trace(
        respond(blend, sampling, answer, prompt=prompt, constraint=constraint, guides=guides),
        TracePolicy.of(blend, sampling, answer),
    )
    scripts["untuned"] = chatter(77, 0.5)
    steps: list[Step] = []
    exchange = next(running)
    while True:
        try:
            if isinstance(exchange, Question):
                said = scripts[exchange.role](exchange.text)
                if constraint is not UNCONSTRAINED:
                    said = dict.fromkeys((*WORDS, *PARTS), RARE) | dict(said)
                raw = predict(said, blend.top_k)
                exchange = running.send(constraint.condition(raw, exchange.text))
            else:
                steps.append(exchange)
                exchange = running.send(None)
        except StopIteration as finished:
            ending: Ending = finished.value
            break
    signature = {
        "versions": {"blendin-local": "0.1.0"},
        "blend": blend.to_json(),
        "sampling": sampling.to_json(),
        "answer": {**asdict(answer), "stop": list(answer.stop)},
        **({"models": {role: {} for role in ("base", *guides)}} if further_guides else {}),
        **({"prompt_tokens": [None if s is None else list(s) for s in prompt]} if prompt else {}),
    }
    return Completion(
        ending.text.decode(),
        tuple(steps),
        ending.stopped_by,
        ending.end,
        signature=signature,
        complete=constraint.is_complete(ending.text),
    )


def trace_lines(completion: Completion, *, whole: bool = True) -> list[str]:
    """The lines of its trace."""
    stream = io.StringIO()
    sink = JsonLines(stream, whole=whole)
    sink.begin({}, completion.signature)
    for step in completion.steps:
        sink.step(step, step.text)
    sink.finish(completion)
    return stream.getvalue().splitlines()


def stored(path: Path, completion: Completion) -> StoredAnswer:
    """The answer, written to a trace and read back."""
    path.write_text("\n".join(trace_lines(completion)) + "\n")
    [recording] = read_answers(path).answers
    return recording


def json_object(completion: Completion, kept: int) -> str:
    """The object of `run --json --top-logprobs KEPT`."""
    signature = {**completion.signature, "answer": {**completion.signature["answer"], "top_logprobs": kept}}
    steps = tuple(shortened(step, kept) for step in completion.steps)
    end = completion.end and shortened(completion.end, kept)
    return json.dumps(completion_to_json(replace(completion, steps=steps, end=end, signature=signature)))
