"""Kept tables equal those that llama.cpp gives, and whatever is wrong with a file of them is no trouble."""

import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blendin_local.engine import vocabulary_cache
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.model import open_vocabulary
from blendin_local.engine.vocabulary_cache import VocabularyCache, vocabulary_key
from blendin_local.engine.vocabulary_tables import TokenReader, agrees
from blendin_local.files import PRIVATE_MODE
from tests.paths import ROOT, VOCABS
from tests.toys import make_toy

FAMILIES = ("llama-bpe", "qwen2", "llama-spm", "gpt-2", "phi-3")
DEMO = ("demo_base", "demo_guide")


@pytest.fixture
def cache(tmp_path):
    return VocabularyCache(tmp_path / "vocabularies")


@pytest.fixture
def toy(tmp_path):
    return make_toy(tmp_path / "toy.gguf", "plain", special={"<|im_end|>": 3, "<tool_call>": 4})


@pytest.fixture(params=[*FAMILIES, *(pytest.param(name, marks=pytest.mark.model) for name in DEMO)])
def family_path(request):
    """A file with a real vocabulary: one of five families, or of the demo pair."""
    if request.param in DEMO:
        return request.getfixturevalue(f"{request.param}_path")
    path = VOCABS / f"ggml-vocab-{request.param}.gguf"
    if not path.exists():
        pytest.skip(f"{path.name} is not here: vocabulary files are not part of the repository")
    return path


@pytest.fixture
def readings(monkeypatch):
    """How many vocabularies were read from llama.cpp, token by token."""
    counted = []
    read = vocabulary_cache.read_tables
    monkeypatch.setattr(vocabulary_cache, "read_tables", lambda *given: counted.append(given) or read(*given))
    return counted


def facts(path, cache=None):
    """All that a vocabulary says of its tokens."""
    with open_vocabulary(path, cache and cache.entry(read_header(path))) as vocabulary:
        table = vocabulary.token_table
        arrays = (table.speakable, table.silent_ids, table.end_ids, table.duplicate_ids, table.canonical_ids)
        return {
            "pieces": list(vocabulary.pieces),
            "candidates": list(table.pieces),
            "arrays": [(each.dtype, each.tolist()) for each in arrays],
            "ends": vocabulary.end_ids,
            "end tokens": vocabulary.end_tokens,
            "fallback": vocabulary.fallback_ids,
            "markup": vocabulary.markup_ids,
            "control strings": vocabulary.control_strings,
            "boundaries": [vocabulary.is_boundary(bytes([i, 0x20]), 1) for i in range(128)],
        }


def kept_file(cache):
    [path] = cache.directory.iterdir()
    return path


def test_kept_tables_equal_fresh_ones(family_path, cache, readings):
    """The second opening reads no token, and knows of every token what the first one knew."""
    fresh = facts(family_path)

    assert facts(family_path, cache) == fresh
    assert len(readings) == 1
    assert facts(family_path, cache) == fresh
    assert len(readings) == 1


def test_pieces_are_what_llama_cpp_says(family_vocabulary):
    """Every token's bytes, attributes and end are those that llama.cpp gives for it alone."""
    tables = family_vocabulary._tables
    reader = TokenReader(family_vocabulary._api, family_vocabulary._vocab)
    for token in range(0, family_vocabulary.n_tokens, 97):
        assert [tables.pieces[token]] == reader.pieces([token])
        assert [tables.attributes[token]] == reader.attributes([token])
        assert (token in family_vocabulary.end_ids) == bool(reader.ends([token]))


def test_a_changed_file_of_equal_length_has_other_tables(toy, cache):
    """One byte of one token makes another vocabulary, though name, length and times stay."""
    before, status = facts(toy, cache), toy.stat()
    toy.write_bytes(toy.read_bytes().replace("▁hell".encode(), "▁helm".encode(), 1))
    os.utime(toy, ns=(status.st_atime_ns, status.st_mtime_ns))

    after = facts(toy, cache)

    assert toy.stat().st_size == status.st_size
    assert (b" hell" in before["pieces"], b" helm" in after["pieces"]) == (True, True)
    assert b" hell" not in after["pieces"]


def test_the_name_of_a_file_does_not_matter(toy, cache, readings):
    """The same content under another name finds its tables."""
    facts(toy, cache)
    facts(toy.rename(toy.with_name("renamed.gguf")), cache)

    assert len(readings) == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["change", "cut", "add", "empty"]),
    place=st.floats(0, 1, exclude_max=True),
    byte=st.integers(1, 255),
)
def test_a_damaged_file_is_made_again(toy, cache, kind, place, byte):
    """Wherever a byte is changed, cut off or added, tables are right, and right the next time."""
    fresh = facts(toy, cache)
    path = kept_file(cache)
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    if kind == "change":
        content[at] ^= byte
    elif kind == "add":
        content.insert(at, byte)
    else:
        del content[0 if kind == "empty" else at :]
    path.write_bytes(content)

    assert facts(toy, cache) == fresh
    assert facts(toy, cache) == fresh
    path.unlink()


def test_a_file_cut_short_is_made_again(toy, cache, readings):
    """It is read once more, and found the time after."""
    fresh = facts(toy, cache)
    path = kept_file(cache)
    path.write_bytes(path.read_bytes()[:-1])

    assert [facts(toy, cache), facts(toy, cache)] == [fresh, fresh]
    assert len(readings) == 2


def test_tables_of_another_model_under_its_name_are_not_used(toy, tmp_path, cache, readings):
    """A file that was renamed says whose it is; one that says the wrong thing does not fit the model."""
    other = make_toy(tmp_path / "other.gguf", "plain", special={"<think>": 4})
    fresh, _ = facts(toy, cache), facts(other, cache)
    key, other_key = (vocabulary_key(read_header(path)) for path in (toy, other))
    foreign = cache.load(other_key)
    (cache.directory / f"{other_key}.npz").replace(cache.directory / f"{key}.npz")

    assert cache.load(key) is None
    assert facts(toy, cache) == fresh
    cache.keep(key, foreign)
    assert facts(toy, cache) == fresh
    assert len(readings) == 4


@pytest.mark.parametrize("name", ["FORMAT", "VERSION", "__version__"])
def test_another_version_reads_again(toy, cache, readings, monkeypatch, name):
    """What an older or newer program or llama.cpp kept is left alone."""
    fresh = facts(toy, cache)
    monkeypatch.setattr(vocabulary_cache, name, "another")

    assert facts(toy, cache) == fresh
    assert len(readings) == 2
    assert len(list(cache.directory.iterdir())) == 2


def test_another_llama_cpp_keeps_nothing(toy, cache, monkeypatch):
    """Where a library replaces the package's, nobody knows which one it is next time."""
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", "/elsewhere")
    facts(toy, cache)

    assert not cache.directory.exists()


def test_tables_that_point_outside_are_not_used(toy, cache, readings):
    """Numbers that refer to no byte or token are noticed, even in a file that is whole."""
    fresh, key = facts(toy, cache), vocabulary_key(read_header(toy))
    path = kept_file(cache)
    good = dict(np.load(path))
    n_tokens, size = len(good["attributes"]), len(good["joined"])
    wrong = {
        "offsets": [good["offsets"][:-1], np.flip(good["offsets"]), good["offsets"] + np.uint32(size)],
        "attributes": [good["attributes"][:-1], good["attributes"].astype("u8")],
        "ends": [np.array([n_tokens], "u4"), np.array([[1]], "u4"), np.array(["a"])],
        "duplicates": [np.array([[0, n_tokens]], "u4"), np.array([1, 2], "u4")],
        "joined": [good["joined"][:-1]],
        "key": [good["key"][:-1], np.array([None], dtype=object)],
    }
    for name, values in wrong.items():
        for value in values:
            np.savez(path, **{**good, name: value})
            assert cache.load(key) is None, (name, value)
    assert facts(toy, cache) == fresh


def test_an_unwritable_place_is_no_error(toy, tmp_path):
    """Where the directory cannot be made, tables are read each time."""
    (tmp_path / "file").write_text("no directory")

    assert facts(toy, VocabularyCache(tmp_path / "file" / "vocabularies")) == facts(toy)


def test_files_are_private_and_few(toy, cache, monkeypatch):
    """Only the owner can read them; the least recently used are removed."""
    monkeypatch.setattr(vocabulary_cache, "MAX_FILES", 3)
    facts(toy, cache)
    key = vocabulary_key(read_header(toy))
    tables = cache.load(key)
    for i in range(5):
        time.sleep(0.02)
        assert cache.load(key) is not None  # used: it stays
        time.sleep(0.02)
        cache.keep(f"{i:064d}", tables)

    left = sorted(path.stem for path in cache.directory.iterdir())
    assert left == sorted([f"{3:064d}", f"{4:064d}", key])
    if os.name != "nt":
        assert {path.stat().st_mode & 0o777 for path in cache.directory.iterdir()} == {PRIVATE_MODE}


WRITER = """
import sys
from pathlib import Path
from blendin_local.engine.gguf.header import read_header
from blendin_local.engine.model import open_vocabulary
from blendin_local.engine.vocabulary_cache import VocabularyCache, vocabulary_key
path, cache = Path(sys.argv[1]), VocabularyCache(Path(sys.argv[2]))
header = read_header(path)
with open_vocabulary(path, cache.entry(header)) as vocabulary:
    for _ in range(20):
        cache.keep(vocabulary_key(header), vocabulary._tables)
        kept = cache.load(vocabulary_key(header))
        assert list(kept.pieces) == list(vocabulary.pieces)
"""


@pytest.mark.slow
def test_two_processes_write_at_once(toy, cache):
    """Each of them, and whoever comes later, finds whole tables; nothing else is left behind."""
    command = [sys.executable, "-c", WRITER, str(toy), str(cache.directory)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [subprocess.Popen(command, env=environment) for _ in range(2)]

    assert [process.wait() for process in processes] == [0, 0]
    assert facts(toy, cache) == facts(toy)
    assert kept_file(cache).suffix == ".npz"


def test_a_file_replaced_while_it_is_loaded_keeps_nothing(toy, tmp_path, cache):
    """Tables of what was loaded are not kept for what is there now."""
    entry = cache.entry(read_header(toy))
    with open_vocabulary(toy, entry) as vocabulary:
        pieces = list(vocabulary.pieces)
    for path in cache.directory.iterdir():
        path.unlink()
    entry = cache.entry(read_header(toy))
    make_toy(toy, "plain", special={"<|im_start|>": 3, "<think>": 4})

    with open_vocabulary(toy, entry) as vocabulary:
        assert list(vocabulary.pieces) != pieces
    assert list(cache.directory.iterdir()) == []


def test_a_few_tokens_show_that_tables_do_not_fit(family_vocabulary):
    """Another length, another end, or other bytes of a token that is compared."""
    vocabulary = family_vocabulary
    reader, tables = TokenReader(vocabulary._api, vocabulary._vocab), vocabulary._tables

    assert agrees(tables, reader, vocabulary.n_tokens)
    assert not agrees(tables, reader, vocabulary.n_tokens + 1)
    wrong = {
        "pieces": tables.pieces.emptied(np.arange(vocabulary.n_tokens)),
        "attributes": tables.attributes + 1,
        "end_ids": np.append(0, tables.end_ids),
    }
    for name, value in wrong.items():
        assert not agrees(replace(tables, **{name: value}), reader, vocabulary.n_tokens), name
