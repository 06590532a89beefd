r"""The rules of a GBNF grammar as llguidance's Lark.

Here: `to_lark`.
Not here: reading GBNF (`grammar.gbnf.parser`).
llguidance reads a text in pieces (lexemes), each as long as it can be. A rule without recursion becomes one
piece, so such a grammar matches what llama.cpp's does. Around recursion it can differ where a piece could
also go on with what must follow: in `root ::= [a-z]+ "b" | "(" root ")"` the letters would take every b. The
longest parts without recursion are therefore put together: `[a-z]+ "b"` is one piece.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Set

from blendin_local.grammar.gbnf.analysis import ROOT, ending_rules, regular_rules, require_defined
from blendin_local.grammar.gbnf.nodes import (
    Characters,
    Choice,
    Literal,
    Node,
    Reference,
    Repeated,
    Sequence,
    parts_of,
    references_in,
)
from blendin_local.grammar.gbnf.parser import parse


def to_lark(text: str) -> str:
    """A GBNF grammar in Lark.

    Raises:
        UsageError: It is not GBNF, refers to a rule that does not exist, or no text can match it.
    """
    rules = parse(text)
    require_defined(rules)
    rules = ending_rules(rules)
    return _Writer(regular_rules(rules), rules).write()


class _Writer:
    """Writes rules; those of Lark have new names, so that no two can be mistaken for each other."""

    def __init__(self, regular: Set[str], rules: dict[str, Node]) -> None:
        self.regular = regular
        self.rules = rules
        self.names = {name: f"{'T' if name in regular else 'r'}{i}" for i, name in enumerate(rules)}
        self.lines: list[str] = []

    def write(self) -> str:
        for name, body in self.rules.items():
            form = self.piece(body) if name in self.regular else self.node(body)
            self.lines.append(f"{self.names[name]}: {form}")
        return "\n".join(["%llguidance {}", f"start: {self.names[ROOT]}", *self.lines, ""])

    def is_regular(self, node: Node) -> bool:
        return all(name in self.regular for name in references_in(node))

    def piece(self, node: Node) -> str:
        """A regular node inside of one piece."""
        return _written(node, [self.piece(each) for each in parts_of(node)], self.names)

    def node(self, node: Node) -> str:
        """A node with recursion somewhere in it, or a piece by its name."""
        if self.is_regular(node):
            return self.named(node)
        if isinstance(node, Sequence):
            return " ".join(self.node(each) for each in self.together(node.parts))
        return _written(node, [self.node(each) for each in parts_of(node)], self.names)

    def together(self, parts: Iterable[Node]) -> list[Node]:
        """The parts of a sequence, with neighbours without recursion put together."""
        found: list[Node] = []
        for each in parts:
            if found and self.is_regular(each) and self.is_regular(found[-1]):
                found[-1] = Sequence((found[-1], each))
            else:
                found.append(each)
        return found

    def named(self, node: Node) -> str:
        """The name of a piece, which is added if it is not a rule itself."""
        if isinstance(node, Reference):
            return self.names[node.name]
        name = f"P{len(self.lines)}"
        self.lines.append(f"{name}: {self.piece(node)}")
        return name


def _written(node: Node, inside: list[str], names: dict[str, str]) -> str:
    """A node whose parts are written already."""
    match node:
        case Literal():
            return json.dumps(node.text, ensure_ascii=False)
        case Characters():
            return _character_set(node)
        case Reference():
            return names[node.name]
        case Repeated():
            times = f"{{{node.least},{'' if node.most is None else node.most}}}"
            return '""' if node.most == 0 else f"({inside[0]}){times}"
        case Choice():
            return f"({' | '.join(inside)})"
        case Sequence():
            return f"({' '.join(inside)})" if inside else '""'


def _character_set(node: Characters) -> str:
    if not node.ranges:
        return "/(?s:.)/"
    ranges = "".join(_range(first, last) for first, last in node.ranges)
    return f"/[{'^' if node.negated else ''}{ranges}]/"


def _range(first: int, last: int) -> str:
    return f"\\x{{{first:X}}}" if first == last else f"\\x{{{first:X}}}-\\x{{{last:X}}}"
