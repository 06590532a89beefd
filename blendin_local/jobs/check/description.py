"""A description of a pair from its two files, in seconds and without weights.

Here: `describe_pair`: vocabularies, ends, templates, contexts, memory, and a class of speed.
Not here: anything that needs a prediction (`jobs.check.answers`, `jobs.check.calibration`).
Source: figure 4 of the paper counts whether the guide's tokens exist for the base; here they meet as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from blendin_local.core.methods import Role
from blendin_local.core.prompts import OwnChatTemplate, PlainTemplate
from blendin_local.decode.memory_plan import context_size, memory_estimate
from blendin_local.engine.gguf.header import Header, read_header
from blendin_local.engine.model import open_vocabulary
from blendin_local.engine.trial_load import VOCABULARY, require_loadable
from blendin_local.engine.vocabulary import Span, Vocabulary
from blendin_local.models.store import Store
from blendin_local.pair.pair import PairSetup

GIB = 2**30
ROLES: tuple[Role, ...] = ("base", "guide")  # a third model is not looked at
SPEED_CLASSES = ((0.5, "tiny"), (2.0, "small"), (6.0, "medium"), (16.0, "large"))  # GiB of weights
THINKING_WORDS = ("enable_thinking", "<think>", "thinking")
OWN_TEMPLATES = ("own file", "given")  # chat templates, where the others are plain texts
REWINDS = {
    "plain": "exact, to any position",
    "sliding": "exact, to any position",
    "recurrent": "no: back to a checkpoint of its state, then read again",
    "hybrid": "no: back to a checkpoint of its state, then read again",
}


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """One model, as its file describes it.

    Attributes:
        file: Name of the file.
        architecture: llama.cpp's name of it.
        parameters: Number of weights.
        quantization: Number format of most weights.
        ctx_train: Context it was trained for, in tokens.
        ctx_size: Context it is run with.
        vocab_kind: `SPM` or `BPE`.
        vocab_size: Number of tokens.
        adds_bos: Whether its texts begin with a BOS token.
        end_tokens: Every token that ends an answer, as its own string.
        template: How it is prompted: `plain NAME`, `own file`, `given`, or empty for a guide without one.
        has_chat_template: Whether its file has a chat template.
        thinks: Whether its chat template knows of thinking.
        memory: What its layers remember: `plain`, `sliding`, `recurrent`, `hybrid`.
        rewind: How far what it read can be taken back.
        weight_bytes: Bytes read for every token.
        memory_bytes: Weights, KV cache of one conversation and compute buffers together, estimated.
    """

    file: str
    architecture: str
    parameters: int
    quantization: str
    ctx_train: int
    ctx_size: int
    vocab_kind: str
    vocab_size: int
    adds_bos: bool
    end_tokens: tuple[str, ...]
    template: str
    has_chat_template: bool
    thinks: bool
    memory: str
    rewind: str
    weight_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class VocabularyOverlap:
    """How far two vocabularies have the same byte strings.

    Attributes:
        base_pieces: Different byte strings of the base's tokens, ends and control tokens left out.
        guide_pieces: Likewise the guide's.
        shared: Byte strings that both have.
        base_use: Of the base's tokens in the reference text, the share whose bytes the guide has too.
        guide_use: Likewise of the guide's tokens.
    """

    base_pieces: int
    guide_pieces: int
    shared: int
    base_use: float
    guide_use: float

    @property
    def share_of_base(self) -> float:
        """Shared over the base's byte strings."""
        return self.shared / self.base_pieces if self.base_pieces else 0.0

    @property
    def share_of_guide(self) -> float:
        """Shared over the guide's byte strings."""
        return self.shared / self.guide_pieces if self.guide_pieces else 0.0


@dataclass(frozen=True, slots=True)
class PairDescription:
    """What is known of a pair before it is loaded.

    Attributes:
        models: Each role's model.
        overlap: How the vocabularies meet.
        speed_class: By the weights of the base: `tiny`, `small`, `medium`, `large`, `very large`.
        asked_cost: Weights read at an asked step over those read at a plain one, at least 1.
    """

    models: Mapping[Role, ModelDescription]
    overlap: VocabularyOverlap
    speed_class: str
    asked_cost: float


def describe_pair(
    setup: PairSetup, passages: Sequence[str], should_stop: Callable[[], bool] = lambda: False
) -> PairDescription:
    """Describe a pair from its files.

    Args:
        setup: The pair; both files must be there.
        passages: A text that shows which tokens are used.
        should_stop: Polled while a file that was not loaded before is tried.

    Raises:
        LoadError: A file is damaged or no model.
    """
    models: dict[Role, ModelDescription] = {}
    pieces: dict[Role, set[bytes]] = {}
    used: dict[Role, list[bytes]] = {}
    for role, (path, settings) in setup.files().items():
        if role not in ROLES:
            continue
        header = read_header(path)
        store = Store.default()
        require_loadable([(header, settings)], store.trial_cache, should_stop, what=VOCABULARY)
        with open_vocabulary(path, store.vocabularies.entry(header)) as vocabulary:
            pieces[role] = emittable_pieces(vocabulary)
            used[role] = _used_pieces(vocabulary, passages)
            ends = vocabulary.end_tokens
            bos = vocabulary.adds_bos
        models[role] = ModelDescription(
            file=path.name,
            architecture=header.architecture,
            parameters=header.parameters,
            quantization=header.quantization,
            ctx_train=header.ctx_train,
            ctx_size=context_size(header, settings),
            vocab_kind=header.vocab_kind,
            vocab_size=header.vocab_size,
            adds_bos=bos,
            end_tokens=ends,
            template=_template(role, header, setup),
            has_chat_template=header.chat_template is not None,
            thinks=role == "guide" and _thinks(header, setup),
            memory=header.memory,
            rewind=REWINDS.get(header.memory, "unknown") if settings.swa_full else "near the end only",
            weight_bytes=header.weight_bytes,
            memory_bytes=memory_estimate(header, settings).total,
        )
    base, guide = models["base"].weight_bytes, models["guide"].weight_bytes
    return PairDescription(models, overlap(pieces, used), speed_class(base), (base + guide) / base)


def emittable_pieces(vocabulary: Vocabulary) -> set[bytes]:
    """The byte strings that a model can produce."""
    return {piece for i, piece in enumerate(vocabulary.pieces) if piece and i not in vocabulary.end_ids}


def _used_pieces(vocabulary: Vocabulary, passages: Sequence[str]) -> list[bytes]:
    ids = (i for text in passages for i in vocabulary.tokenize_prompt([Span(text, trusted=False)]))
    return [vocabulary.pieces[i] for i in ids if vocabulary.pieces[i]]


def overlap(pieces: Mapping[Role, set[bytes]], used: Mapping[Role, Sequence[bytes]]) -> VocabularyOverlap:
    """How far two vocabularies meet, by kind and by use.

    Args:
        pieces: The byte strings of each role.
        used: The byte strings of each role's tokens of a text, in order.
    """

    def use(of: Role, other: Role) -> float:
        known = sum(piece in pieces[other] for piece in used[of])
        return known / len(used[of]) if used[of] else 0.0

    return VocabularyOverlap(
        base_pieces=len(pieces["base"]),
        guide_pieces=len(pieces["guide"]),
        shared=len(pieces["base"] & pieces["guide"]),
        base_use=use("base", "guide"),
        guide_use=use("guide", "base"),
    )


def speed_class(weight_bytes: int) -> str:
    """A word for how much is read from memory for every token."""
    return next((name for limit, name in SPEED_CLASSES if weight_bytes < limit * GIB), "very large")


def _template(role: Role, header: Header, setup: PairSetup) -> str:
    if role == "base" and isinstance(setup.template, PlainTemplate):
        return f"plain {setup.template.name}"
    given = setup.guide_template
    if isinstance(setup.template, OwnChatTemplate) and role == "base":
        given = setup.template.source
    if given is not None:
        return "given"
    return "own file" if header.chat_template else ""


def _thinks(header: Header, setup: PairSetup) -> bool:
    template = setup.guide_template or header.chat_template or ""
    return any(word in template for word in THINKING_WORDS)
