"""One file is chosen among a repository's, by rules that can be said."""

import pytest

from blendin_local.errors import ModelNotFoundError
from blendin_local.models.quantizations import all_parts, choose, quantization_of


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("Meta-Llama-3.1-8B.Q4_K_M.gguf", "Q4_K_M"),
        ("qwen3-8b-base-q4_k_m.gguf", "Q4_K_M"),
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("x-IQ4_XS.gguf", "IQ4_XS"),
        ("x-UD-Q4_K_XL.gguf", "Q4_K_XL"),
        ("x-bf16.gguf", "BF16"),
        ("Q8_0/x-Q8_0-00001-of-00002.gguf", "Q8_0"),
        ("Qwen3-4B.gguf", ""),
    ],
)
def test_a_name_speaks_of_its_quantization(name, quant):
    """Dots, dashes, small letters, folders and split parts."""
    assert quantization_of(name) == quant


@pytest.mark.parametrize(
    ("there", "quant", "chosen"),
    [
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf"], "", "a-Q4_K_M.gguf"),
        (["a-Q8_0.gguf", "a-Q5_K_M.gguf", "a-Q2_K.gguf"], "", "a-Q5_K_M.gguf"),
        (["a-Q8_0.gguf"], "", "a-Q8_0.gguf"),
        (["mmproj-a-Q4_K_M.gguf", "a-Q8_0.gguf"], "", "a-Q8_0.gguf"),
        (["a-Q8_0.gguf", "a-Q4_K_M.gguf"], "q8_0", "a-Q8_0.gguf"),
        (["a-F16-00002-of-00002.gguf", "a-F16-00001-of-00002.gguf"], "F16", "a-F16-00001-of-00002.gguf"),
        (["model.gguf"], "", "model.gguf"),
    ],
)
def test_the_default_is_q4_k_m_then_the_nearest(there, quant, chosen):
    """Projectors and later parts of split files are never chosen."""
    assert choose(there, quant, "x") == chosen


def test_nothing_to_choose_is_an_error():
    """No model file at all, or only a projector."""
    with pytest.raises(ModelNotFoundError, match="no GGUF"):
        choose(["README.md", "mmproj-F16.gguf"], "", "the repository x")


def test_all_parts_of_a_split_file_are_named():
    """From any name of the first part; other files stand for themselves."""
    assert all_parts("d/x-00001-of-00002.gguf") == ["d/x-00001-of-00002.gguf", "d/x-00002-of-00002.gguf"]
    assert all_parts("x.gguf") == ["x.gguf"]
