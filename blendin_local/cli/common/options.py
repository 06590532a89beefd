"""The options that commands share, and what they mean as settings.

Here: groups of options as dataclasses; each turns itself into the settings of `blendin_local.settings`.
Not here: defaults (`settings`), values of a pair in models.toml (`opening`).
An option left out is None, so that the pair's own value, then the default, can step in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from blendin_local.cli.common.values import ALPHA_WORDS, chosen, number, one_of, read_text, typed, whole
from blendin_local.settings import BRIDGES

_models = partial(typer.Option, rich_help_panel="Models")
_runtime = partial(typer.Option, rich_help_panel="Runtime")
_blend = partial(typer.Option, rich_help_panel="Blend")
_sampling = partial(typer.Option, rich_help_panel="Sampling")
_answer = partial(typer.Option, rich_help_panel="Answer")
_output = partial(typer.Option, rich_help_panel="Output")
SHOWN_CANDIDATES = 10  # of each distribution, where a person looks at single steps

AUTO: Mapping[str, None] = {"auto": None}
COUNTS: Mapping[str, tuple[str, Mapping[str, None]]] = {
    "ctx_size": ("--ctx-size", AUTO),
    "n_gpu_layers": ("--n-gpu-layers", {**AUTO, "all": None}),
    "threads": ("--threads", AUTO),
}
"""Options that are a number, or a word for None, which then wins over a number in models.toml."""

ColorChoice = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class ModelOptions:
    """Which models, and how they are prompted."""

    base: Annotated[
        str | None,
        _models("--base", envvar="BLENDIN_BASE", help="Base model: a file or a name."),
    ] = None
    guide: Annotated[
        str | None,
        _models("--guide", envvar="BLENDIN_GUIDE", help="Guide model: a file or a name."),
    ] = None
    untuned: Annotated[
        str | None,
        _models(
            "--untuned",
            "--anti",
            help="The guide before it was tuned, for --method proxy: a file or a name.",
        ),
    ] = None
    pair: Annotated[
        str | None,
        _models("--pair", envvar="BLENDIN_PAIR", help="A pair from models.toml."),
    ] = None
    models: Annotated[Path | None, _models("--models", help="Another models.toml.")] = None
    pull: Annotated[bool, _models("--pull", help="Fetch what is missing without asking.")] = False
    offline: Annotated[bool, _models("--offline", help="Never use the network.")] = False
    base_template: Annotated[
        str | None,
        _models(help="Plain-text template of the base's prompt (qa, ...)."),
    ] = None
    base_prompt_file: Annotated[Path | None, _models(help="The base's exact prompt.")] = None
    guide_prompt_file: Annotated[Path | None, _models(help="The guide's exact prompt.")] = None
    guide_chat_template_file: Annotated[
        Path | None, _models(help="A Jinja template instead of the guide's own.")
    ] = None
    think: Annotated[bool | None, _models("--think/--no-think", help="Let a thinking guide think.")] = None
    date: Annotated[
        str | None,
        _models("--date", metavar="YYYY-MM-DD", help="The date a guide's template is told. (default today)"),
    ] = None


@dataclass(frozen=True)
class RuntimeOptions:
    """How llama.cpp runs the models; `--base-...` and `--guide-...` win over the form for both."""

    ctx_size: Annotated[
        str | None,
        _runtime(
            "--ctx-size",
            "-c",
            envvar="BLENDIN_CTX_SIZE",
            help="Context: tokens, or auto: 4096, or what the model was trained on if that is less. "
            "(default auto)",
        ),
    ] = None
    n_gpu_layers: Annotated[
        str | None,
        _runtime(
            "--n-gpu-layers",
            "-ngl",
            envvar="BLENDIN_N_GPU_LAYERS",
            help="Layers on the GPU: a number, auto or all.",
        ),
    ] = None
    threads: Annotated[
        str | None,
        _runtime("--threads", "-t", help="Threads: a number, or auto: the cores that are free."),
    ] = None
    reproducible: Annotated[
        bool,
        _runtime("--reproducible", help="The same answer even on a busy machine: threads stay as they are."),
    ] = False
    flash_attn: Annotated[str | None, _runtime("--flash-attn", "-fa", help="auto, on or off.")] = None
    kv_type: Annotated[str | None, _runtime("--kv-type", help="KV cache: f16, q8_0, q4_0, f32.")] = None
    no_mmap: Annotated[bool, _runtime("--no-mmap", help="Read weights instead of mapping them.")] = False
    swa_full: Annotated[
        bool | None,
        _runtime(
            "--swa-full/--no-swa-full",
            help="Models with sliding windows: keep every position, or only the windows, which takes less "
            "memory but reads more again in a chat. (default --swa-full)",
        ),
    ] = None
    base_ctx_size: Annotated[str | None, _runtime()] = None
    guide_ctx_size: Annotated[str | None, _runtime()] = None
    base_n_gpu_layers: Annotated[str | None, _runtime("--base-n-gpu-layers", "--base-ngl")] = None
    guide_n_gpu_layers: Annotated[str | None, _runtime("--guide-n-gpu-layers", "--guide-ngl")] = None
    base_threads: Annotated[str | None, _runtime()] = None
    guide_threads: Annotated[str | None, _runtime()] = None

    def settings(self, role: str) -> dict[str, Any]:
        """The fields of `ModelSettings` that were given for a role."""
        return self._counts(role) | chosen(
            flash_attention=one_of("--flash-attn", self.flash_attn, ("auto", "on", "off")),
            kv_type=one_of("--kv-type", self.kv_type, ("f16", "q8_0", "q4_0", "f32")),
            mmap=False if self.no_mmap else None,
            swa_full=self.swa_full,
            reproducible=self.reproducible or None,
        )

    def _counts(self, role: str) -> dict[str, int | None]:
        said: dict[str, int | None] = {}
        for name, (flag, words) in COUNTS.items():
            own = getattr(self, f"{role}_{name}")
            text = getattr(self, name) if own is None else own
            if text is not None:
                said[name] = whole(flag if own is None else f"--{role}{flag[1:]}", text, words)
        return said


@dataclass(frozen=True)
class BlendOptions:
    """How two distributions become one choice."""

    method: Annotated[
        str | None,
        _blend(
            "--method",
            help="blendin, nudging, nudging-words, capped, agreement, competition, agreement+competition, "
            "ensemble, proxy, base or guide. (default blendin)",
        ),
    ] = None
    threshold: Annotated[
        float | None,
        _blend(
            "--threshold",
            envvar="BLENDIN_THRESHOLD",
            help="Ask the guide where the base's top-1 probability is below this. (default 0.4)",
        ),
    ] = None
    alpha: Annotated[
        str | None,
        _blend(
            "--alpha",
            envvar="BLENDIN_ALPHA",
            help="The guide's weight: 0 to 1, auto (the paper's eq. 3), or calibrated (eq. 3 with what "
            "blendin check fitted). (default auto)",
        ),
    ] = None
    cap: Annotated[
        float | None,
        _blend("--cap", help="Method capped: ask no more above this share of the steps. (default 0.15)"),
    ] = None
    bridge: Annotated[
        str | None,
        _blend("--bridge", help="How the vocabularies meet: bytes or prefix. (default bytes)"),
    ] = None
    top_k_blend: Annotated[
        int | None,
        _blend("--top-k-blend", help="Candidates of each model. (default 100)"),
    ] = None

    def settings(self) -> dict[str, Any]:
        """The fields of `BlendSettings` that were given."""
        given = chosen(
            method=self.method,
            threshold=self.threshold,
            top_k=self.top_k_blend,
            cap=self.cap,
            bridge=one_of("--bridge", self.bridge, BRIDGES),
        )
        if self.alpha is not None:
            given["alpha"] = number("--alpha", self.alpha, ALPHA_WORDS)
        return given


@dataclass(frozen=True)
class SamplingOptions:
    """How one candidate is picked."""

    temp: Annotated[float | None, _sampling("--temp", help="0 is greedy. (default 0)")] = None
    top_p: Annotated[float | None, _sampling("--top-p")] = None
    top_k: Annotated[int | None, _sampling("--top-k")] = None
    min_p: Annotated[float | None, _sampling("--min-p")] = None
    seed: Annotated[int | None, _sampling("--seed")] = None

    def settings(self) -> dict[str, Any]:
        """The fields of `SamplingSettings` that were given."""
        return chosen(
            temperature=self.temp,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            seed=None if self.seed == -1 else self.seed,
        )


@dataclass(frozen=True)
class AnswerOptions:
    """When an answer ends."""

    max_tokens: Annotated[
        int | None,
        _answer("--max-tokens", "--n-predict", "-n", help="Most steps. (default 512)"),
    ] = None
    system: Annotated[str | None, _answer("--system", "-sys", help="Instructions.")] = None
    system_file: Annotated[Path | None, _answer("--system-file", "-sysf")] = None
    stop: Annotated[
        list[str] | None,
        _answer("--stop", help="End the answer at this text (repeatable)."),
    ] = None
    no_loop_guard: Annotated[bool, _answer("--no-loop-guard", help="Let an answer repeat itself.")] = False
    top_logprobs: Annotated[
        int | None,
        _answer("--top-logprobs", help="Keep this many candidates of each step."),
    ] = None

    def settings(self) -> dict[str, Any]:
        """The fields of `AnswerSettings` that were given."""
        return chosen(
            max_tokens=self.max_tokens,
            stop=tuple(typed(stop, "--stop") for stop in self.stop) if self.stop else None,
            loop_guard=False if self.no_loop_guard else None,
            top_logprobs=self.top_logprobs,
        )

    def system_text(self) -> str | None:
        """The system text, from the option or its file; None where neither was given."""
        return typed(self.system, "--system") if self.system is not None else read_text(self.system_file)


@dataclass(frozen=True)
class OutputOptions:
    """What is shown and what is written."""

    json: Annotated[bool, _output("--json", help="One JSON object instead of text.")] = False
    jsonl: Annotated[bool, _output("--jsonl", help="A JSON line per step instead of text.")] = False
    trace: Annotated[Path | None, _output("--trace", help="Write the step records here.")] = None
    html: Annotated[
        Path | None,
        _output("--html", help="Write the marked answer with its candidates."),
    ] = None
    svg: Annotated[
        Path | None,
        _output("--svg", help="Write a picture of the marked answer."),
    ] = None
    color: Annotated[ColorChoice, _output("--color", help="auto, on or off.")] = "auto"
    quiet: Annotated[bool, _output("--quiet", "-q", help="Only the answer.")] = False
    verbose: Annotated[bool, _output("--verbose", "-v", help="llama.cpp's log and the prompts.")] = False


@dataclass(frozen=True)
class SessionOptions:
    """Everything a session is opened with."""

    models: ModelOptions
    runtime: RuntimeOptions
    blend: BlendOptions
    sampling: SamplingOptions
    answer: AnswerOptions
