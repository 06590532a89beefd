"""Registries read from files that a test writes."""

from pathlib import Path

from blendin_local.models.registry import load_registry


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(tmp_path, *, explicit=None, env=None, accept=None):
    (tmp_path / "work").mkdir(exist_ok=True)
    return load_registry(explicit, env or {}, tmp_path / "work", accept=accept)
