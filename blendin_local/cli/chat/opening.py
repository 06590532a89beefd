"""The open pair of a chat, and its settings, which `/set` changes by opening it anew.

Here: `OpenedPair`, and `with_pair_value`, the options with another value.
Not here: settings of an answer (`cli.chat.settings`), how a pair is opened (`cli.common.session`).
A conversation stays whatever happens to the pair: it is read again with the next question.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType

from blendin_local.cli.chat.settings import BASE_TEMPLATE, OF_PAIR
from blendin_local.cli.common.interrupt import stop_on_interrupt
from blendin_local.cli.common.options import ROLES, SessionOptions, option_name
from blendin_local.cli.common.session import Session, open_session, pair_spec
from blendin_local.cli.common.status import StatusLine
from blendin_local.pair.pair import Pair
from blendin_local.pair.resolve import resolve_pair


class OpenedPair:
    """A pair that is open as long as the context; one at a time, as there may be memory for no second.

    Args:
        options: Those of the command line.
        status: Shows which file is read; its console is for everything but answers.

    Attributes:
        options: What the pair is opened with now.
        session: The open pair.
    """

    def __init__(self, options: SessionOptions, status: StatusLine) -> None:
        self.options = options
        self._status = status
        self._stack = ExitStack()
        self.session: Session = self._open(options)

    def __enter__(self) -> OpenedPair:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _open(self, options: SessionOptions) -> Session:
        with stop_on_interrupt() as interrupt:  # while the models load; the chat has its own rules
            opening = open_session(options, self._status, lambda: interrupt.requested, every_model=True)
            session = self._stack.enter_context(opening)
        self._status.clear()
        return session

    @property
    def pair(self) -> Pair:
        """The open pair."""
        return self.session.pair

    def values(self) -> dict[str, str]:
        """The value of every setting of the pair; where base and guide differ, both."""
        setup = self.session.resolved.setup
        values = {BASE_TEMPLATE: setup.template.name}
        for name, setting in OF_PAIR.items():
            base, guide = (
                setting.word_of(getattr(settings, setting.field))
                for settings in (setup.base_settings, setup.guide_settings)
            )
            values[name] = base if base == guide else f"{base} (guide {guide})"
        return values

    def change(self, name: str, text: str) -> Pair:
        """The pair with another value; on an error it is as before.

        Args:
            name: `base-template` or one of `OF_PAIR`.
            text: The new value, as it was typed.

        Raises:
            UsageError: The setting cannot have this value; nothing was closed.
            LoadError: The pair cannot be opened so, and was opened as before.
            KeyboardInterrupt: The user stopped it, and it was opened as before.
        """
        options = with_pair_value(self.options, name, text)
        registry = self.session.resolved.registry
        resolve_pair(pair_spec(options, every_model=True), registry)  # a wrong value closes nothing
        self._reopen(options)
        self.options = options
        return self.session.pair

    def _reopen(self, options: SessionOptions) -> None:
        self._stack.close()
        try:
            self.session = self._open(options)
        except BaseException:
            self.session = self._open(self.options)
            raise


def with_pair_value(options: SessionOptions, name: str, text: str) -> SessionOptions:
    """The options with another value for a setting of the pair, for both models.

    Args:
        options: Those of now.
        name: `base-template` or one of `OF_PAIR`.
        text: The new value, as it was typed.

    Raises:
        UsageError: The text is no value of its kind.
    """
    if name == BASE_TEMPLATE:
        return replace(options, models=replace(options.models, base_template=text))
    setting = OF_PAIR[name]
    value = setting.parse(text)
    given = {option_name(setting): value if setting.kind == "switch" else text}
    of_roles = {option_name(setting, role): None for role in ROLES if setting.role_flags}
    return replace(options, runtime=options.runtime.having(**given, **of_roles))
