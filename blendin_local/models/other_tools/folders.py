"""The folders of programs that keep models as plain .gguf files: LM Studio, llama.cpp, Hugging Face.

Here: `lm_studio_models`, `llama_cpp_models`, `hub_cache_models`, `hub_cache_files`.
Not here: ollama (`models.other_tools.ollama`), the own cache of this program (`models.store`).
Sources: LM Studio's documentation of its folder (`publisher/model/file.gguf`); llama.cpp's
common/hf-cache.cpp and, for the older flat cache, common/common.cpp; huggingface_hub's description of its
cache (`models--user--repo`: `refs` name commits, `snapshots/COMMIT` holds links to the files).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from blendin_local.errors import UsageError
from blendin_local.models.other_tools.found import OtherModel, inspected, listing
from blendin_local.models.quantizations import is_later_part
from blendin_local.paths import expand_user, is_file, read_text

HUB_TOOL = "Hugging Face"
_LEVELS = ("*.gguf", "*/*.gguf", "*/*/*.gguf", "*/*/*/*.gguf")  # no deeper: links may form loops


def lm_studio_models(env: Mapping[str, str], home: Path) -> Iterator[OtherModel]:
    """The models in LM Studio's folder, which may have been moved."""
    del env  # LM Studio has files where others have environment variables
    seen: set[Path] = set()
    for folder in _lm_studio_folders(home):
        for path in _first_parts(folder, *_LEVELS):
            if path not in seen:
                seen.add(path)
                yield inspected(f"lmstudio:{path.relative_to(folder).as_posix()}", "LM Studio", path)


def _lm_studio_folders(home: Path) -> list[Path]:
    pointed = _text(home / ".lmstudio-home-pointer").strip()
    homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    homes = ([Path(pointed)] if pointed else []) + homes
    moved = [Path(folder) for each in homes if (folder := _downloads_folder(each / "settings.json"))]
    return list(dict.fromkeys([*moved, *(each / "models" for each in homes)]))


def _downloads_folder(settings: Path) -> str:
    """Where LM Studio's settings put models; empty if they do not say."""
    try:
        found = json.loads(_text(settings) or "{}").get("downloadsFolder", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return found if isinstance(found, str) and Path(found).is_absolute() else ""


def llama_cpp_models(env: Mapping[str, str], home: Path) -> Iterator[OtherModel]:
    """The models in llama.cpp's own cache: flat, or (newer, with LLAMA_CACHE) like that of Hugging Face."""
    folder = _llama_cpp_folder(env, home)
    for path in _first_parts(folder, "*.gguf"):
        yield inspected(f"llama.cpp:{path.name}", "llama.cpp", path)
    for repo, _, file, path in _hub_files(folder):
        yield inspected(f"llama.cpp:{repo}/{file}", "llama.cpp", path)


def _llama_cpp_folder(env: Mapping[str, str], home: Path) -> Path:
    if named := env.get("LLAMA_CACHE"):
        return expand_user(named)
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "llama.cpp"
    if sys.platform == "win32" and (local := env.get("LOCALAPPDATA")):
        return Path(local) / "llama.cpp"
    return Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "llama.cpp"


def hub_cache_models(env: Mapping[str, str], home: Path) -> Iterator[OtherModel]:
    """The GGUF files in the cache that huggingface_hub and newer versions of llama.cpp share."""
    for repo, revision, file, path in _hub_files(_hub_folder(env, home)):
        at = "" if revision == "main" else f"@{revision}"
        yield inspected(f"hf://{repo}{at}/{file}", HUB_TOOL, path)


def hub_cache_files(env: Mapping[str, str], home: Path, repo: str) -> dict[str, Path]:
    """The usable files of one repository's main branch in that cache, by their names in it."""
    folder = f"models--{repo.replace('/', '--')}"
    found = _hub_files(_hub_folder(env, home), folder)
    files = {file: inspected(file, HUB_TOOL, path) for _, revision, file, path in found if revision == "main"}
    return {file: each.path for file, each in files.items() if each.path and not each.problem}


def _hub_folder(env: Mapping[str, str], home: Path) -> Path:
    for name, inside in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if named := env.get(name):
            return expand_user(named) / inside
    return Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface" / "hub"


def _hub_files(folder: Path, repo: str = "models--*") -> Iterator[tuple[str, str, str, Path]]:
    """Repository, branch, name in it and path of every model file; of each repository one branch."""
    for place in listing(folder, repo):
        name = place.name.removeprefix("models--").replace("--", "/")
        for ref in sorted(listing(place / "refs", "*"), key=lambda ref: (ref.name != "main", ref.name)):
            snapshot = place / "snapshots" / (_text(ref).strip() or "-")
            if snapshot.parent == place / "snapshots" and snapshot.is_dir():
                for path in _first_parts(snapshot, *_LEVELS):
                    yield name, ref.name, path.relative_to(snapshot).as_posix(), path
                break


def _first_parts(folder: Path, *patterns: str) -> list[Path]:
    return [path for path in listing(folder, *patterns) if not is_later_part(path.name)]


def _text(path: Path) -> str:
    try:
        return read_text(path) if is_file(path) else ""
    except UsageError:
        return ""
