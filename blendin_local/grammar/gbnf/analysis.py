"""What follows from the rules of a grammar.

Here: `require_defined`; `ending_rules`, without the ways that never end; `regular_rules`, which refer to no
recursion.
Not here: how rules are written for llguidance (`grammar.gbnf.lark`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Set

from blendin_local.errors import UsageError
from blendin_local.grammar.gbnf.nodes import (
    Choice,
    Node,
    Reference,
    Repeated,
    Rules,
    Sequence,
    parts_of,
    references_in,
)

ROOT = "root"


def require_defined(rules: Rules) -> None:
    """Raise `UsageError` unless there is a rule `root`, and every rule that another refers to."""
    if ROOT not in rules:
        raise UsageError("the grammar has no rule root", "an answer begins there: root ::= ...")
    for name, body in rules.items():
        for each in references_in(body):
            if each not in rules:
                message = f"the grammar has no rule {each}, which the rule {name} refers to"
                raise UsageError(message, "add it, or correct the name")


def ending_rules(rules: Rules) -> Rules:
    """The rules that `root` needs, without alternatives that no finite text matches.

    Raises:
        UsageError: No finite text matches `root`.
    """
    ending = _ending(rules)
    if ROOT not in ending:
        raise UsageError(
            "no answer could ever be complete: the grammar's rule root always needs itself again",
            "add an alternative that ends",
        )
    needed: Rules = {}
    open_names = [ROOT]
    while open_names:
        name = open_names.pop()
        if name not in needed:
            kept = _without_endless(rules[name], ending)
            assert kept is not None, "a rule that can end has a way to"
            needed[name] = kept
            open_names += references_in(kept)
    return {name: needed[name] for name in rules if name in needed}


def _ending(rules: Rules) -> Set[str]:
    """The names of the rules that some finite text matches."""
    users: dict[str, set[str]] = defaultdict(set)
    for name, body in rules.items():
        for each in references_in(body):
            users[each].add(name)
    ending: set[str] = set()
    due = deque(rules)
    while due:
        name = due.popleft()
        if name not in ending and _ends(rules[name], ending):
            ending.add(name)
            due += users[name]
    return ending


def _ends(node: Node, ending: Set[str]) -> bool:
    """Whether some finite text matches a node."""
    if isinstance(node, Reference):
        return node.name in ending
    if isinstance(node, Repeated) and node.least == 0:
        return True
    matches = (_ends(each, ending) for each in parts_of(node))
    return any(matches) if isinstance(node, Choice) else all(matches)


def _without_endless(node: Node, ending: Set[str]) -> Node | None:
    """A node without the ways that never end; None if it has no other."""
    if isinstance(node, Choice):
        kept = [part for each in node.parts if (part := _without_endless(each, ending)) is not None]
        return Choice(tuple(kept)) if len(kept) > 1 else next(iter(kept), None)
    if isinstance(node, Sequence):
        parts = [_without_endless(each, ending) for each in node.parts]
        return None if None in parts else Sequence(tuple(each for each in parts if each is not None))
    if isinstance(node, Repeated):
        part = _without_endless(node.part, ending)
        if part is None:
            return Sequence(()) if node.least == 0 else None
        return Repeated(part, node.least, node.most)
    return None if isinstance(node, Reference) and node.name not in ending else node


def regular_rules(rules: Rules) -> Set[str]:
    """The names of the rules that do not lead back to themselves, nor to a rule that does."""
    users: dict[str, set[str]] = defaultdict(set)
    open_references = {name: set(references_in(body)) for name, body in rules.items()}
    for name, references in open_references.items():
        for each in references:
            users[each].add(name)
    regular: set[str] = set()
    due = [name for name, references in open_references.items() if not references]
    while due:
        name = due.pop()
        regular.add(name)
        for user in users[name]:
            open_references[user].discard(name)
            if not open_references[user]:
                due.append(user)
    return regular
