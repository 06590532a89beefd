"""A steering vector that was learned, as lines of text.

Here: `steer_view`.
Not here: how it is learned (`jobs.steer`).
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from blendin_local.core.percent import percent
from blendin_local.jobs.steer.report import SteerReport


def steer_view(report: SteerReport) -> RenderableType:
    """What was written, how strong it is, how well its gate tells prompts apart, and how it is used."""
    layers = f"{report.layers[0]} to {report.layers[-1]}" if len(report.layers) > 1 else f"{report.layers[0]}"
    weakest, strongest = min(report.strengths.values()), max(report.strengths.values())
    prompts = f"{report.n_harmful} harmful and {report.n_harmless} harmless prompts"
    parts = [
        Text(f"{report.path}: layers {layers}, from {prompts}", style="heading"),
        Text(f"strength: {percent(weakest)} to {percent(strongest)} of the length of the base's own states"),
        Text(
            f"gate: layer {report.gate_layer}, AUC {report.auc:.2f} on held-out prompts, "
            f"{report.right} of {report.held_out} on the right side"
        ),
        *(Text(note, style="warning") for note in report.notes),
        Text(f"use it with --base-control-vector {report.path}:SCALE", style="hint"),
        Text("blendin tune --method steer tries scales and layers", style="hint"),
    ]
    return Group(*parts)
