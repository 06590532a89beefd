"""The roles that a model can have in a pair."""

from __future__ import annotations

from typing import Literal

Role = Literal["base", "guide", "guide2", "guide3", "untuned"]
ROLES: tuple[Role, ...] = ("base", "guide", "guide2", "guide3", "untuned")
"""All of them, in the order in which the questions of a step are asked."""
GUIDES: tuple[Role, ...] = ("guide", "guide2", "guide3")
"""The guides, in the order in which they are named; most pairs have the first alone."""
FURTHER_GUIDES = GUIDES[1:]
