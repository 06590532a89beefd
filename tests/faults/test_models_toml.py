"""A models.toml of any content is read, or refused in one line; what it names stays inside the store."""

import os
import random
import threading
import time
import tomllib
from dataclasses import replace

import pytest

from blendin_local.errors import BlendinError, UsageError
from blendin_local.jobs.inventory import list_models
from blendin_local.models import registry as registry_module
from blendin_local.models.config_file import write_pair
from blendin_local.models.entries import PathSource
from blendin_local.models.references import resolve
from blendin_local.models.registry import load_registry
from blendin_local.models.store import Store
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.paths import MAX_TEXT_BYTES

MAX_SECONDS = 10.0
WHOLE = """
version = 1
[models.one]
about = "One"
family = "f"
role = "base"
license = "L"
notice = "N"
size = 100
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
template = "t"
chat_template = "one.jinja"
think = false
path = "one.gguf"
[models.two]
hf = "user/repo:Q8_0"
[[models.three.sources]]
file = "three.gguf"
parts = [
  { package = "some-package", version = "1.2.3", member = "data/three.part0", size = 10 },
  { package = "some-package-2", version = "1.2.3", member = "data/three.part1", size = 10 },
]
[[models.three.sources]]
repo = "user/repo"
file = "sub/three.gguf"
revision = "main"
[[models.three.sources]]
path = "/models/three.gguf"
[pairs.both]
about = "Both"
base = "one"
guide = "two"
untuned = "user/repo"
base_template = "t"
base_temperature = 1.5
guide_temperature = 0.5
method = "blendin"
threshold = 0.4
alpha = "auto"
agreement_bonus = 0.1
top_k_blend = 100
cap = 0.2
bridge = "bytes"
ctx_size = 512
guide_ctx_size = 256
n_gpu_layers = 0
guide_n_gpu_layers = 0
threads = 2
system = "Be brief."
max_tokens = 10
[pairs.both.tuned]
n = 10
[templates.t]
about = "T"
user = "Q: {text}\\nA:"
assistant = " {text}\\n\\n"
system = "{text}\\n"
preamble = "P"
stop = ["\\nQ:"]
[defaults]
pair = "both"
template = "t"
threshold = 0.3
"""
VALUES = [
    "1",
    "-1",
    "0",
    "99999999999999999999",
    "0x" + "f" * 5000,
    "9" * 5000,
    "1e400",
    "-1e400",
    "nan",
    "inf",
    "1.5",
    "true",
    "false",
    '""',
    '"x"',
    '" "',
    '"\\u0000"',
    '"a\\u0000b.gguf"',
    '"\\u001b[31mred"',
    '"\\n"',
    '"{text}"',
    '"../../../etc/passwd"',
    '"/etc/passwd"',
    '"~"',
    '"~nobody-here/x.gguf"',
    '"C:\\\\x.gguf"',
    '"con.gguf"',
    '"-rr#"',
    '"a/b/c"',
    '"../b"',
    '"a--b/c"',
    '"user/repo:"',
    '"hf://user/../x.gguf"',
    '"*"',
    '"\\uFFFF"',
    '"' + "x" * 10_000 + '"',
    '"' + "../" * 2000 + 'x.gguf"',
    '"\\U0010FFFF"',
    "[]",
    "[[]]",
    "[1, 2]",
    '["x", 1]',
    '[""]',
    "[" * 200 + "]" * 200,
    "{}",
    "{ a = 1 }",
    "[{}]",
    '[{ path = "x" }]',
    "[{ parts = [] }]",
    "[{ a = [] }]",
    "1979-05-27",
    "07:32:00",
    "1979-05-27T07:32:00Z",
    "[{ path = 1 }]",
    '[{ repo = "a/b", path = "x" }]',
    '[{ file = "x.gguf", parts = [1] }]',
    '[{ file = "x.gguf", parts = [{}] }]',
    '"blendin"',
    '"no-such-method"',
]
LINES = [
    "x = 1",
    "[x]",
    "[models]",
    "[models.one]",
    "[[models]]",
    "[[models.one]]",
    "[models.one.path]",
    "[pairs]",
    "=",
    "models = 1",
    "models.one = 1",
    "pairs.both.base.x = 1",
    "[models.'']",
    '[models."a\\u001b[2J"]',
    "\x00",
    "\ud7ff",
    "[models.'../../x']",
    "[models.'user/repo']",
    '[models."a\\nb"]',
    "a." * 3000 + "a = 1",
    "version = 1",
    "]" * 99,
    "[" * 5000,
    "x = " + "[" * 5000,
    "x = " + "{a=" * 5000,
    "x = '''",
    "\r",
    "\ufeff",
    "#" * 5000,
    "[models.demo]",
]
SPLICES = [
    b"",
    b"\xff",
    b"\xed\xa0\x80",
    b"\x00",
    b'"',
    b"'''",
    b"[",
    b"]",
    b"=",
    b"\n",
    b"\\",
    b"{",
    b"\xf0\x9f",
]


def mutated(draw):
    """The bytes of a file with one to three faults."""
    lines = WHOLE.split("\n")
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(lines))
        what = draw.random()
        if what < 0.5 and "=" in lines[at]:
            key, _, old = lines[at].partition("=")
            tail = " {" if old.rstrip().endswith("{") else ""
            lines[at] = f"{key}= {draw.choice(VALUES)}{tail}"
        elif what < 0.6:
            lines.insert(at, draw.choice(LINES))
        elif what < 0.7:
            lines.insert(at, draw.choice(lines))
        elif what < 0.8:
            del lines[at]
        elif "=" in lines[at]:
            key = draw.choice(["x", draw.choice(WHOLE.split("\n")).partition("=")[0] or "y"])
            lines[at] = f"{key} ={lines[at].partition('=')[2]}"
    data = bytearray("\n".join(lines).encode("utf-8", "surrogatepass"))
    for _ in range(draw.choice([0, 0, 1, 3])):
        at = draw.randrange(len(data))
        data[at : at + draw.randint(0, 3)] = draw.choice(SPLICES)
    return bytes(data)


def one_line(error):
    """What is wrong with a refusal."""
    texts = (error.message, error.hint)
    if not all(text.isprintable() for text in texts):
        return f"not printable: {error.message!r}"
    return f"{len(error.message)} characters" if len(error.message) > 1000 else None


def attempt(action):
    """What is wrong with what happened; a refusal in one line is right."""
    try:
        action()
    except BlendinError as error:
        return one_line(error)
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return f"{type(error).__name__}: {error}"[:300]
    return None


def problems(registry, store):
    """What is wrong with anything that such a registry is used for."""
    for name in (*registry.pairs, None):
        yield attempt(lambda name=name: resolve_pair(PairSpec(pair=name, every_model=True), registry))
    yield attempt(lambda: list_models(registry, store, everything=True))
    for name, entry in registry.models.items():
        yield attempt(lambda name=name: resolve(name, registry, store=store, offline=True))
        for source in entry.sources:
            if isinstance(source, PathSource):
                continue
            named = source if source.file else replace(source, file="x")
            yield attempt(lambda named=named: store.path_of(named))


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """No file of the user's own."""
    monkeypatch.setattr(registry_module, "user_file", lambda: tmp_path / "config" / "models.toml")
    (tmp_path / "work").mkdir()
    return tmp_path / "work" / "models.toml"


def outcome(file, draw, store):
    """What is wrong with reading a file, named by the user or found in the working directory."""
    begun = time.monotonic()
    explicit = file if draw.random() < 0.6 else None
    accept = draw.choice([None, lambda _: True, lambda _: False])
    try:
        registry = load_registry(explicit, {}, file.parent, accept=accept)
    except UsageError as error:
        problem = one_line(error)
        if str(file) not in error.message + error.hint:
            problem = f"the file is not named: {error.message}"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        problem = f"{type(error).__name__}: {error}"[:300]
    else:
        problem = next(filter(None, problems(registry, store)), None)
    return "too slow" if time.monotonic() - begun > MAX_SECONDS else problem


@pytest.mark.slow
def test_mutated_files(ledger, alone, tmp_path):
    """Wrong types, odd values, broken syntax, bytes that are no text: thousands of them, seeded."""
    store = Store(tmp_path / "store")
    assert tomllib.loads(WHOLE)
    with ledger.kind("mutated models.toml files") as trials:
        for seed in range(ledger.count(100, 4000)):
            draw = random.Random(seed)
            alone.write_bytes(mutated(draw))
            trials.record(str(seed), outcome(alone, draw, store))
    assert {path.name for path in tmp_path.iterdir()} <= {"work", "store"}


@pytest.mark.slow
def test_every_key_with_every_kind_of_value(ledger, alone, tmp_path):
    """Each key of each table gets each of the values, whatever kind it should have."""
    store = Store(tmp_path / "store")
    places = [i for i, line in enumerate(WHOLE.split("\n")) if "=" in line]
    every = [(at, value) for at in places for value in VALUES]
    chosen = random.Random(0).sample(every, k=ledger.count(100, len(every)))
    with ledger.kind("values of the wrong kind in models.toml") as trials:
        for at, value in chosen:
            lines = WHOLE.split("\n")
            key, _, old = lines[at].partition("=")
            if key.strip() == "{ package":
                lines[at] = f"  {{ package = {value}, version = {value}, member = {value}, size = {value} }},"
            elif not old.strip().endswith("["):
                lines[at] = f"{key}= {value}"
            alone.write_text("\n".join(lines), encoding="utf-8")
            trials.record(f"{key.strip()} = {value[:60]}", outcome(alone, random.Random(at), store))


NO_FILES = (
    "directory",
    "FIFO",
    "/dev/zero",
    "no right to read",
    "link to nothing",
    "link in a circle",
    "huge",
)
NO_FILES += ("empty", "NULs", "UTF-16", "deep arrays", "deep tables", "many keys", "slow keys")


def put(kind, path):
    """Something in the place of a models.toml."""
    texts = {
        "empty": b"",
        "NULs": bytes(1000),
        "UTF-16": WHOLE.encode("utf-16"),
        "huge": b"#" * (MAX_TEXT_BYTES + 1),
        "deep arrays": b"x = " + b"[" * (MAX_TEXT_BYTES - 10),
        "deep tables": b"[" + b"a." * (MAX_TEXT_BYTES // 2 - 10) + b"a]",
        "many keys": b"\n".join(b"k%d = 1" % i for i in range(MAX_TEXT_BYTES // 12)),
        "slow keys": b"\n".join(b"k%d." % i + b"a." * 5 + b"a = 1" for i in range(MAX_TEXT_BYTES // 30)),
    }
    if kind in texts:
        path.write_bytes(texts[kind])
    elif kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "no right to read":
        path.write_text(WHOLE)
        path.chmod(0)
    else:
        targets = {"/dev/zero": "/dev/zero", "link to nothing": "nothing", "link in a circle": path.name}
        path.symlink_to(targets[kind])


@pytest.mark.skipif(os.name == "nt", reason="it takes FIFOs, devices and links")
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_of_names(ledger, alone, kind, tmp_path):
    """In the working directory, named, and as a chat template: never waited for, and refused in one line."""
    if kind == "no right to read" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    put(kind, alone)
    with ledger.kind("what is no models.toml") as trials:
        for explicit in (None, alone):
            found = []
            begun = time.monotonic()

            def read(explicit=explicit, found=found):
                found.append(attempt(lambda: load_registry(explicit, {}, alone.parent)))

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            reader.join(MAX_SECONDS)
            problem = found[0] if found else f"still reading after {time.monotonic() - begun:.0f} s"
            trials.record(f"{kind} {'named' if explicit else 'found'}", problem)
        names = tmp_path / "names.toml"
        names.write_text(
            f"[models.one]\npath = 'x'\nchat_template = '{alone}'\n[pairs.p]\nbase='one'\nguide='one'"
        )

        def use():
            resolve_pair(PairSpec(pair="p"), load_registry(names, {}, tmp_path))

        trials.record(f"{kind} as a template", attempt(use))
        trials.record(f"{kind} written to", attempt(lambda: write_pair(alone, "p", {"threshold": 0.5})))


def test_a_file_that_cannot_be_used_says_so(alone):
    """What lies in the working directory under that name and is no file is not passed over in silence."""
    alone.mkdir()
    with pytest.raises(UsageError, match="directory"):
        load_registry(None, {}, alone.parent)
