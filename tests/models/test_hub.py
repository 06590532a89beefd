"""Files of the hub come whole or not at all, go on where they broke off, and refusals say what to do."""

import errno
import os
import random
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import namedtuple
from pathlib import Path

import pytest
from huggingface_hub import constants

from blendin_local.errors import FetchError, ModelNotFoundError
from blendin_local.models import hub_download
from blendin_local.models.entries import Defaults, HubSource, ModelEntry
from blendin_local.models.fetch import fetch
from blendin_local.models.licenses import license_text
from blendin_local.models.references import resolve
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from tests.models.fake_hub import start_hub

CONTENT = b"GGUF" + random.Random(1).randbytes(600_000)
NAME = "toy-Q4_K_M.gguf"
REPO = "user/toy-GGUF"
NO_NAMES = Registry({}, {}, {}, Defaults())


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A loopback hub in place of the real one, with one model."""
    server, stop = start_hub()
    server.files[REPO] = {NAME: CONTENT, "mmproj-toy-F16.gguf": b"GGUF projector", "README.md": b"hello"}
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    for name in (
        "HF_HUB_OFFLINE",
        "HF_TOKEN",
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(hub_download, "RETRY_DELAY_S", 0.0)
    monkeypatch.setattr(hub_download, "ATTEMPTS", 1)
    yield server
    stop()


def get(reference, store, seen=None, notes=None):
    resolved = resolve(reference, NO_NAMES, store=store, offline=False)
    report = (lambda done, total: seen.append((done, total))) if seen is not None else (lambda *_: None)
    return fetch(resolved, store, progress=report, note=(notes if notes is not None else []).append)


def nothing_is_installed(store):
    return store.files() == []


def test_a_file_is_fetched_whole_and_once(hub, store):
    """The bytes are those of the hub, progress ends at its total, and the next look-up needs no network."""
    seen = []
    path = get(f"hf://{REPO}/{NAME}", store, seen)
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    asked = len(hub.requests)
    assert resolve(f"hf://{REPO}/{NAME}", NO_NAMES, store=store, offline=True).path == path
    assert get(f"hf://{REPO}/{NAME}", store) == path
    assert len([request for request in hub.requests[asked:] if request[0] == "GET"]) == 0


def test_a_repository_stands_for_its_default_quantization(hub, store):
    """Without a file named, Q4_K_M is taken, a projector never, and what was taken is said."""
    hub.files[REPO]["toy-Q8_0.gguf"] = b"GGUF eight"
    notes = []
    path = get(REPO, store, notes=notes)
    assert path.name == NAME
    assert NAME in notes[0]
    assert resolve(REPO, NO_NAMES, store=store, offline=True).path == path


def test_a_missing_quantization_lists_the_choices(hub, store):
    """What was asked for is not there: the message says what is."""
    with pytest.raises(ModelNotFoundError, match="Q2_K") as caught:
        get(f"{REPO}:Q2_K", store)
    assert caught.value.hint == "available: Q4_K_M"


def test_a_split_model_is_fetched_whole(hub, store):
    """All parts arrive beside each other, and the first one is what is loaded."""
    names = [f"big/big-Q8_0-{i:05d}-of-00003.gguf" for i in (1, 2, 3)]
    hub.files["user/big"] = {name: b"GGUF" + bytes([i]) * 1000 for i, name in enumerate(names)}
    seen = []
    path = get("user/big", store, seen)
    assert path.name == "big-Q8_0-00001-of-00003.gguf"
    assert [other.name for other in sorted(path.parent.iterdir())] == [Path(name).name for name in names]
    assert seen[-1] == (3012, 3012)


def test_a_broken_download_goes_on_where_it_stopped(hub, store):
    """After a break at one half the second run transfers at most 51 % of the file."""
    hub.cut_after = len(CONTENT) // 2
    with pytest.raises(FetchError, match="could not be reached") as caught:
        get(f"hf://{REPO}/{NAME}", store)
    assert f"of 0.6 MB; blendin pull hf://{REPO}/{NAME} goes on from there" in caught.value.hint
    assert nothing_is_installed(store)
    hub.cut_after, hub.sent = None, 0
    assert get(f"hf://{REPO}/{NAME}", store).read_bytes() == CONTENT
    assert hub.sent <= 0.51 * len(CONTENT)


@pytest.mark.slow
def test_a_killed_process_leaves_its_bytes_to_the_next(hub, store):
    """A kill -9 in the middle: what is on disk is not asked for again."""
    hub.files[REPO][NAME] = big = b"GGUF" + random.Random(2).randbytes(30_000_000)
    code = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from blendin_local.models.entries import Defaults
        from blendin_local.models.fetch import fetch
        from blendin_local.models.references import resolve
        from blendin_local.models.registry import Registry
        from blendin_local.models.store import Store
        store = Store(Path({str(store.root)!r}))
        def slow(done, total):
            if done > total * 0.5:
                print("half", flush=True)
                time.sleep(60)
        names = Registry({{}}, {{}}, {{}}, Defaults())
        fetch(resolve("hf://{REPO}/{NAME}", names, store=store, offline=False), store, progress=slow)
        """)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"half\n"
    process.kill()
    process.communicate()
    assert nothing_is_installed(store)
    time.sleep(0.1)
    hub.sent = 0
    assert get(f"hf://{REPO}/{NAME}", store).read_bytes() == big
    assert hub.sent <= 0.51 * len(big)


def test_a_break_within_a_run_is_retried(hub, store, monkeypatch):
    """As long as bytes keep coming, a broken connection is not the user's business."""
    monkeypatch.setattr(hub_download, "ATTEMPTS", 2)
    hub.cut_after = 100_000
    assert get(f"hf://{REPO}/{NAME}", store).read_bytes() == CONTENT


def test_a_server_without_ranges_is_believed(hub, store):
    """200 instead of 206 starts the file anew instead of doubling its beginning."""
    hub.cut_after = 300_000
    with pytest.raises(FetchError):
        get(f"hf://{REPO}/{NAME}", store)
    hub.cut_after, hub.ignore_range = None, True
    assert get(f"hf://{REPO}/{NAME}", store).read_bytes() == CONTENT


def test_a_file_that_changed_on_the_hub_is_fetched_anew(hub, store):
    """Bytes of the old file are never joined with those of the new one."""
    hub.cut_after = 300_000
    with pytest.raises(FetchError):
        get(f"hf://{REPO}/{NAME}", store)
    hub.files[REPO][NAME] = other = b"GGUF" + random.Random(3).randbytes(500_000)
    hub.cut_after = None
    assert get(f"hf://{REPO}/{NAME}", store).read_bytes() == other


def test_ctrl_c_says_how_much_is_kept(hub, store):
    """In its text, with the command that goes on from there."""

    def stop(done, total):
        if done > 200_000:
            raise KeyboardInterrupt

    resolved = resolve(f"hf://{REPO}/{NAME}", NO_NAMES, store=store, offline=False)
    with pytest.raises(KeyboardInterrupt) as caught:
        fetch(resolved, store, progress=stop)
    assert re.fullmatch(r"kept 0\.\d of 0\.6 MB; blendin pull hf://\S+ goes on from there", str(caught.value))
    hub.sent = 0
    assert fetch(resolved, store, progress=lambda *_: None).read_bytes() == CONTENT
    assert hub.sent < len(CONTENT) - 200_000


@pytest.mark.parametrize(
    ("card", "text"),
    [
        ({"cardData": {"license": "apache-2.0"}}, "apache-2.0, according to the Hub"),
        ({"cardData": {"license": "other", "license_name": "gemma"}}, "gemma, according to the Hub"),
        ({"cardData": None, "tags": ["gguf", 3, "license:mit"]}, "mit, according to the Hub"),
        ({"cardData": {"license": ["a"]}, "tags": "x"}, "the Hub names no licence"),
        ({"cardData": {"license": "a\x1b[2J"}}, "the Hub names no licence"),
    ],
)
def test_the_licence_of_a_repository_is_that_of_its_description(hub, store, card, text):
    """One request; what is no licence counts as none."""
    hub.card = card
    resolved = resolve(REPO, NO_NAMES, store=store, offline=False)
    assert license_text(resolved) == f"{REPO}: {text}"


def test_a_licence_that_cannot_be_looked_up_is_no_error(hub, store):
    """The question is asked all the same."""
    hub.refuse = (500, {})
    resolved = resolve(REPO, NO_NAMES, store=store, offline=False)
    assert "could not be looked up" in license_text(resolved)


def test_a_flipped_byte_is_an_error_and_nothing_is_installed(hub, store):
    """The checksum of the hub decides; a later run starts from nothing."""
    hub.lie = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(FetchError, match="sha256"):
        get(f"hf://{REPO}/{NAME}", store)
    assert nothing_is_installed(store)
    assert not list((store.root / "unfinished").rglob("*.part"))
    hub.lie = None
    assert get(f"hf://{REPO}/{NAME}", store).read_bytes() == CONTENT


def test_what_is_no_model_is_not_installed(hub, store):
    """A file that does not begin like a GGUF is refused even where its checksum is right."""
    hub.files[REPO][NAME] = b"GGML" + bytes(100)
    with pytest.raises(FetchError, match="not a GGUF"):
        get(f"hf://{REPO}/{NAME}", store)
    assert nothing_is_installed(store)


@pytest.mark.parametrize(
    ("answer", "said", "hint"),
    [
        ((401, {"X-Error-Code": "GatedRepo"}), "is gated", "accept them"),
        ((403, {"X-Error-Code": "GatedRepo"}), "is gated", "hf auth login"),
        ((401, {}), "valid token", "hf auth login"),
        ((403, {}), "HTTP 403", "token"),
        ((404, {"X-Error-Code": "RepoNotFound"}), "no repository user/toy-GGUF", "name"),
        ((404, {"X-Error-Code": "RevisionNotFound"}), "no revision", "@"),
        ((404, {"X-Error-Code": "EntryNotFound"}), f"no file {NAME}", "blendin pull"),
        ((429, {"Retry-After": "7"}), "too many requests", "7 seconds"),
        ((500, {}), "server error of the Hub", "later"),
        ((503, {}), "server error of the Hub", "later"),
    ],
)
def test_refusals_of_the_hub_say_what_to_do(hub, store, answer, said, hint):
    """One line with the repository, and the next step; nothing is installed."""
    hub.refuse = answer
    with pytest.raises(FetchError, match=said) as caught:
        get(f"hf://{REPO}/{NAME}", store)
    assert "\n" not in caught.value.message
    assert REPO in caught.value.message
    assert hint in caught.value.hint
    assert nothing_is_installed(store)


def test_a_redirect_to_another_server_is_followed_without_the_token(hub, store, monkeypatch):
    """Large files lie elsewhere: ranges work there too, and the token stays with the hub."""
    elsewhere, stop = start_hub()
    try:
        elsewhere.files = hub.files
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        hub.redirect, hub.url = True, elsewhere.url.replace("127.0.0.1", "localhost")
        elsewhere.cut_after = 300_000
        with pytest.raises(FetchError):
            get(f"hf://{REPO}/{NAME}", store)
        elsewhere.cut_after = None
        assert get(f"hf://{REPO}/{NAME}", store).read_bytes() == CONTENT
    finally:
        stop()
    assert [request[2] for request in elsewhere.requests] == [None, "bytes=300000-"]
    assert {request[3] for request in hub.requests} == {"Bearer hf_secret"}
    assert {request[3] for request in elsewhere.requests} == {None}


def test_a_full_disk_is_said(hub, store, monkeypatch):
    """Before the transfer by asking, in the middle of it by its failure; the part stays."""
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: usage(0, 0, 1000))
        with pytest.raises(FetchError, match="1,000 free"):
            get(f"hf://{REPO}/{NAME}", store)

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(hub_download._Transfer, "_receive", full)
    with pytest.raises(FetchError, match="is full") as caught:
        get(f"hf://{REPO}/{NAME}", store)
    assert "BLENDIN_CACHE" in caught.value.hint


def test_two_pullers_fetch_once(hub, store):
    """The second waits for the first and finds the file."""
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(get(f"hf://{REPO}/{NAME}", Store(store.root))))
        for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(paths) == 2
    assert hub.sent == len(CONTENT)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_offline_opens_no_connection_at_all(hub, store, monkeypatch, way):
    """Neither the option nor the variable lets a single connection be tried."""
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened"))
    if way == "option":
        with pytest.raises(ModelNotFoundError, match="offline"):
            resolve(REPO, NO_NAMES, store=store, offline=True)
    else:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(ModelNotFoundError, match="HF_HUB_OFFLINE"):
            get(REPO, store)
    assert hub.requests == []


def test_a_hub_that_cannot_be_reached_is_said(hub, store, monkeypatch):
    """No server at all: one line, and what came so far is kept."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FetchError, match="could not be reached") as caught:
        get(REPO, store)
    assert "network" in caught.value.hint
    assert hub.requests == []


def test_the_shared_cache_of_the_hub_is_used(hub, store, tmp_path):
    """A file that another program fetched is not fetched again."""
    folder = tmp_path / "hub cache" / "models--user--toy-GGUF"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    there = folder / "snapshots" / ("0" * 40) / NAME
    there.write_bytes(CONTENT)
    assert resolve(f"hf://{REPO}/{NAME}", NO_NAMES, store=store, offline=True).path == there
    assert hub.requests == []


def test_a_checksum_of_the_registry_counts_more_than_the_hubs(hub, store):
    """An entry that names a sha256 is not satisfied with another file of the hub."""
    entry = ModelEntry("toy", (HubSource(REPO, NAME),), sha256="0" * 64)
    registry = Registry({"toy": entry}, {}, {}, Defaults())
    with pytest.raises(FetchError, match="sha256"):
        fetch(resolve("toy", registry, store=store, offline=False), store, progress=lambda *_: None)
    assert nothing_is_installed(store)


@pytest.mark.parametrize("start", [b"<html>", b"\r\n<!DOCTYPE html>", "\ufeff<html>".encode("utf-16-le")])
def test_a_login_page_instead_of_a_model_is_said(hub, store, start):
    """A captive portal that answers as if it had the file: what to do is said, and nothing is kept."""
    hub.lie = start + bytes(len(CONTENT) - len(start))
    with pytest.raises(FetchError, match="is not from the Hub") as caught:
        get(f"hf://{REPO}/{NAME}", store)
    assert "login page" in caught.value.hint
    assert not list((store.root / "unfinished").rglob("*.part"))
