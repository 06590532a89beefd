"""What only some jobs need and an extra installs.

Here: `require_extra`.
Not here: which job needs what (the job's package calls it on import).
"""

from __future__ import annotations

from importlib.util import find_spec

from blendin_local.errors import UsageError


def require_extra(extra: str, jobs: str, *modules: str) -> None:
    """Refuse, before anything else is imported, where modules of an extra are missing.

    Args:
        extra: Its name in pyproject.toml.
        jobs: What needs it, for the message.
        modules: What it installs, by the names they are imported by.

    Raises:
        UsageError: One of them is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise UsageError(
            f"{' and '.join(missing)} {verb} not installed, but needed by {jobs}",
            f"pip install 'blendin-local[{extra}]'",
        )
