"""Whatever answers in the hub's place: the right file or one line, in seconds, within the announced bytes."""

import gzip
import hashlib
import itertools
import json
import random
import time

import pytest
from huggingface_hub import constants, utils

from blendin_local.errors import BlendinError
from blendin_local.models import hub as hub_module
from blendin_local.models import hub_download
from blendin_local.models.entries import Defaults
from blendin_local.models.fetch import fetch
from blendin_local.models.references import resolve
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from tests.models.raw_server import endless, head, raw_server

CONTENT = b"GGUF" + random.Random(7).randbytes(50_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
REPO, NAME = "user/toy-GGUF", "toy-Q4_K_M.gguf"
MAX_SECONDS = 8.0
PORTAL = "<html><title>Wi-Fi login \u2013 é 模</title>Please pay</html>"
STATUSES = [
    201,
    204,
    206,
    300,
    304,
    307,
    400,
    401,
    402,
    403,
    404,
    405,
    407,
    408,
    410,
    413,
    416,
    418,
    422,
    429,
]
STATUSES += [451, 499, 500, 501, 502, 503, 504, 511, 520, 599, 999, 100, 101, 0]
CODES = ["RepoNotFound", "EntryNotFound", "RevisionNotFound", "GatedRepo", "\x1b[31m", "", "x" * 5000]
TYPES = ["text/html", "text/html; charset=latin-1", "TEXT/HTML", "application/json; charset=base64", "", "x"]
TYPES += ["application/json; charset=utf-16", "text/plain; charset=no-such", "application/octet-stream"]
ERROR_BODIES = [
    b"",
    PORTAL.encode(),
    PORTAL.encode("utf-16"),
    PORTAL.encode("utf-7"),
    b"caf\xe9 \xff\xfe\x00",
    gzip.compress(PORTAL.encode()),
    b'{"error": 1}',
    b'{"error": [[1], {"a": null}]}',
    b'{"error": {"a": 1}, "errors": [1]}',
    b"[1, 2]",
    b"null",
    b'"text"',
    b"[" * 100_000,
    b"\x1b]0;title\x07\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    bytes(100_000),
]
PLACES = [
    "",
    "/",
    "//",
    "http://",
    "http://[::1",
    "http://127.0.0.1:1/x",
    "file:///etc/passwd",
    "ftp://x/y",
    "\x7f",
]
PLACES += [
    "http://127.0.0.1:99999/",
    "javascript:1",
    "?x",
    "#",
    "\xe9",
    "http://" + "a" * 300 + "/",
    "./" * 2000,
]
ENCODINGS = ["gzip", "br", "zstd", "deflate", "gzip, gzip", "x", "identity", ""]
NUMBERS = [
    "0",
    "-1",
    "abc",
    "1e5",
    str(10**30),
    "9" * 5000,
    str(len(CONTENT) - 1),
    str(len(CONTENT) + 1),
    "",
    "٣",
]
TAGS = ['""', 'W/""', '"../../x"', "x" * 9000, '"\x1b[2J"', f'W/"{DIGEST}"', '"0"', '"é"', "0" * 64]
NAMES = [
    "../../x.gguf",
    "/etc/x.gguf",
    "x-00001-of-99999.gguf",
    "x-00001-of-00000.gguf",
    "a\\b.gguf",
    "con.gguf",
]
NAMES += ["\0.gguf", "x" * 5000 + ".gguf", ".gguf", "a/../b.gguf", "\x1b[2J.gguf", "C:x.gguf", "\ud800.gguf"]
LISTINGS = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"siblings": null}',
    b'{"siblings": 1}',
    b'{"siblings": [1]}',
    b'{"siblings": [{}]}',
    b'{"siblings": [{"rfilename": 1}]}',
    b'{"siblings": [{"rfilename": null}, {"rfilename": ["x.gguf"]}]}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"siblings": ' + b"9" * 10_000 + b"}",
    PORTAL.encode(),
    b"\xff\xfe",
    json.dumps({"siblings": [{"rfilename": f"{i}.gguf"} for i in range(50_000)]}).encode(),
    *(json.dumps({"siblings": [{"rfilename": name}]}).encode() for name in NAMES),
]
NO_HTTP = [
    b"",
    b"\x16\x03\x01\x02\x00\x01",
    b"SSH-2.0-x\r\n",
    b"HTTP/1.1\r\n\r\n",
    b"HTTP/9.9 200 OK\r\n\r\n",
]
NO_HTTP += [
    b"HTTP/1.1 abc OK\r\n\r\n",
    b"\0" * 100,
    PORTAL.encode(),
    b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000,
]
NO_HTTP += [
    b"HTTP/1.1 200 OK\r\na\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
]
NO_HTTP += [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 200 " + b"x" * 200_000]


def bytes_of(status, headers):
    """The head of an answer, or nothing where it has no status."""
    names = {name.replace("-", "_"): value for name, value in headers.items()}
    return b"" if status is None else head(status, **names)


def ordinary(kind):
    """What the hub itself would send."""
    if kind == "listing":
        body = json.dumps({"siblings": [{"rfilename": NAME}]}).encode()
        return 200, {"Content-Type": "application/json", "Content-Length": len(body)}, [body]
    headers = {"ETag": f'"{DIGEST}"', "X-Linked-Size": len(CONTENT), "X-Linked-Etag": f'"{DIGEST}"'}
    return 200, {**headers, "Content-Length": len(CONTENT)}, [CONTENT] if kind == "file" else []


def refusal(draw, kind, _url):
    status, body = draw.choice(STATUSES), draw.choice(ERROR_BODIES)
    headers = {"Content-Length": len(body), "Content-Type": draw.choice(TYPES)}
    headers |= draw.choice([{}, {"X-Error-Code": draw.choice(CODES)}, {"X-Error-Message": "a\x1b[31mb"}])
    headers |= draw.choice(
        [{}, {"Retry-After": draw.choice([*NUMBERS, "7", "²", "Wed, 21 Oct 2015 07:28:00 GMT"])}]
    )
    headers |= draw.choice([{}, {"Content-Encoding": draw.choice(ENCODINGS)}])
    return status, headers, [body] if kind != "head" else []


def redirect(draw, kind, url):
    place = draw.choice([*PLACES, "same", f"{url}/other", "portal"])
    place = {"same": "", "portal": f"{url.replace('127.0.0.1', 'localhost')}/portal"}.get(place, place)
    return draw.choice([301, 302, 303, 307, 308]), {"Location": place, "Content-Length": 0}, []


def portal(draw, kind, _url):
    body = PORTAL.encode(draw.choice(["utf-8", "utf-16", "utf-7", "ascii"]), "replace")
    headers = {"Content-Type": draw.choice(TYPES), "Content-Length": len(body)}
    headers |= draw.choice([{}, {"ETag": '"portal"'}, {"ETag": f'"{"1" * 64}"'}])
    return 200, headers, [body] if kind != "head" else []


def odd_headers(draw, kind, _url):
    status, headers, body = ordinary(kind)
    choices = {
        "ETag": TAGS,
        "X-Linked-Etag": TAGS,
        "X-Linked-Size": NUMBERS,
        "Content-Length": NUMBERS,
        "Content-Encoding": ENCODINGS,
        "Content-Type": TYPES,
        "Content-Range": ["bytes 5-9/10", "bytes x", "bytes 0-*/0", ""],
        "Transfer-Encoding": ["chunked", "gzip", "chunked, chunked", "x"],
        "Connection": ["upgrade", "keep-alive", ""],
        "Set-Cookie": ["x" * 5000, "a=\x1b"],
    }
    for name in draw.sample(list(choices), k=draw.randint(1, 3)):
        headers[name] = draw.choice(choices[name])
    for name in draw.sample(list(headers), k=draw.randint(0, 1)):
        del headers[name]
    return draw.choice([status, status, 206]), headers, body


def odd_body(draw, kind, _url):
    status, headers, body = ordinary(kind)
    if kind == "listing":
        data = draw.choice(LISTINGS)
        return status, {**headers, "Content-Length": len(data)}, [data]
    data = b"".join(body) or CONTENT
    cut = draw.randrange(len(data) + 1)
    lies = [
        data[:cut],
        data[cut:],
        b"",
        data * 2,
        bytes(len(data)),
        b"GGUF" + bytes(len(data) - 4),
        PORTAL.encode(),
    ]
    bodies = [*([lie] for lie in lies), endless(), itertools.chain([b"GGUF"], endless()), endless(b"x")]
    if draw.random() < 0.5:
        headers.pop("Content-Length")
    return status, headers, draw.choice(bodies) if kind == "file" else []


def no_http(draw, _kind, _url):
    return None, {}, [draw.choice(NO_HTTP)]


KINDS = {f.__name__: f for f in (refusal, redirect, portal, odd_headers, odd_body, no_http)}


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """No pauses, no shared cache, no token."""
    monkeypatch.setattr(hub_download, "RETRY_DELAY_S", 0.0)
    monkeypatch.setattr(hub_download, "ATTEMPTS", 2)
    monkeypatch.setattr(hub_module, "REQUEST_TIMEOUT_S", 1.0)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def problem_of(error):
    """What is wrong with a refusal: it must be one short line, and so must what to do."""
    for text in (error.message, error.hint):
        if not text.isprintable() or len(text) > 600:
            return f"not one short line: {text[:300]!r}"
    return None


def outcome(reference, store):
    """What is wrong with what came of an attempt."""
    begun = time.monotonic()
    names = Registry({}, {}, {}, Defaults())
    try:
        path = fetch(resolve(reference, names, store=store, offline=False), store, progress=lambda *_: None)
    except BlendinError as error:
        problem = problem_of(error)
        if store.files():
            problem = "something was installed after a failure"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        problem = f"{type(error).__name__}: {error}"[:300]
    else:
        problem = None if path.read_bytes() == CONTENT else "another file was installed"
    if time.monotonic() - begun > MAX_SECONDS:
        problem = f"it took {time.monotonic() - begun:.0f} s"
    if store.root.exists():
        left = sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())
        problem = f"{left:,} bytes are left" if left > 2 * len(CONTENT) else problem
    return problem


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_a_hub(ledger, tmp_path, monkeypatch, kind):
    """Refusals, redirects, portals, wrong headers and bodies, and what is no HTTP, for each request."""
    with ledger.kind("answers of a hub") as trials:
        for seed in range(ledger.count(12, 150)):
            draw = random.Random(f"{kind}{seed}")
            bad = ("listing", "head", "file")[seed % 3]
            utils.close_session()

            def answer(request, draw=draw, bad=bad):
                asked = "head" if request.startswith(b"HEAD") else "file"
                asked = "listing" if b"/api/models/" in request else asked
                made = KINDS[kind](draw, asked, server.url) if asked == bad else ordinary(asked)
                status, headers, body = made
                yield bytes_of(status, headers)
                yield from body

            with raw_server(answer) as server:
                monkeypatch.setenv("HF_ENDPOINT", server.url)
                trials.record(f"{kind} {seed}", outcome(REPO, Store(tmp_path / f"{kind}{seed}")))
                if server.sent > 64 * 2**20:
                    trials.record(f"{kind} {seed}", f"{server.sent:,} bytes were taken")
    utils.close_session()


PROXIES = [
    "foo",
    "http://",
    "http://[::1",
    "socks5://127.0.0.1:1",
    "ftp://127.0.0.1:1",
    "http://127.0.0.1:99999",
]


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_proxies_that_refuse_or_make_no_sense(ledger, tmp_path, monkeypatch):
    """A proxy that asks for a login or shows a page, for both kinds of hub; addresses that are none."""
    with ledger.kind("proxies and addresses") as trials:
        for i, (status, hub) in enumerate(itertools.product([407, 403, 502, 200, 511], ["http", "https"])):
            body = PORTAL.encode("utf-16")

            def answer(_, status=status, body=body):
                yield head(status, Content_Type="text/html; charset=utf-16", Content_Length=len(body))
                yield body

            with raw_server(answer) as server:
                utils.close_session()
                monkeypatch.setenv("HTTP_PROXY", server.url)
                monkeypatch.setenv("HTTPS_PROXY", server.url)
                monkeypatch.setenv("HF_ENDPOINT", f"{hub}://hub.invalid")
                trials.record(f"{status} {hub}", outcome(REPO, Store(tmp_path / str(i))))
        for i, (name, value) in enumerate(itertools.product(["HTTP_PROXY", "HF_ENDPOINT"], PROXIES)):
            utils.close_session()
            monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
            monkeypatch.setenv("HTTP_PROXY", "")
            monkeypatch.setenv(name, value)
            trials.record(f"{name}={value}", outcome(REPO, Store(tmp_path / f"a{i}")))
    monkeypatch.delenv("HTTP_PROXY")
    monkeypatch.delenv("HTTPS_PROXY")
    utils.close_session()
