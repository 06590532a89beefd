"""Which options stand on the command line.

Here: `given_options`, for commands in which a record has values too: it wins over environment variables only.
Not here: the options (`cli.common.options`).
"""

from __future__ import annotations

import typer


def given_options(context: typer.Context) -> frozenset[str]:
    """The names of the options that stand on the command line; not those that the environment sets."""
    sources = ((name, context.get_parameter_source(name)) for name in context.params)
    return frozenset(name for name, source in sources if source is not None and source.name == "COMMANDLINE")
