"""Requests that continue a text as it stands, without any template.

Here: `text_request`.
Not here: questions and conversations, which templates render (`pair.pair`).
"""

from __future__ import annotations

from dataclasses import replace

from blendin_local.core.text import require_text
from blendin_local.decode.prompt_spans import digest_of
from blendin_local.decode.request import GenerationSettings, PreparedRequest
from blendin_local.engine.vocabulary import Span
from blendin_local.errors import UsageError
from blendin_local.pair.pair import Pair


def text_request(pair: Pair, text: str, settings: GenerationSettings) -> PreparedRequest:
    """A request that continues a text: every model reads the same text, which no template surrounds.

    Args:
        pair: The pair.
        text: What is continued; control strings in it stay text.
        settings: The settings; no stop strings of a template are added.

    Raises:
        UsageError: The text is empty or has half a character, or a setting is wrong.
        PairError: As `Pair.stream`.
    """
    if not require_text(text, "the prompt"):
        raise UsageError("the prompt is empty", "give it at least one character")
    request = pair.prepare("?", settings, "")
    prompts = {role: (Span(text, trusted=False),) for role in request.prompts}
    stop = settings.answer.stop
    answer = request.signature["answer"] | {"stop": list(stop)}
    digests = {role: digest_of(prompt) for role, prompt in prompts.items()}
    return replace(
        request,
        prompts=prompts,
        settings=replace(request.settings, answer=replace(request.settings.answer, stop=stop)),
        signature={**request.signature, "prompts": digests, "answer": answer},
    )
