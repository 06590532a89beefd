"""What `blendin logs` does: a listing, one conversation, the removal of some.

Here: a function each; the data go to stdout, everything else to stderr.
Not here: options (`cli.logs.command`), how it looks (`views.history`), the file (`history.queries`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from blendin_local.cli.common.asking import confirmation
from blendin_local.cli.common.printing import print_data, print_json, print_note
from blendin_local.core.record_json import completion_to_json
from blendin_local.errors import UsageError
from blendin_local.history import queries
from blendin_local.history.place import history_file
from blendin_local.history.records import Conversation, KeptTurn, Listed
from blendin_local.views.answer import counted
from blendin_local.views.history import ListingView, print_conversation
from blendin_local.views.theme import Consoles


def list_conversations(search: str | None, count: int, consoles: Consoles, *, as_json: bool) -> None:
    """List the latest conversations, or those that a search finds."""
    path = history_file()
    rows = queries.latest(path, count) if search is None else queries.search(path, search, count)
    if as_json:
        print_json({"history": str(path), "conversations": [listed_to_json(row) for row in rows]}, indent=2)
    elif rows:
        consoles.out.print(ListingView(rows))
    elif search is None:
        print_note(consoles.err, "no conversations yet; blendin chat begins one")
    else:
        print_note(consoles.err, f"no conversation contains {search}")


def show(number: int, consoles: Consoles, *, as_json: bool) -> None:
    """Show a conversation, on a terminal with its marks."""
    conversation = queries.read(history_file(), number)
    if as_json:
        print_json(conversation_to_json(conversation))
    else:
        print_conversation(conversation, consoles)


def print_path() -> None:
    """Print where the history is, or would be."""
    print_data(str(history_file()))


def delete(numbers: Sequence[int], err: Console, *, yes: bool) -> None:
    """Delete conversations after a yes."""
    path = history_file()
    found = [queries.find(path, number) for number in dict.fromkeys(numbers)]
    lines = [f"conversation {each.id}: {each.question:.60}" for each in found]
    _confirm(lines, f"delete {counted(len(found), 'conversation')}?", err, yes=yes)
    queries.remove(path, [each.id for each in found])
    print_note(err, f"{counted(len(found), 'conversation')} deleted")


def clear_all(err: Console, *, yes: bool) -> None:
    """Delete every conversation after a yes."""
    path = history_file()
    number = queries.count(path)
    if not number:
        print_note(err, "there are no conversations to delete")
        return
    _confirm([str(path)], f"delete {counted(number, 'conversation')}, all there are?", err, yes=yes)
    queries.clear(path)
    print_note(err, f"{counted(number, 'conversation')} deleted")


def _confirm(details: Sequence[str], question: str, err: Console, *, yes: bool) -> None:
    text = "\n".join([*(" ".join(line.split()) for line in details), question])
    if not confirmation(err, yes=yes)(text):
        raise UsageError("nothing was done")


def listed_to_json(row: Listed) -> dict[str, Any]:
    """An entry of `logs --json`."""
    return {
        "id": row.id,
        "started": row.started,
        "latest": row.latest,
        "command": row.opening.command,
        "pair": row.opening.pair,
        "models": dict(row.opening.models),
        "question": row.question,
        "turns": row.n_turns,
        "steps": row.steps,
        "asked": row.asked,
        "intervention_rate": row.intervention_rate,
        **({"found": row.found} if row.found else {}),
    }


def conversation_to_json(conversation: Conversation) -> dict[str, Any]:
    """The object of `logs ID --json`."""
    opening, context = conversation.opening, conversation.context
    return {
        "id": conversation.id,
        "started": conversation.started,
        "command": opening.command,
        "pair": opening.pair,
        "models": dict(opening.models),
        "options": dict(opening.options),
        "system": context.system,
        "settings": dict(context.settings),
        "turns": [_turn_to_json(kept) for kept in conversation.turns],
    }


def _turn_to_json(kept: KeptTurn) -> dict[str, Any]:
    turn = kept.turn
    return {
        "id": kept.id,
        "time": kept.time,
        "standing": kept.standing,
        "question": turn.question,
        "answer": turn.answer,
        "completion": None if turn.completion is None else completion_to_json(turn.completion),
    }
