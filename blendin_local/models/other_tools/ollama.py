"""The models of ollama: a manifest per name, which points to files named by their checksums.

Here: `ollama_models`.
Not here: LM Studio, llama.cpp and Hugging Face, whose folders hold plain .gguf files
(`models.other_tools.folders`).
Source of the format: ollama's manifest package. `manifests/HOST/NAMESPACE/NAME/TAG` (in newer versions
`manifests-v2`, links to blobs) is JSON in the form of Docker's image manifests; the layer of the type
`application/vnd.ollama.image.model` is the GGUF file, `blobs/sha256-…`. A list of manifests has one for
each program that can run the model.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from blendin_local.errors import UsageError
from blendin_local.models.other_tools.found import OtherModel, inspected, listing
from blendin_local.paths import expand_user, read_text

TOOL, PREFIX = "ollama", "ollama:"
HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"  # what ollama leaves out of a name
SERVICE_FOLDER = Path("/usr/share/ollama/.ollama/models")  # of the service that its Linux installer sets up
MODEL, ADAPTER, TENSOR = (f"application/vnd.ollama.image.{kind}" for kind in ("model", "adapter", "tensor"))
LIST = "application/vnd.ollama.manifest.list.v2+json"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})", re.I)

Json = Mapping[str, Any]


class _NoModelError(Exception):
    """Why a manifest gives no model file."""


def ollama_models(env: Mapping[str, str], home: Path) -> Iterator[OtherModel]:
    """The models that ollama has on this machine, those that cannot be used included."""
    seen: set[str] = set()
    for folder in _folders(env, home):
        for kind in ("manifests-v2", "manifests"):
            for manifest in listing(folder / kind, "*/*/*/*"):
                name = _name(manifest.relative_to(folder / kind).parts)
                if name not in seen and not manifest.name.startswith(".") and not manifest.is_dir():
                    seen.add(name)
                    yield _model(PREFIX + name, manifest, folder / "blobs")


def full_name(reference: str) -> str:
    """The reference with the tag that ollama would take; `ollama:llama3.2` is `ollama:llama3.2:latest`."""
    name = reference.removeprefix(PREFIX)
    return reference if ":" in name.rpartition("/")[2] else f"{reference}:{TAG}"


def _folders(env: Mapping[str, str], home: Path) -> list[Path]:
    if named := env.get("OLLAMA_MODELS"):
        return [expand_user(named)]
    return [home / ".ollama" / "models", *([SERVICE_FOLDER] if sys.platform == "linux" else [])]


def _name(parts: tuple[str, ...]) -> str:
    """The name as ollama prints it: without its own host and its own namespace."""
    host, namespace, name, tag = parts
    if host != HOST:
        return f"{host}/{namespace}/{name}:{tag}"
    return f"{name}:{tag}" if namespace == NAMESPACE else f"{namespace}/{name}:{tag}"


def _model(reference: str, manifest: Path, blobs: Path) -> OtherModel:
    try:
        content = _runnable(_read(manifest), blobs)
        path = _blob(blobs, _model_layer(content))
    except _NoModelError as reason:
        return OtherModel(reference, TOOL, None, problem=str(reason))
    if not path.is_file():
        return OtherModel(reference, TOOL, None, problem=f"its file {path.name[:19]}… is missing")
    found = inspected(reference, TOOL, path)
    return replace(found, quantization=_quantization(content, blobs))


def _read(path: Path) -> Json:
    try:
        content = json.loads(read_text(path))
    except (UsageError, ValueError, RecursionError) as error:
        raise _NoModelError("its manifest is damaged") from error
    if not isinstance(content, dict):
        raise _NoModelError("its manifest is damaged")
    return content


def _runnable(content: Json, blobs: Path) -> Json:
    """The manifest itself, or of a list the one whose model is a GGUF file."""
    if content.get("mediaType") != LIST:
        return content
    for child in _tables(content.get("manifests")):
        if str(child.get("format", "gguf")).lower() != "gguf" or child.get("runner") == "mlx":
            continue
        return child if "layers" in child else _read(_blob(blobs, child))
    raise _NoModelError("it has no GGUF file")


def _model_layer(content: Json) -> Json:
    layers = _tables(content.get("layers"))
    kinds = [str(layer.get("mediaType", "")).partition(";")[0] for layer in layers]
    if ADAPTER in kinds:
        raise _NoModelError("it is a model with an adapter (LoRA), which blendin does not apply")
    found = [layer for layer, kind in zip(layers, kinds, strict=True) if kind == MODEL]
    if len(found) > 1:
        raise _NoModelError("its file is split into parts, which llama.cpp cannot find under ollama's names")
    if not found:
        raise _NoModelError("its weights are not a GGUF file" if TENSOR in kinds else "it has no file here")
    return found[0]


def _blob(blobs: Path, layer: Json) -> Path:
    """The file of a layer; an old version of ollama wrote its name with a colon."""
    digest = _DIGEST.fullmatch(str(layer.get("digest")))
    if digest is None:
        raise _NoModelError("its manifest is damaged")
    names = [f"sha256{mark}{digest[1].lower()}" for mark in "-:"]
    return next((path for name in names if (path := blobs / name).is_file()), blobs / names[0])


def _quantization(content: Json, blobs: Path) -> str:
    """The number format according to the model's configuration; empty if it does not say."""
    config = content.get("config")
    try:
        text = _read(_blob(blobs, config if isinstance(config, dict) else {})).get("file_type", "")
    except _NoModelError:
        return ""
    return text if isinstance(text, str) and text.isprintable() and len(text) < 16 else ""


def _tables(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
