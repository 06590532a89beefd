"""For people who add a method or an engine: scripted models, and the laws that every one of them keeps.

A method is tested before it has a line in `METHODS`:

    from blendin_local.core.decisions import Ask, Decision
    from blendin_local.testing import check_method, converse, spoken

    def mine(settings, state):
        b = yield Ask("base")
        return Decision(b, base=b)

    def test_my_method_keeps_the_laws():
        check_method(mine, roles=("base",))

    def test_my_method_says_what_the_base_says():
        steps, ending, _ = converse(spoken([b"Hel", b"lo"], p=0.9), method=mine)
        assert ending.text == b"Hello"

Everything here raises plain AssertionErrors, so it works under any test runner.
"""

from blendin_local.testing.engine_laws import check_engine, check_rewind, check_tokenizer
from blendin_local.testing.method_laws import check_method
from blendin_local.testing.scripted import (
    SILENT,
    Script,
    ScriptedRole,
    always,
    converse,
    predict,
    random_script,
    spoken,
)

__all__ = [
    "SILENT",
    "Script",
    "ScriptedRole",
    "always",
    "check_engine",
    "check_method",
    "check_rewind",
    "check_tokenizer",
    "converse",
    "predict",
    "random_script",
    "spoken",
]
