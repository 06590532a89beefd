"""Completion in real shells, and what a shell is answered."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from tests.cli_runner import environment
from tests.shells import SHELLS, Shell, asked

pytestmark = pytest.mark.cli


@pytest.fixture(scope="module", params=SHELLS)
def home(request, tmp_path_factory):
    """A shell's name, and a folder with a model file and a folder of models."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "mistral.gguf").touch()
    (folder / "models").mkdir()
    (folder / "models" / "llama.gguf").touch()
    return request.param, folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("blendin run --method nudging-", "--method nudging-words"),
        ("blendin run --method=nudging-", "--method=nudging-words"),
        ("blendin run --pair dem", "--pair demo"),
        ("blendin run --guide demo-g", "--guide demo-guide"),
        ("blendin run --base mis", "--base mistral.gguf"),
        ("blendin check --base models/ll", "--base models/llama.gguf"),
        ("blendin show demo-b", "show demo-base"),
        ("blendin run --kv-type q8", "--kv-type q8_0"),
        ("blendin chat --alpha cal", "--alpha calibrated"),
        ("blendin eval --tasks gsm8k,mm", "--tasks gsm8k,mmlu"),
        ("blendin eval --methods base,gu", "--methods base,guide"),
        ("blendin repl", "blendin replay"),
        ("blendin bench --roun", "--rounds"),
    ],
)
def test_tab_completes_the_word(home, typed, shown):
    """After `blendin --install-completion` a new shell knows names, words, files, options and commands."""
    name, folder = home
    shell = Shell(name, folder)
    try:
        shell.tab(typed, shown)
    finally:
        shell.close()


def test_the_answer_is_quick_and_light(tmp_path):
    """A shell waits for it at each Tab: no numpy, no llama.cpp, no client of the hub; best of five runs."""
    code = (
        "import sys\nfrom blendin_local.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'llama_cpp', 'numpy', 'huggingface_hub', 'httpx', 'httpx2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    typed = {"COMP_WORDS": "blendin\nrun\n--base\nd", "COMP_CWORD": "3", "_BLENDIN_COMPLETE": "complete_bash"}
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(**typed),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds.append(time.perf_counter() - begun)
        assert done.returncode == 0, done.stderr
        assert "demo-base" in done.stdout.splitlines()
    assert min(seconds) < 1.0  # 0.25 s on an idle core


@pytest.mark.parametrize("shell", SHELLS)
def test_whatever_is_wrong_nothing_is_printed_but_words(tmp_path, shell):
    """A broken models.toml and an option that is not there give no words and no error."""
    broken = tmp_path / "broken.toml"
    broken.write_text("[pairs")
    assert asked("run", "--pair", "d", cwd=tmp_path, shell=shell, BLENDIN_MODELS=str(broken))[2] == ""
    code, words, errors = asked("run", "--nonsense", "--pair", "dem", cwd=tmp_path, shell=shell)
    assert errors == ""
    assert code == 0
    assert any("demo" in word for word in words)


def test_help_beside_a_word_is_one_line(tmp_path):
    """For fish every line is a word, so no text about an option may be broken into two."""
    _, words, _ = asked("run", "--", cwd=tmp_path, shell="fish")
    assert len(words) > 40
    assert [word for word in words if not word.startswith("--")] == []


def test_bash_splits_words_at_colons_and_equals(tmp_path):
    """The answer is for the part that bash replaces."""
    manifest = tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/llama3.2/3b"
    blob = tmp_path / f".ollama/models/blobs/sha256-{'a' * 64}"
    for path in (manifest, blob):
        path.parent.mkdir(parents=True)
    blob.write_bytes(b"GGUF" + bytes(100))
    layer = f'{{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{"a" * 64}","size":104}}'
    manifest.write_text(f'{{"schemaVersion":2,"layers":[{layer}]}}')

    assert asked("run", "--base", "ollama", ":", "ll", cwd=tmp_path)[1] == ["llama3.2:3b"]
    assert asked("run", "--bridge", "=", "p", cwd=tmp_path)[1] == ["prefix"]


def test_a_folder_alone_is_left_to_the_shell(tmp_path):
    """Which completes into it; a word from here would be followed by a blank."""
    (tmp_path / "weights").mkdir()
    assert asked("run", "--base", "we", cwd=tmp_path)[1] in ([], [""])
    (tmp_path / "wear.gguf").touch()
    assert asked("run", "--base", "we", cwd=tmp_path)[1] == ["wear.gguf", "weights/"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_can_be_printed_for_any_shell(shell):
    """By the variable of the documents, where the shell is not the one that asks."""
    done = subprocess.run(
        [sys.executable, "-m", "blendin_local"],
        env=environment(_BLENDIN_COMPLETE=f"source_{shell}", PATH=os.environ["PATH"]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"complete_{shell}" in done.stdout
