"""The options of `blendin steer` about its models.

Not here: options it shares (`cli.common.options`), the command (`cli.steer.command`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common import completion
from blendin_local.cli.common.options import ModelOptions

_models = partial(typer.Option, rich_help_panel="Models")
_model = partial(_models, metavar="REF", autocompletion=completion.models, show_default=False)

Base = Annotated[str, _model("--base", help="The model to steer: a file, a name or user/repo[:QUANT].")]
Aligned = Annotated[
    str,
    _model("--aligned", help="A model of the same architecture and width that handles such prompts well."),
]


@dataclass(frozen=True)
class SteerModelOptions:
    """How the models are found and prompted."""

    base_template: Annotated[
        str | None,
        _models(
            metavar="NAME",
            autocompletion=completion.templates,
            show_default="that of the base in models.toml, else qa",
            help="Plain-text template for the base's prompt; chat is its own chat template.",
        ),
    ] = None
    aligned_chat_template_file: Annotated[
        Path | None,
        _models(help="Use this Jinja chat template instead of that in the aligned model's file."),
    ] = None
    system: Annotated[str | None, _models("--system", help="Instructions before every prompt.")] = None
    models_file: Annotated[
        Path | None, _models("--models", metavar="FILE", help="Read this models.toml before the others.")
    ] = None
    pull: Annotated[bool, _models("--pull", help="Download missing models without asking.")] = False
    offline: Annotated[bool, _models("--offline", help="Never use the network.")] = False

    def as_pair(self, base: str, aligned: str) -> ModelOptions:
        """The aligned model as the guide of the base."""
        return ModelOptions(
            base=base,
            guide=[aligned],
            models_file=self.models_file,
            pull=self.pull,
            offline=self.offline,
            base_template=self.base_template,
            guide_chat_template_file=self.aligned_chat_template_file,
        )
