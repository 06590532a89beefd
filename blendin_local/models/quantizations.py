"""Choosing one model file in a repository by its quantization.

Here: what can be read from the names of GGUF files: quantization, split parts, projectors; `choose`.
Not here: listing a repository (`models.hub`), the content of a file (`engine.gguf.header`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from blendin_local.errors import ModelNotFoundError

# the default, then the nearest in size and quality
PREFERENCE = (
    "Q4_K_M", "Q4_K_S", "Q4_K_L", "Q4_K_XL", "IQ4_NL", "IQ4_XS", "Q4_1", "Q4_0", "MXFP4", "Q5_K_S", "Q5_K_M",
    "Q5_K_L", "Q5_1", "Q5_0", "Q3_K_L", "Q3_K_M", "Q6_K", "Q6_K_L", "Q8_0", "IQ3_M", "IQ3_S",
    "Q3_K_S", "IQ3_XS", "BF16", "F16", "F32",
)  # fmt: skip
_QUANT = re.compile(
    r"(?:^|[-._/])(I?Q\d(?:_[0-9A-Z]+)*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|FP16|F32)(?=$|[-._/])", re.I
)
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})(?=\.gguf$)", re.I)
MAX_PARTS = 1000
_NOT_MODELS = ("mmproj", "imatrix")


def quantization_of(name: str) -> str:
    """Return the quantization in a file name, in capitals; empty if there is none."""
    found = _QUANT.findall(re.sub(r"\.gguf$", "", _SPLIT.sub("", name), flags=re.I))
    return str(found[-1]).upper() if found else ""


def is_model_file(name: str) -> bool:
    """Whether a name is that of a model or its first part: not a projector, not a later part."""
    return name.lower().endswith(".gguf") and not is_projector(name) and not is_later_part(name)


def is_projector(name: str) -> bool:
    """Whether a name is that of a file beside a model: a projector for images, or an importance matrix."""
    return any(word in PurePosixPath(name).name.lower() for word in _NOT_MODELS)


def is_later_part(name: str) -> bool:
    """Whether a name is that of a split file's second or a later part."""
    split = _SPLIT.search(name)
    return split is not None and int(split[1]) != 1


def all_parts(name: str) -> list[str]:
    """Return the names of all parts of a split file, or the name itself if it is not split.

    Raises:
        ModelNotFoundError: It has too many parts.
    """
    split = _SPLIT.search(name)
    if split is None or not 1 <= int(split[1]) <= int(split[2]):
        return [name]
    count = int(split[2])
    if count > MAX_PARTS:
        raise ModelNotFoundError(f"{name} has more than {MAX_PARTS} parts", "choose a model with fewer parts")
    return [
        f"{name[: split.start()]}-{i:05d}-of-{split[2]}{name[split.end() :]}" for i in range(1, count + 1)
    ]


def choose(names: Iterable[str], quant: str, where: str) -> str:
    """Choose the file of a quantization; without one, the default or the nearest to it.

    Args:
        names: All files of the repository.
        quant: The quantization to use; empty for the default.
        where: The repository, for messages.

    Returns:
        One of the names.

    Raises:
        ModelNotFoundError: There is no model file, or none of that quantization.
    """
    models = sorted(name for name in names if is_model_file(name))
    if not models:
        raise ModelNotFoundError(
            f"{where} has no GGUF model file", "choose a repository whose name ends in -GGUF"
        )
    if not quant:
        return min(models, key=_rank)
    requested = quant.upper()
    for name in models:
        if requested in {quantization_of(name), PurePosixPath(name).name.upper()}:
            return name
    raise ModelNotFoundError(f"{where} has no file of quantization {quant}", f"available: {_choices(models)}")


def _rank(name: str) -> tuple[int, str]:
    quant = quantization_of(name)
    return (PREFERENCE.index(quant) if quant in PREFERENCE else len(PREFERENCE), name)


def _choices(models: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(quantization_of(name) or name for name in models))
