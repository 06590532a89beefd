"""Counts of a server in Prometheus' text format.

Here: `Counts`, and `metrics_text`. They hold numbers only, nothing of any text.
Source: Prometheus' exposition format 0.0.4.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from blendin_local.core.records import Completion
from blendin_local.core.roles import FURTHER_GUIDES
from blendin_local.decode.inference_thread import Load
from blendin_local.errors import BlendinError


@dataclass
class Counts:
    """What has been answered since the server was started."""

    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    prompt_tokens: Counter[str] = field(default_factory=Counter)
    evaluated_tokens: Counter[str] = field(default_factory=Counter)
    drafted_tokens: Counter[str] = field(default_factory=Counter)
    accepted_tokens: Counter[str] = field(default_factory=Counter)
    prompt_s: float = 0.0
    generation_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, result: Completion | BlendinError | None) -> None:
        """Count one answer, or why there is none; called in the inference thread."""
        with self._lock:
            if isinstance(result, Completion):
                self._note_answer(result)
            elif result is not None:
                self.errors[result.code] += 1

    def _note_answer(self, completion: Completion) -> None:
        self.answers[completion.finish_reason] += 1
        self.steps.update(step.source for step in completion.steps)
        usage = completion.usage
        roles = [
            "base",
            "guide",
            *(role for role in FURTHER_GUIDES if getattr(usage, f"{role}_prompt_tokens")),
        ]
        self.prompt_tokens.update({role: getattr(usage, f"{role}_prompt_tokens") for role in roles})
        self.evaluated_tokens.update({role: getattr(usage, f"{role}_tokens_evaluated") for role in roles})
        self.drafted_tokens.update(completion.timings.drafted)
        self.accepted_tokens.update(completion.timings.accepted)
        self.prompt_s += completion.timings.prompt_ms / 1000
        self.generation_s += completion.timings.generation_ms / 1000


def metrics_text(counts: Counts, load: Load) -> str:
    """All counts, and how busy the server is."""
    gauges = {
        "slots": ("Answers that can be made at once.", load.slots),
        "active": ("Answers that are being made.", load.active),
        "waiting": ("Requests that wait for a slot.", load.waiting),
    }
    totals = {
        "rounds_total": ("Rounds of evaluations.", load.rounds),
        "slot_rounds_total": ("Sum over rounds of the answers that took part.", load.slot_rounds),
        "prompt_seconds_total": ("Seconds spent on reading prompts.", counts.prompt_s),
        "generation_seconds_total": ("Seconds spent on generating.", counts.generation_s),
    }
    labelled = {
        "answers_total": ("Answers, by why they ended.", "finish_reason", counts.answers),
        "errors_total": ("Requests without an answer, by error.", "code", counts.errors),
        "steps_total": ("Steps of answers, by source.", "source", counts.steps),
        "prompt_tokens_total": ("Tokens of prompts, by model.", "role", counts.prompt_tokens),
        "evaluated_tokens_total": ("Tokens evaluated, by model.", "role", counts.evaluated_tokens),
        "drafted_tokens_total": ("Tokens guessed ahead, by who guessed.", "source", counts.drafted_tokens),
        "accepted_tokens_total": ("Those that came true.", "source", counts.accepted_tokens),
    }
    lines: list[str] = []
    for kind, plain in (("gauge", gauges), ("counter", totals)):
        for name, (help_text, number) in plain.items():
            lines += [*_head(name, help_text, kind), f"blendin_{name} {number}"]
    for name, (help_text, label, numbers) in labelled.items():
        lines += _head(name, help_text, "counter")
        lines += [f'blendin_{name}{{{label}="{key}"}} {n}' for key, n in sorted(numbers.items())]
    return "\n".join(lines) + "\n"


def _head(name: str, help_text: str, kind: str) -> list[str]:
    return [f"# HELP blendin_{name} {help_text}", f"# TYPE blendin_{name} {kind}"]
