"""A pair that says what it was told to, for the tests of the chat.

Run as a program it is a chat on a terminal: `python -m tests.scripted_pairs`.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from blendin_local.cli.chat.loop import chat
from blendin_local.cli.chat.state import ChatSettings, ChatStart
from blendin_local.cli.common.keyboard import quiet_keyboard
from blendin_local.cli.common.screen import open_consoles
from blendin_local.core.answer_start import AnswerStart, start_steps
from blendin_local.core.prompts import Message
from blendin_local.core.records import Completion, Step
from blendin_local.decode.role_context import PromptReading
from blendin_local.errors import ContextFullError, LoadError, PairError
from blendin_local.settings import AnswerSettings, BlendSettings, SamplingSettings
from tests.answers import asked_step, base_step, completion

MARKDOWN = """\
# How a plant makes **sugar**

Photosynthesis turns *light*, water and `CO2` into sugar and oxygen, and it feeds nearly \
everything that lives:

- **Light reactions:** water is split in the thylakoid membranes, which takes \
a good deal of energy
- *The Calvin cycle* makes sugar

```python
sugar = calvin_cycle(light_reactions(water=6, photons=48), carbon_dioxide=6)
```

| Stage | Where |
|---|---|
| light | thylakoid |

光合作用是植物利用阳光把二氧化碳和水变成糖和氧气的过程，\
它养活了地球上几乎所有的生物。 The 👨\u200d👩\u200d👧 thanks <img src="x"> it.
"""


@dataclass
class ScriptedStream:
    steps: Sequence[Step]
    should_stop: Callable[[], bool]
    pause_s: float = 0.0
    stopped_by: str = "guide_end"
    signature: Mapping[str, Any] = field(default_factory=dict)
    _completion: Completion | None = None

    def shown(self) -> Iterator[tuple[Step, str]]:
        said = []
        stopped_by = self.stopped_by
        for step in self.steps:
            if self.should_stop():
                stopped_by = "user"
                break
            said.append(step)
            yield step, step.text
            time.sleep(self.pause_s)
        made = completion(*said, stopped_by=stopped_by)  # type: ignore[arg-type]
        self._completion = replace(made, signature=self.signature)

    @property
    def reading(self) -> PromptReading | None:
        return None

    def close(self) -> None:
        """Nothing is held."""

    @property
    def completion(self) -> Completion:
        assert self._completion is not None
        return self._completion


@dataclass
class ScriptedPair:
    """Answers `Re: QUESTION`, the middle word changed; one message is ten tokens long.

    Attributes:
        n_ctx: Tokens of its context.
        missing: Methods it cannot run.
    """

    n_ctx: int = 1000
    pause_s: float = 0.0
    missing: tuple[str, ...] = ()
    stopped_by: str = "guide_end"
    seeds: int = 0
    asked: list[tuple[list[Message], BlendSettings]] = field(default_factory=list)

    def stream(
        self,
        conversation: Sequence[Message],
        /,
        *,
        blend: BlendSettings,
        sampling: SamplingSettings,
        answer: AnswerSettings,
        answer_start: AnswerStart = (),
        should_stop: Callable[[], bool],
    ) -> ScriptedStream:
        if blend.method in self.missing:
            raise PairError(
                f"method {blend.method} needs a guide, and none was opened", "name one with --guide"
            )
        n_prompt = 10 * len(conversation)
        if n_prompt >= self.n_ctx:
            raise ContextFullError(n_prompt=n_prompt, n_ctx=self.n_ctx)
        self.asked.append((list(conversation), blend))
        question = conversation[-1].text
        words = (
            [f" word{i}".encode() for i in range(200)] if question == "long" else [b" " + question.encode()]
        )
        steps = [base_step(0, b"Re:"), asked_step(1, words[0])]
        steps += [base_step(i, word) for i, word in enumerate(words[1:], 2)]
        if question == "markdown":
            parts = re.findall(r" ?\w{1,6}|\s|[^\w\s]+", MARKDOWN)
            steps = [(base_step if i % 3 else asked_step)(i, part.encode()) for i, part in enumerate(parts)]
        start = start_steps(answer_start)
        n = len(start)
        steps = [*start, *([base_step(n, b" then")] if start else steps)]
        signature = {
            "messages": [(message.speaker, message.text) for message in conversation],
            "blend": asdict(blend),
            "sampling": asdict(sampling),
            "answer": asdict(answer),
            **({"answer_start": {"steps": n, "text": [step.bytes.hex() for step in start]}} if n else {}),
        }
        if sampling.temperature and sampling.seed is None:
            self.seeds += 1
            signature["seed"] = self.seeds
        return ScriptedStream(steps, should_stop, self.pause_s, self.stopped_by, signature)

    def prompts(self, conversation: Sequence[Message], /, *, answer: AnswerSettings) -> Mapping[str, str]:
        del answer
        return {"base": f"Q: {conversation[-1].text}\nA:", "guide": f"<|user|>{conversation[-1].text}<|end|>"}

    def describe(self) -> Mapping[str, str]:
        return {"base": "base.gguf, context 1000", "guide": "guide.gguf, context 1000", "template": "qa"}


class ScriptedOpener:
    """A pair whose context size can be set to any number but 13."""

    def __init__(self, pair: ScriptedPair) -> None:
        self.pair = pair

    def values(self) -> Mapping[str, str]:
        return {"ctx-size": str(self.pair.n_ctx), "base-template": "qa"}

    def change(self, name: str, text: str) -> ScriptedPair:
        if text == "13":
            raise LoadError("no context of 13 tokens", "try another --ctx-size")
        self.pair = replace(self.pair, n_ctx=int(text))
        return self.pair


if __name__ == "__main__":
    consoles = open_consoles()
    scripted = ScriptedPair(pause_s=0.02)
    start = ChatStart(
        settings=ChatSettings(terminal=consoles.settings),
        message=" ".join(sys.argv[1:]),
        opener=ScriptedOpener(scripted),
    )
    with quiet_keyboard(lines=consoles.err.is_dumb_terminal):
        chat(scripted, start, consoles.out, consoles.err)
    consoles.err.print("left")
