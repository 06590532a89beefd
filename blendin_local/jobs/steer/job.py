"""Learn a steering vector: an aligned model's difference between harmful and harmless prompts, as a file.

Here: `SteerSpec` and `run_steer`.
Not here: the prompts (`jobs.steer.contrast`), the mathematics (`core.steering`), the command (`cli.steer`).
Source: Wang et al., InferAligner, EMNLP 2024. The vector is the aligned model's; the gate is the base's own,
on the prompt that the base reads. Both are read from the very files that are to be used: what is found on a
model without quantization is slightly off on a quantized one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from blendin_local._version import __version__
from blendin_local.core.methods import Role
from blendin_local.core.prompts import as_messages
from blendin_local.core.steering import Gate, States, fit_gate, mean_difference, middle_third
from blendin_local.decode.loaded_model import LoadedModel, load_models
from blendin_local.engine.context import StoppedError
from blendin_local.engine.control_vector import control_vector_bytes
from blendin_local.engine.gguf.header import Header, read_header
from blendin_local.errors import PairError, UsageError, WriteError
from blendin_local.files import write_atomic
from blendin_local.jobs.preparation import refuse_exact_prompts, settle
from blendin_local.jobs.steer.contrast import ContrastPrompts, read_contrast
from blendin_local.jobs.steer.report import SteerReport
from blendin_local.models.store import Store
from blendin_local.pair.prompts import PromptRenderer
from blendin_local.pair.resolve import NO_INTERACTION, Interaction, PairSpec, ResolvedPair, locate_files
from blendin_local.pair.setup import PairSetup

CTX_SIZE = 256  # of contexts that nothing is read in: each text is read in one of its own
FILE_MODE = 0o644
ROLES: tuple[Role, ...] = ("base", "guide")
NAMES: Mapping[Role, str] = {"base": "base", "guide": "aligned model", "untuned": "untuned model"}


@dataclass(frozen=True)
class SteerSpec:
    """What to learn from.

    Attributes:
        contrast: A file of contrasting prompts.
        out: The file to write; it must not exist.
        pair: The base, and the aligned model as its guide, with their prompts.
        layers: First and last layer to steer; None for the middle third.
    """

    contrast: Path
    out: Path
    pair: PairSpec = field(default_factory=PairSpec)
    layers: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class SteerProgress:
    """How far it is.

    Attributes:
        role: Whose states are read.
        n_read: Prompts read by this model.
        n_prompts: All prompts.
    """

    role: Role
    n_read: int
    n_prompts: int


OnProgress = Callable[[SteerProgress], None]


def run_steer(
    spec: SteerSpec,
    *,
    on_progress: OnProgress = lambda _: None,
    on_note: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    interaction: Interaction = NO_INTERACTION,
) -> SteerReport:
    """Learn a steering vector and write it.

    Args:
        spec: What to learn from.
        on_progress: Called after each prompt.
        on_note: Called with each notice for the user, a sentence.
        should_stop: Polled.
        interaction: Callbacks to the user while models are resolved and downloaded.

    Raises:
        UsageError: The prompts, the layers or the settings are not right, or the file exists.
        PairError: The models are not of one architecture and width, or their states cannot be read.
        ModelNotFoundError: A model is not here and was not to be downloaded.
        LoadError: A model cannot be loaded.
        WriteError: The file cannot be written.
        KeyboardInterrupt: `should_stop` became true; nothing was written.
    """
    if spec.out.exists():
        raise UsageError(f"{spec.out} exists already", "choose another -o, or remove it")
    contrast = read_contrast(spec.contrast)
    refuse_exact_prompts(spec.pair, "prompt")
    resolved = settle(replace(spec.pair, every_model=True), interaction, on_note)
    paths = locate_files(resolved, ROLES, interaction)
    headers = {role: read_header(paths[role]) for role in ROLES}
    _require_alike(headers)
    layers = _layers(spec.layers, headers["base"])
    with _opened(resolved, paths, should_stop) as states_of:
        states = {role: states_of(role, contrast, on_progress) for role in ROLES}
    harmful, held_out = contrast.harmful, contrast.held_out
    gate = fit_gate(states["base"], harmful, held_out)
    learned = mean_difference(states["guide"][~held_out], harmful[~held_out])
    directions = {layer: learned[layer].astype(np.float32) for layer in layers}
    data = control_vector_bytes(headers["base"].architecture, directions, gate, _facts(contrast, headers))
    try:
        write_atomic(spec.out, [data], mode=FILE_MODE)
    except OSError as error:
        raise WriteError(
            f"{spec.out} cannot be written: {error.strerror or error}", "choose another -o"
        ) from error
    return _report(
        spec.out,
        headers["base"],
        directions=directions,
        gate=gate,
        of_base=states["base"],
        contrast=contrast,
    )


def _require_alike(headers: Mapping[Role, Header]) -> None:
    base, aligned = headers["base"], headers["guide"]
    for what, name in (
        ("architecture", "architecture"),
        ("width", "n_embd"),
        ("number of layers", "n_layers"),
    ):
        mine, its = getattr(base, name), getattr(aligned, name)
        if mine != its:
            raise PairError(
                f"the {what} of {base.path.name} is {mine}, and that of {aligned.path.name} is {its}: a "
                "vector learned from one means nothing to the other",
                "name an aligned model that was made from this base, or from the same one",
            )


def _layers(named: tuple[int, int] | None, header: Header) -> range:
    if named is None:
        return middle_third(header.n_layers)
    first, last = named
    if not 1 <= first <= last < header.n_layers:
        raise UsageError(
            f"layers {first}-{last} are not layers of {header.path.name}",
            f"choose from 1 to {header.n_layers - 1}",
        )
    return range(first, last + 1)


@contextmanager
def _opened(
    resolved: ResolvedPair, paths: Mapping[Role, Path], should_stop: Callable[[], bool]
) -> Iterator[Callable[[Role, ContrastPrompts, OnProgress], States]]:
    """Both models, as a function that reads the states of one of them after every prompt."""
    setup = _unsteered(resolved.setup.with_files(paths, n_parallel=1))
    models = load_models(setup.files(), Store.default().load_caches, should_stop, 1, lambda _: None)
    renderer = PromptRenderer(setup, models)

    def states_of(role: Role, contrast: ContrastPrompts, on_progress: OnProgress) -> States:
        vocabulary = models[role].model.vocabulary
        conversations = [as_messages(text, resolved.system) for text in contrast.texts]
        prompts = [
            vocabulary.tokenize_prompt(renderer.prompt(role, messages, should_stop))
            for messages in conversations
        ]
        return _read(models[role], role, prompts, should_stop, on_progress)

    try:
        yield states_of
    except StoppedError:
        raise KeyboardInterrupt("stopped by you; nothing was written") from None
    finally:
        for model in models.values():
            model.close()


def _unsteered(setup: PairSetup) -> PairSetup:
    """The setup with models as they are, in small contexts."""
    base, guide = (
        replace(settings, control_vector=None, ctx_size=CTX_SIZE)
        for settings in (setup.base_settings, setup.guide_settings)
    )
    return replace(setup, base_settings=base, guide_settings=guide)


def _read(
    model: LoadedModel,
    role: Role,
    prompts: Sequence[list[int]],
    should_stop: Callable[[], bool],
    on_progress: OnProgress,
) -> States:
    found = []
    with closing(model.layer_reader(max(CTX_SIZE, *map(len, prompts)))) as reader:
        for ids in prompts:
            found.append(reader.last_token(ids, should_stop))
            on_progress(SteerProgress(role, len(found), len(prompts)))
            if should_stop():
                raise StoppedError
    return np.stack(found)


def _facts(contrast: ContrastPrompts, headers: Mapping[Role, Header]) -> dict[str, str | int]:
    """What the vector was learned from, for the file's metadata."""
    return {
        "blendin.version": __version__,
        "blendin.contrast": contrast.name,
        "blendin.contrast.sha256": contrast.sha256,
        "blendin.prompts": len(contrast.texts),
        "blendin.prompts.held_out": int(contrast.held_out.sum()),
        "blendin.base": headers["base"].path.name,
        "blendin.aligned": headers["guide"].path.name,
    }


def _report(
    out: Path,
    header: Header,
    *,
    directions: Mapping[int, np.ndarray[tuple[int, ...], np.dtype[np.float32]]],
    gate: Gate,
    of_base: States,
    contrast: ContrastPrompts,
) -> SteerReport:
    held_out = np.flatnonzero(contrast.held_out)
    right = sum(gate.opens(of_base[i]) == bool(contrast.harmful[i]) for i in held_out)
    usual = np.linalg.norm(of_base.astype(np.float64), axis=2).mean(0)
    return SteerReport(
        path=out,
        architecture=header.architecture,
        width=header.n_embd,
        layers=tuple(directions),
        strengths={n: float(np.linalg.norm(row) / usual[n]) for n, row in directions.items()},
        gate_layer=gate.layer,
        threshold=gate.threshold,
        auc=gate.auc,
        right=right,
        held_out=len(held_out),
        n_harmful=int(contrast.harmful.sum()),
        n_harmless=int((~contrast.harmful).sum()),
    )
