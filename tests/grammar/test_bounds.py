"""Forms made to be slow or huge: refused soon and within little memory, or quick."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from blendin_local.errors import UsageError
from blendin_local.grammar.compilation import compile_definition
from blendin_local.grammar.definition import Definition
from tests.paths import ROOT

MAX_SECONDS = 2
MAX_KIB = 500 * 1024


def schema(value):
    return Definition("json_schema", json.dumps(value))


def lark(text):
    return Definition("lark", text)


def gbnf(text):
    return Definition("gbnf", text)


def either(n):
    return {"allOf": [{"anyOf": [{"properties": {f"{k}{i}": {}}} for k in "pq"]} for i in range(n)]}


def chain(n):
    names = {f"d{i}": {"properties": {k: {"$ref": f"#/$defs/d{i + 1}"} for k in "ab"}} for i in range(n)}
    return {"$ref": "#/$defs/d0", "$defs": names | {f"d{n}": {"type": "string"}}}


REFUSED = {
    "properties": schema({"properties": {f"p{i}": {} for i in range(10_000)}}),
    "long constant": schema({"const": "x" * 500_000}),
    "many numbers": schema({"enum": list(range(100_000))}),
    "choices of choices": schema(either(25)),
    "remainder": schema({"type": "integer", "multipleOf": 9_999_991}),
    "hidden remainder": Definition("json_schema", '{"type": "integer", "multiple\\u004ff": 9999991}'),
    "remainders": schema({"allOf": [{"type": "integer", "multipleOf": p} for p in (97, 101, 103, 107)]}),
    "long chain": schema(chain(2000)),
    "parentheses": Definition("regex", "(" * 20_000 + "a" + ")" * 20_000),
    "doubled terminals": lark(
        "start: T0\n" + "".join(f"T{i}: T{i + 1} T{i + 1}\n" for i in range(30)) + 'T30: "a"\n'
    ),
    "doubled rules": gbnf(
        "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1} r{i + 1}\n" for i in range(40)) + 'r40 ::= "a"'
    ),
    "rules in a ring": lark(
        "start: r0\n" + "".join(f'r{i}: "x" r{(i + 1) % 20_000} | "y"\n' for i in range(20_000))
    ),
    "long text": gbnf('root ::= "' + "x" * 900_000 + '"'),
    "open parentheses": gbnf("root ::= " + "(" * 100_000),
    "million repetitions": lark('start: "a"{1000000}'),
    "too much text": Definition("regex", "a" * 2_000_000),
}
QUICK = {
    "long string": schema({"type": "string", "maxLength": 1_000_000}),
    "many items": schema({"type": "array", "minItems": 100_000, "items": {"type": "string"}}),
    "nested items": schema({"minItems": 1000, "items": {"minItems": 1000, "items": {"minItems": 1000}}}),
    "many values": schema({"enum": [f"value {i}" for i in range(10_000)]}),
    "nested repetitions": Definition("regex", "((a{1,1000}){1,1000}){1,1000}"),
    "many states": Definition("regex", "(a|b)*a(a|b){200}"),
    "letters": Definition("regex", r"\p{L}{1,100000}"),
    "recursion on the left": gbnf('root ::= root "a" | "b"'),
    "ambiguous": lark('start: start start | "a" | "b"'),
    "forty levels": schema(json.loads('{"items":' * 40 + "{}" + "}" * 40)),
}


def seconds_of(definition):
    started = time.monotonic()
    try:
        compile_definition.__wrapped__(definition)
    except UsageError:
        return time.monotonic() - started, True
    return time.monotonic() - started, False


TRIAL = """
import json, pathlib, re, resource, sys
from tests.grammar.test_bounds import REFUSED, seconds_of
seconds, refused = seconds_of(REFUSED[sys.argv[1]])
own = re.search(r"VmHWM:\\s*([0-9]+)", pathlib.Path("/proc/self/status").read_text())
print(json.dumps([seconds, refused, int(own[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""
"""One trial in a process of its own, whose peak is not that of the tests before it."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_much_is_refused_soon(name):
    """In under two seconds, and in under 500 MB, of the process and of any child."""
    trial = [sys.executable, "-c", TRIAL, name]
    done = subprocess.run(trial, check=True, capture_output=True, text=True, cwd=ROOT, timeout=60)
    seconds, refused, own_kib, children_kib = json.loads(done.stdout)

    assert refused
    assert seconds < MAX_SECONDS
    assert own_kib < MAX_KIB
    assert children_kib < MAX_KIB


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_large_numbers_alone_cost_little(name):
    """They are taken, although a naive reader would unfold them."""
    seconds, refused = seconds_of(QUICK[name])

    assert not refused
    assert seconds < MAX_SECONDS


@pytest.mark.slow
def test_what_is_read_here_needs_no_large_stack():
    """The deepest small definitions are read in a thread with a stack of 1 MiB: no crash of the process."""
    deep = '{"items":' * 20 + "{}" + "}" * 20
    references = {f"d{i}": {"items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(40)} | {"d40": {}}
    definitions = [
        Definition("json_schema", deep),
        Definition("regex", "(" * 20 + "a" + ")" * 20),
        schema({"$ref": "#/$defs/d0", "$defs": references}),
    ]
    done = []
    threading.stack_size(2**20)
    try:
        thread = threading.Thread(
            target=lambda: done.extend(map(compile_definition.__wrapped__, definitions))
        )
        thread.start()
    finally:
        threading.stack_size(0)
    thread.join()

    assert len(done) == len(definitions)
