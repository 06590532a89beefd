"""Files of other programs are found under their own names, told why they cannot be used, and left alone."""

import json
import os

import pytest

from blendin_local.errors import LoadError, ModelNotFoundError
from blendin_local.models.entries import Defaults
from blendin_local.models.other_tools.find import find_other, other_models
from blendin_local.models.references import resolve
from blendin_local.models.registry import Registry
from blendin_local.models.store import Store
from tests.other_tools import MODEL, Ollama, hub_cache, link, manifest_of
from tests.toys import make_toy

EMPTY = Registry({}, {}, {}, Defaults())


@pytest.fixture
def gguf(tmp_path):
    """A small real GGUF file."""
    return make_toy(tmp_path / "toy.gguf", "plain")


@pytest.fixture
def ollama(home):
    """Ollama's folder in the home of this test."""
    return Ollama(home)


def problems():
    return {model.reference: model.problem for model in other_models()}


def open_reference(reference, tmp_path):
    return resolve(reference, EMPTY, store=Store(tmp_path / "store"), offline=True)


def test_ollama_names_are_those_that_ollama_prints(ollama, gguf, tmp_path):
    """Its own host, its own namespace and the tag `latest` may be left out; the file is the blob."""
    ollama.model("registry.ollama.ai/library/llama3.2/3b", 1, gguf)
    ollama.model("registry.ollama.ai/library/qwen3/latest", 2, gguf)
    ollama.model("registry.ollama.ai/me/mine/v1", 3, gguf)
    ollama.model("hf.co/user/repo-GGUF/Q8_0", 4, gguf)

    assert problems() == dict.fromkeys(
        [
            "ollama:hf.co/user/repo-GGUF:Q8_0",
            "ollama:llama3.2:3b",
            "ollama:qwen3:latest",
            "ollama:me/mine:v1",
        ],
        "",
    )
    [found] = [model for model in other_models() if model.reference == "ollama:llama3.2:3b"]
    assert (found.tool, found.quantization, found.size) == ("ollama", "Q4_K_M", gguf.stat().st_size)
    assert open_reference("ollama:qwen3", tmp_path).path.name.startswith("sha256-")
    assert open_reference(str(found.path), tmp_path).path == found.path


def test_newer_manifests_of_ollama_are_read(ollama, gguf):
    """A link in manifests-v2, and a list of manifests of which one is for GGUF, win over older ones."""
    layer = {"mediaType": MODEL, **ollama.blob(1, gguf)}
    mlx = {**manifest_of([], {}), "runner": "mlx", "format": "safetensors"}
    child = ollama.blob(3, json.dumps(manifest_of([layer], {})))
    many = {
        "mediaType": "application/vnd.ollama.manifest.list.v2+json",
        "manifests": [mlx, {"format": "gguf", "runner": "llamacpp", **child}],
    }
    blob = ollama.root / "blobs" / "sha256-list"
    blob.write_text(json.dumps(many))
    named = ollama.root / "manifests-v2" / "registry.ollama.ai" / "library" / "new" / "latest"
    named.parent.mkdir(parents=True)
    named.symlink_to(blob)
    ollama.manifest("registry.ollama.ai/library/new/latest", "{}")

    assert problems() == {"ollama:new:latest": ""}


def test_an_old_blob_with_a_colon_is_found(ollama, gguf):
    """Old versions of ollama wrote `sha256:…`."""
    layer = {"mediaType": MODEL, **ollama.blob(1, gguf, mark=":")}
    ollama.manifest("registry.ollama.ai/library/old/latest", manifest_of([layer], {}))

    assert problems() == {"ollama:old:latest": ""}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "its manifest is damaged"),
        ("[1]", "its manifest is damaged"),
        ("[" * 100_000, "its manifest is damaged"),
        ({"layers": "x"}, "it has no file here"),
        ({"layers": [{"mediaType": MODEL, "digest": "sha256:../../../etc/passwd"}]}, "damaged"),
        ({"layers": [{"mediaType": MODEL, "digest": f"sha256:{9:064x}"}]}, "is missing"),
        ({"layers": [{"mediaType": MODEL}, {"mediaType": MODEL}]}, "split into parts"),
        ({"layers": [{"mediaType": "application/vnd.ollama.image.tensor; name=x"}]}, "not a GGUF file"),
        (
            {"layers": [{"mediaType": MODEL}, {"mediaType": "application/vnd.ollama.image.adapter"}]},
            "adapter",
        ),
        ({"mediaType": "application/vnd.ollama.manifest.list.v2+json", "manifests": []}, "no GGUF file"),
    ],
)
def test_what_ollama_has_but_cannot_be_used_says_why(ollama, content, reason, tmp_path):
    """Damaged manifests, missing blobs, parts, adapters and other formats are told, never raised."""
    ollama.manifest("registry.ollama.ai/library/odd/latest", content)

    assert reason in problems()["ollama:odd:latest"]
    with pytest.raises(LoadError, match="cannot be used"):
        open_reference("ollama:odd", tmp_path)


def test_a_blob_that_is_no_gguf_is_told(ollama):
    """Only its first bytes are read."""
    ollama.manifest(
        "registry.ollama.ai/library/x/latest",
        manifest_of([{"mediaType": MODEL, **ollama.blob(1, "ggml old")}], {}),
    )

    assert "is not a GGUF file" in problems()["ollama:x:latest"]


def test_the_folder_of_ollama_can_be_moved(ollama, gguf, home, monkeypatch, tmp_path):
    """OLLAMA_MODELS replaces the folder in the home directory."""
    ollama.model("registry.ollama.ai/library/here/latest", 1, gguf)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "elsewhere"))

    assert problems() == {}


def test_lm_studio_files_are_found_where_it_keeps_them(home, gguf, tmp_path):
    """In its folder, in the older one, where its home was moved, and where its settings put them."""
    link(gguf, home / ".lmstudio" / "models" / "pub" / "repo" / "a-Q8_0.gguf")
    link(gguf, home / ".cache" / "lm-studio" / "models" / "pub" / "repo" / "b.gguf")
    link(gguf, tmp_path / "moved" / "models" / "pub" / "repo" / "c.gguf")
    (home / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'moved'}\n")
    link(gguf, tmp_path / "disk" / "pub" / "repo" / "d.gguf")
    (tmp_path / "moved" / "settings.json").write_text(json.dumps({"downloadsFolder": str(tmp_path / "disk")}))

    assert problems() == {f"lmstudio:pub/repo/{name}.gguf": "" for name in ("d", "c", "a-Q8_0", "b")}
    assert open_reference("lmstudio:pub/repo/a-Q8_0.gguf", tmp_path).tool == "LM Studio"
    assert find_other("lmstudio:pub/repo/a-Q8_0.gguf").quantization == "Q8_0"


def test_split_files_and_projectors_are_told(home, gguf):
    """A split model is one line with the size of all parts; a missing part and a projector are told."""
    folder = home / ".lmstudio" / "models" / "pub" / "repo"
    for name in ("whole-00001-of-00002", "whole-00002-of-00002", "half-00001-of-00002", "mmproj-f16"):
        link(gguf, folder / f"{name}.gguf")

    found = {model.reference.rpartition("/")[2]: model for model in other_models()}
    assert found["whole-00001-of-00002.gguf"].size == 2 * gguf.stat().st_size
    assert not found["whole-00001-of-00002.gguf"].problem
    assert "half-00002-of-00002.gguf is missing" in found["half-00001-of-00002.gguf"].problem
    assert "projector" in found["mmproj-f16.gguf"].problem
    assert len(found) == 3


def test_both_forms_of_the_llama_cpp_cache_are_found(home, gguf, monkeypatch, tmp_path):
    """Flat files, as llama.cpp wrote them first, and a cache like that of Hugging Face below LLAMA_CACHE."""
    link(gguf, home / ".cache" / "llama.cpp" / "user_repo_file.gguf")
    assert problems() == {"llama.cpp:user_repo_file.gguf": ""}

    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "cache"))
    hub_cache(tmp_path / "cache", "user/repo", "file-Q4_0.gguf", gguf)
    assert problems() == {"llama.cpp:user/repo/file-Q4_0.gguf": ""}
    assert open_reference("llama.cpp:user/repo/file-Q4_0.gguf", tmp_path).path.exists()


def test_the_hugging_face_cache_is_listed_and_used(home, gguf, tmp_path, monkeypatch):
    """Files are listed by their reference; `user/repo` finds one without the network."""
    hub_cache(home / ".cache" / "huggingface" / "hub", "user/repo", "file-Q4_0.gguf", gguf)
    hub_cache(home / ".cache" / "huggingface" / "hub", "user/other", "x.gguf", gguf, ref="dev")

    assert problems() == {"hf://user/repo/file-Q4_0.gguf": "", "hf://user/other@dev/x.gguf": ""}
    assert open_reference("user/repo", tmp_path).path.name == "file-Q4_0.gguf"
    assert open_reference("user/repo:Q4_0", tmp_path).path.name == "file-Q4_0.gguf"
    with pytest.raises(ModelNotFoundError, match="downloads are off"):
        open_reference("user/repo:Q8_0", tmp_path)


def test_a_folder_that_two_programs_share_is_listed_once(home, gguf, monkeypatch, tmp_path):
    """LLAMA_CACHE and HF_HUB_CACHE may name the same directory."""
    hub_cache(tmp_path / "hub", "user/repo", "file.gguf", gguf)
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    assert problems() == {"llama.cpp:user/repo/file.gguf": ""}


def test_folders_that_are_missing_closed_or_no_folders_are_passed_over(home, gguf):
    """A machine without these programs has no such models, a file in a folder's place is no error."""
    assert other_models() == []
    (home / ".ollama").mkdir()
    (home / ".ollama" / "models").write_text("a file")
    (home / ".lmstudio").write_text("a file")
    assert other_models() == []
    closed = home / ".cache" / "llama.cpp"
    link(gguf, closed / "x.gguf")
    closed.chmod(0)
    assert [model.problem for model in other_models()] == [] or os.geteuid() == 0
    closed.chmod(0o700)


def test_nothing_is_written_to_the_folders_of_others(ollama, gguf, home, tmp_path):
    """Finding, resolving and describing leave every file and time as they were."""
    ollama.model("registry.ollama.ai/library/m/latest", 1, gguf)
    link(gguf, home / ".lmstudio" / "models" / "p" / "r" / "a.gguf")
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}

    other_models()
    for reference in ("ollama:m", "lmstudio:p/r/a.gguf"):
        open_reference(reference, tmp_path)

    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_an_unknown_model_of_a_program_offers_the_near_one(ollama, gguf, tmp_path):
    """Also when the program's name was left out."""
    ollama.model("registry.ollama.ai/library/llama3.2/3b", 1, gguf)
    for typed in ("ollama:lama3.2:3b", "llama3.2", "llama3.2:3b"):
        with pytest.raises(ModelNotFoundError) as caught:
            open_reference(typed, tmp_path)
        assert "ollama:llama3.2:3b" in caught.value.hint
