"""Prompts that are too long, found before they wait for the models.

Here: `require_room`.
Not here: the tokens with which a prompt is read (`decode.role_context`), answers that outgrow their context.

A text of megabytes takes seconds to tokenize; in the inference thread all other answers would wait.
llama.cpp only reads a vocabulary to tokenize, so this can run in any thread beside the models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from blendin_local.core.methods import Role
from blendin_local.engine.vocabulary import Span, joined
from blendin_local.errors import ContextFullError
from blendin_local.pair.pair import Pair

ADDED_TOKENS = 2  # BOS, and a space before the text


def require_room(pair: Pair, prompts: Mapping[Role, Sequence[Span]]) -> None:
    """Refuse prompts that do not fit into their contexts; from any thread.

    Raises:
        ContextFullError: A prompt has as many tokens as its context, or more.
        PairError: The pair is closed.
    """
    with pair.kept_open():
        for role, prompt in prompts.items():
            n_ctx = pair.ctx_size(role)
            if sum(len(span.text.encode()) for span in prompt) + ADDED_TOKENS < n_ctx:
                continue  # a token has at least one byte
            n_prompt = len(pair.vocabulary(role).tokenize_prompt(joined(prompt)))
            if n_prompt >= n_ctx:
                raise ContextFullError(n_prompt=n_prompt, n_ctx=n_ctx, role=role)
