"""Models, pairs and removals on the terminal.

Here: pure functions from the records of `jobs.inventory` to rich renderables; they fit 40 columns.
Not here: the records themselves, styles (`views.theme`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from blendin_local.engine.gguf.header import Header
from blendin_local.engine.memory import mebibytes
from blendin_local.jobs.inventory import ModelFacts, ModelRow, PairRow
from blendin_local.jobs.removal import Removal
from blendin_local.models.entries import PairEntry
from blendin_local.views.sizes import megabytes
from blendin_local.views.visible import label

WIDE = 60
MEMORY_TEXTS = {
    "plain": "plain attention: any rewind is exact",
    "sliding": "sliding windows: rewinds need the full-size cache",
    "recurrent": "recurrent: cannot be rewound",
    "hybrid": "hybrid (attention and recurrent): cannot be rewound",
    "none": "none: it cannot generate text",
}


def fields(rows: Iterable[tuple[str, str]], *, title: str = "") -> RenderableType:
    """Rows of name and value; rows with an empty value are left out."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="faint", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(label(name), label(value))
    return Group(Text(label(title), style="heading"), table) if title else table


@dataclass(frozen=True)
class ListingView:
    """The table of `ls`; a narrow terminal shows fewer columns."""

    rows: Sequence[ModelRow]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table for the available width."""
        wide = options.max_width >= WIDE
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
        table.add_column("model", overflow="fold")
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("format", no_wrap=True)
        if wide:
            table.add_column("role", no_wrap=True)
            table.add_column("description", overflow="fold", ratio=1)
        for row in self.rows:
            style = "heading" if row.here else "faint"
            size = megabytes(row.size) if row.size else ""
            style = "faint" if row.problem else style
            more = (row.role, Text(_remark(row), style="none" if row.here else "faint")) if wide else ()
            table.add_row(Text(label(row.reference), style=style), size, row.quantization, *more)
        yield table


def _remark(row: ModelRow) -> str:
    """What a model is, or whose file it is and why it cannot be used."""
    if row.problem:
        return label(f"of {row.tool}, cannot be used: {row.problem}")
    if row.tool:
        return label(f"of {row.tool}")
    return label(row.about) + ("" if row.here else " (not downloaded)")


@dataclass(frozen=True)
class PairsView:
    """The table of pairs of `ls`; a narrow terminal shows base and guide below each other."""

    rows: Sequence[PairRow]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table for the available width."""
        wide = options.max_width >= WIDE
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
        for name in ("pair", "base", "guide") if wide else ("pair", "base and guide"):
            table.add_column(name, overflow="fold")
        table.add_column("files", overflow="fold")
        if any(row.values for row in self.rows):
            table.add_column("settings", overflow="fold")
        for row in self.rows:
            style = "heading" if row.here else "faint"
            names = (label(row.base), "\n".join(map(label, row.guides)))
            models = [Text(name, style="none" if row.here else "faint") for name in names]
            shown = models if wide else [Text("\n").join(models)]
            settings = "\n".join(label(f"{key}={value}") for key, value in row.values.items())
            table.add_row(Text(label(row.name), style=style), *shown, _files(row), settings)
        yield table


def _files(row: PairRow) -> str:
    """Which files of a pair are on this machine."""
    if row.here:
        return "here"
    if {"base", "guide"} <= set(row.missing):
        return "not here"
    return f"no {' and '.join(row.missing)}"


def facts_view(facts: ModelFacts, *, origin: bool = False) -> RenderableType:
    """What `show` prints about a model."""
    entry, header = facts.entry, facts.header
    rows = [
        ("about", entry.about if entry else ""),
        ("file", str(facts.path) if facts.path else "not on this machine"),
        ("download with", facts.command if facts.path is None else ""),
        ("source", facts.source),
        ("license", (entry.license if entry else "") or (header.license if header else "")),
        ("notice", entry.notice if entry else ""),
        ("pairs", ", ".join(facts.pairs)),
    ]
    if header is not None:
        rows += _header_rows(header)
    if facts.memory is not None and header is not None and not header.unusable:
        memory = facts.memory
        parts = f"weights {mebibytes(memory.weights)}, KV cache {mebibytes(memory.kv_cache)}, "
        parts += f"compute {mebibytes(memory.compute)}"
        rows.append(("memory", f"{mebibytes(memory.total)} at a context of {facts.ctx_size:,} ({parts})"))
    view = fields(rows, title=facts.reference)
    return Group(view, origins_view(facts.origins)) if origin and facts.origins else view


def _header_rows(header: Header) -> list[tuple[str, str]]:
    size = f"{header.parameters:,} parameters in {megabytes(header.file_size)}"
    parts = f", {header.n_parts} files" if header.n_parts > 1 else ""
    return [
        ("model", f"{header.name} ({header.architecture})" if header.name else header.architecture),
        ("size", f"{size}, {header.quantization}{parts}"),
        ("vocabulary", f"{header.vocab_kind}, {header.vocab_size:,} tokens"),
        ("context", f"{header.ctx_train:,} tokens in training"),
        ("chat template", "in the file" if header.chat_template else "none"),
        ("end tokens", " ".join(header.end_tokens)),
        ("attention", MEMORY_TEXTS[header.memory] + _window(header)),
        ("cannot be used", header.unusable),
    ]


def _window(header: Header) -> str:
    return f" ({header.sliding_window:,} tokens)" if header.sliding_window else ""


def pair_view(pair: PairEntry, origins: Mapping[str, Path]) -> RenderableType:
    """What `show` prints about a pair, above its two models."""
    rows = [("about", pair.about), ("base", pair.base), ("guide", " and ".join(pair.guides))]
    rows += [("untuned", pair.untuned)] if pair.untuned else []
    rows += [(key, str(value)) for key, value in pair.values.items()]
    view = fields(rows, title=f"pair {pair.name}")
    return Group(view, origins_view(origins)) if origins else view


def origins_view(origins: Mapping[str, Path]) -> RenderableType:
    """Which file each value comes from."""
    return fields([(key, str(path)) for key, path in origins.items()], title="set in")


def removal_view(removal: Removal, unfinished: int) -> RenderableType:
    """What `rm` will delete."""
    lines = [f"{path} ({megabytes(path.stat().st_size)})" for path in removal.files]
    if unfinished:
        lines.append(f"unfinished downloads ({megabytes(unfinished)})")
    if removal.pairs:
        lines.append(f"needed by: {', '.join(removal.pairs)}")
    return Text("\n".join(lines))
