"""The demo files, where they are on this machine."""

import os
from pathlib import Path

import pytest


def _demo(name: str) -> Path:
    directory = os.environ.get("BLENDIN_TEST_MODELS", "")
    path = Path(directory) / name
    if not directory or not path.is_file():
        pytest.skip(f"{name} is not in BLENDIN_TEST_MODELS")
    return path


@pytest.fixture(scope="session")
def demo_base_path() -> Path:
    return _demo("gemma-3-270m-q4_k_m.gguf")


@pytest.fixture(scope="session")
def demo_guide_path() -> Path:
    return _demo("SmolLM2-135M-Instruct.Q4_1.gguf")
