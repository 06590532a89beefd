"""Folders of other programs, written as those programs do, with links to a real GGUF file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

MODEL = "application/vnd.ollama.image.model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
VARIABLES = (
    "OLLAMA_MODELS",
    "LLAMA_CACHE",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "XDG_CACHE_HOME",
)


def link(target: Path, path: Path) -> Path:
    """The file under another name; a hard link where the disk allows, so that it counts as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(target, path)
    except OSError:
        path.symlink_to(target)
    return path


def digest(number: int) -> str:
    """A checksum that no file has, as ollama names a blob."""
    return f"{number:064x}"


class Ollama:
    """ollama's folder in a home directory."""

    def __init__(self, home: Path) -> None:
        self.root = home / ".ollama" / "models"

    def blob(self, number: int, content: Path | str, mark: str = "-") -> dict[str, str]:
        """A file named by its checksum; the layer that points to it."""
        path = self.root / "blobs" / f"sha256{mark}{digest(number)}"
        if isinstance(content, Path):
            link(content, path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return {"digest": f"sha256:{digest(number)}"}

    def manifest(self, name: str, content: object, folder: str = "manifests") -> Path:
        """A manifest under `HOST/NAMESPACE/NAME/TAG`."""
        path = self.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def model(self, name: str, number: int, gguf: Path, kinds: Sequence[str] = (MODEL,)) -> None:
        """A model of one GGUF file, with a configuration that names its number format."""
        config = self.blob(number + 1000, json.dumps({"model_format": "gguf", "file_type": "Q4_K_M"}))
        layer = self.blob(number, gguf)
        self.manifest(name, manifest_of([{"mediaType": kind, **layer} for kind in kinds], config))


def manifest_of(layers: Sequence[Mapping[str, str]], config: Mapping[str, str]) -> dict[str, object]:
    """What ollama writes for a model."""
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **config},
        "layers": list(layers),
    }


def hub_cache(folder: Path, repo: str, file: str, gguf: Path, ref: str = "main") -> Path:
    """A file in the cache of huggingface_hub: a branch, a snapshot, a link to a blob."""
    place = folder / f"models--{repo.replace('/', '--')}"
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / ref).write_text(COMMIT)
    blob = link(gguf, place / "blobs" / digest(len(file)))
    path = place / "snapshots" / COMMIT / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(blob)
    return path
