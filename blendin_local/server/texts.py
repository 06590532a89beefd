"""Tokens and texts of one model: `/tokenize`, `/detokenize`, `/tokenizer_info`.

Here: these replies, and prompts of completions as tokens and back.
Not here: the vocabulary (`engine.vocabulary`).
Sources: vLLM's routes of these names; lm-evaluation-harness, `lm_eval/models/api_models.py`, which reads them
when its tokenizer is "remote".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blendin_local.core.methods import Role
from blendin_local.core.prompts import quoted
from blendin_local.core.text import require_text
from blendin_local.engine.vocabulary import Span, Vocabulary
from blendin_local.errors import UsageError
from blendin_local.jobs.request_values import characters_of
from blendin_local.pair.pair import Pair
from blendin_local.server.bodies import model_name
from blendin_local.server.failures import HttpError


def tokenize(pair: Pair, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens of a text: `{"prompt": "...", "add_special_tokens": true}`."""
    role = _role(name, values.get("model"))
    vocabulary = pair.vocabulary(role)
    prompt = values.get("prompt", values.get("content"))
    text = require_text(characters_of("prompt", prompt), "prompt")
    special = values.get("add_special_tokens", True)
    with pair.kept_open():
        ids = _tokens(vocabulary, text, special=bool(special))
    return {"count": len(ids), "max_model_len": pair.ctx_size(role), "tokens": ids}


def detokenize_reply(pair: Pair, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The text of tokens: `{"tokens": [1, 2]}`."""
    tokens = values.get("tokens")
    if not isinstance(tokens, list) or not all(type(each) is int for each in tokens):
        raise UsageError(f"tokens is {quoted(tokens)}", "send a list of whole numbers")
    vocabulary = pair.vocabulary(_role(name, values.get("model")))
    return {"prompt": text_of_ids(vocabulary, tokens).decode("utf-8", "replace")}


def tokenizer_info(pair: Pair, name: str, model: str | None) -> dict[str, Any]:
    """What a client must know of a tokenizer."""
    role = _role(name, model)
    vocabulary = pair.vocabulary(role)

    def literal(token: int) -> str | None:
        return vocabulary.literal(token) if token >= 0 else None

    return {
        "tokenizer_class": "blendin",
        "eos_token": literal(vocabulary.eos_id),
        "bos_token": literal(vocabulary.bos_id),
        "pad_token": None,
        "add_bos_token": vocabulary.adds_bos,
        "vocab_size": vocabulary.n_tokens,
        "model_max_length": pair.ctx_size(role),
        "chat_template": None,
    }


def ids_of(pair: Pair, role: Role, prompt: str | Sequence[int]) -> list[int]:
    """The tokens of a prompt; of a text with BOS where the vocabulary has one before every text."""
    if isinstance(prompt, str):
        with pair.kept_open():
            return _tokens(pair.vocabulary(role), prompt, special=True)
    return list(prompt)


def detokenize(pair: Pair, method: str, ids: Sequence[int]) -> str:
    """The text of a prompt that was sent as tokens.

    Raises:
        HttpError: The method asks two models, whose tokens differ.
        UsageError: The tokens are not the model's, or are no whole characters.
    """
    if method not in {"base", "guide"}:
        raise HttpError(
            400,
            "a prompt of tokens belongs to one model, and this method asks two",
            "send text, or ask NAME:base or NAME:guide",
            code="unsupported_field",
            param="prompt",
        )
    vocabulary = pair.vocabulary("base" if method == "base" else "guide")
    ids = ids[1:] if ids and ids[0] == vocabulary.bos_id else ids
    try:
        return text_of_ids(vocabulary, ids).decode()
    except UnicodeDecodeError as error:
        raise UsageError("the tokens of the prompt are no whole characters", "send text") from error


def text_of_ids(vocabulary: Vocabulary, ids: Sequence[int]) -> bytes:
    """The bytes of tokens, one after another; control tokens have none.

    Raises:
        UsageError: A token is not in the vocabulary.
    """
    unknown = next((token for token in ids if not 0 <= token < vocabulary.n_tokens), None)
    if unknown is not None:
        raise UsageError(f"there is no token {unknown}", f"the model has 0 to {vocabulary.n_tokens - 1}")
    return b"".join(vocabulary.pieces[token] for token in ids)


def _tokens(vocabulary: Vocabulary, text: str, *, special: bool) -> list[int]:
    ids = vocabulary.tokenize_prompt((Span(text, trusted=False),))
    bos = vocabulary.bos_id
    return ids[1:] if not special and vocabulary.adds_bos and ids[:1] == [bos] else ids


def _role(name: str, model: object) -> Role:
    """Whose tokens: the base's, unless the guide is named."""
    return "guide" if model_name(model, name).method == "guide" else "base"
