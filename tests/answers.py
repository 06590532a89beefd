"""Hand-made steps and answers for the tests of the surface."""

from __future__ import annotations

import io

from blendin_local.core.records import Candidate, CandidateLists, Completion, Step, StoppedBy, Timings, Usage
from blendin_local.views.theme import make_console

LISTS = CandidateLists(
    base=(Candidate(b" I", 0.21), Candidate(b"\n", 0.1), Candidate(b"", 0.05)),
    guide=(Candidate(b" Sure", 0.83), Candidate(b"\xf0\x9f", 0.1)),
    blend=(Candidate(b" Sure", 0.66), Candidate(b" I", 0.12)),
)


def base_step(i: int, data: bytes, p: float = 0.9) -> Step:
    return Step(i, data, "base", base_top=Candidate(data, p))


def asked_step(i: int, data: bytes = b" Sure", source: str = "changed") -> Step:
    top, guide = Candidate(b" I", 0.21), Candidate(b" Sure", 0.83)
    return Step(i, data, source, alpha=0.81, base_top=top, guide_top=guide, candidates=LISTS)  # type: ignore[arg-type]


def completion(*steps: Step, stopped_by: StoppedBy = "guide_end", text: str | None = None) -> Completion:
    said = b"".join(step.bytes for step in steps).decode()
    return Completion(
        text=said if text is None else text,
        steps=steps,
        stopped_by=stopped_by,
        usage=Usage(base_tokens_evaluated=len(steps), guide_tokens_evaluated=31),
        timings=Timings(generation_ms=1000.0),
    )


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def rendered(renderable: object, width: int = 80) -> str:
    """What a console without escapes writes."""
    stream = io.StringIO()
    console = make_console(stream)
    console.width = width
    console.print(renderable)
    return stream.getvalue()
