"""`blendin pull`, `ls`, `show`, `rm` and `doctor`: model files and the machine.

Here: the commands and their options.
Not here: what they do (`cli.manage.actions`), how it looks (`views.inventory`, `views.doctor`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from blendin_local.cli.common import completion
from blendin_local.cli.common.help import Example
from blendin_local.cli.common.verb import add_verb

References = Annotated[
    list[str],
    typer.Argument(
        metavar="REF...",
        help="Models or pairs: names, user/repo[:QUANT] or hf://user/repo/file.gguf.",
        autocompletion=completion.references,
        show_default=False,
    ),
]
ModelsFile = Annotated[
    Path | None, typer.Option("--models", metavar="FILE", help="Read this models.toml before the others.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to all questions.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the application."""
    add_verb(
        app,
        "pull",
        pull,
        Example("Download the demo pair", "blendin pull demo"),
        Example(
            "Download a quantization of a repository on Hugging Face",
            "blendin pull bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M",
        ),
    )
    add_verb(
        app,
        "ls",
        ls,
        Example("List the models on this machine", "blendin ls"),
        Example("List those that can be downloaded, too", "blendin ls --all"),
    )
    add_verb(
        app,
        "show",
        show,
        Example("Show the models of a pair, its settings and its memory", "blendin show demo"),
        Example(
            "Show a file, and the memory it needs with a larger context",
            "blendin show base.gguf --ctx-size 16384",
        ),
        Example("Print the chat template of a model", "blendin show demo-guide --template"),
    )
    add_verb(
        app,
        "rm",
        rm,
        Example("Remove the models of the demo pair", "blendin rm demo"),
        Example("Remove what is left of interrupted downloads", "blendin rm --unfinished"),
    )
    add_verb(
        app,
        "doctor",
        doctor,
        Example("Report on the installation, to paste into an issue", "blendin doctor"),
        Example("Examine a pair as well", "blendin doctor --pair demo"),
    )


def pull(
    references: References,
    *,
    yes: Yes = False,
    offline: Offline = False,
    models: ModelsFile = None,
    json: Json = False,
) -> None:
    """Download models, or the models of a pair."""
    from blendin_local.cli.manage import actions as manage_actions  # noqa: PLC0415 - `--help` must not wait for it

    manage_actions.pull(references, models_file=models, yes=yes, offline=offline, as_json=json)


def ls(
    *,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            "-a",
            help="Also list what can be downloaded, and files of other programs that cannot be used.",
        ),
    ] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="List only pairs, all of them.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print names only, one per line.")] = False,
    models: ModelsFile = None,
    json: Json = False,
) -> None:
    """List the models and pairs on this machine, with files that ollama, LM Studio and llama.cpp keep."""
    from blendin_local.cli.manage import actions as manage_actions  # noqa: PLC0415

    options = manage_actions.ListOptions(everything, only_pairs=pairs, quiet=quiet, as_json=json)
    manage_actions.ls(models_file=models, options=options)


def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="REF",
            help="A model or a pair.",
            show_default=False,
            autocompletion=completion.references,
        ),
    ],
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Show which file each value comes from.")] = False,
    template: Annotated[bool, typer.Option("--template", help="Print the chat template.")] = False,
    ctx_size: Annotated[
        int | None,
        typer.Option(
            "--ctx-size",
            "-c",
            min=32,
            show_default="4096",
            help="Context size for the memory estimate, in tokens.",
        ),
    ] = None,
    models: ModelsFile = None,
    json: Json = False,
) -> None:
    """Show what a model or a pair is and how much memory it needs."""
    from blendin_local.cli.manage import actions as manage_actions  # noqa: PLC0415

    options = manage_actions.ShowOptions(ctx_size, origin=origin, template=template, as_json=json)
    manage_actions.show(name, models_file=models, options=options)


def rm(
    references: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REF...]",
            help="Models or pairs.",
            show_default=False,
            autocompletion=completion.references,
        ),
    ] = None,
    *,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Remove unfinished downloads.")] = False,
    yes: Yes = False,
    models: ModelsFile = None,
    json: Json = False,
) -> None:
    """Remove downloaded models."""
    from blendin_local.cli.manage import actions as manage_actions  # noqa: PLC0415

    manage_actions.rm(references or [], models_file=models, unfinished=unfinished, yes=yes, as_json=json)


def doctor(
    *,
    pair: Annotated[
        str,
        typer.Option(
            "--pair",
            metavar="NAME",
            show_default="none",
            autocompletion=completion.pairs,
            help="Pair to examine.",
        ),
    ] = "",
    offline: Offline = False,
    models: ModelsFile = None,
    json: Json = False,
) -> None:
    """Report on the installation and the machine."""
    from blendin_local.cli.manage import actions as manage_actions  # noqa: PLC0415

    manage_actions.doctor(models_file=models, pair=pair, offline=offline, as_json=json)
