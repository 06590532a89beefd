"""The parts of a GBNF grammar.

Here: the nodes that the bodies of rules are made of.
Not here: how they are read (`grammar.gbnf.parser`) and written (`grammar.gbnf.lark`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, perhaps an empty one."""

    text: str


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of a set.

    Attributes:
        ranges: First and last code point of each range.
        negated: Whether it is any other character instead.
    """

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """Another rule."""

    name: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """A part, a number of times; `most` is None for any number."""

    part: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts, one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several parts."""

    parts: tuple[Node, ...]


Node = Literal | Characters | Reference | Repeated | Sequence | Choice
Rules = dict[str, Node]
ANY_CHARACTER = Characters((), negated=True)


def parts_of(node: Node) -> tuple[Node, ...]:
    """The parts that a node is made of."""
    if isinstance(node, Sequence | Choice):
        return node.parts
    return (node.part,) if isinstance(node, Repeated) else ()


def references_in(node: Node) -> Iterator[str]:
    """The names of the rules that a node refers to."""
    open_nodes = [node]
    while open_nodes:
        each = open_nodes.pop()
        if isinstance(each, Reference):
            yield each.name
        open_nodes += parts_of(each)
