"""The verbs about model files: listings and JSON on stdout, all else on stderr, nothing without a yes."""

import json

import pytest

from blendin_local.errors import ModelNotFoundError, UsageError
from blendin_local.models import registry as registry_module
from blendin_local.models.fetch import ensure_local
from tests.other_tools import link


def test_pull_ls_rm_go_together(blendin, names):
    """A pair is fetched, listed, and removed after a yes; the licence is named when a file is fetched."""
    pulled = blendin("pull", "duo", "--json", "--models", str(names))
    assert [model["fetched"] for model in json.loads(pulled.stdout)["models"]] == [True, False]
    assert "Toy Terms" in pulled.stderr
    again = blendin("pull", "toy", "--models", str(names))
    assert again.stdout == ""
    assert "already downloaded" in again.stderr
    assert "Toy Terms" not in again.stderr
    listed = json.loads(blendin("ls", "--json", "--models", str(names)).stdout)
    assert [model["reference"] for model in listed["models"]] == ["toy", "own"]
    assert blendin("ls", "-q", "--models", str(names)).stdout == "toy\nown\n"
    with pytest.raises(UsageError, match="cannot ask without a terminal") as caught:
        blendin("rm", "toy", "--models", str(names))
    assert "--yes" in caught.value.hint
    removed = json.loads(blendin("rm", "toy", "--yes", "--json", "--models", str(names)).stdout)
    assert removed["freed"] == listed["models"][0]["size"]
    assert blendin("ls", "-q", "--models", str(names)).stdout == "own\n"


def test_show_tells_a_model_and_a_pair(blendin, names):
    """As text and as JSON; with --origin the file of each value."""
    text = blendin("show", "own", "--models", str(names)).stdout
    assert "plain attention" in text
    assert "SPM" in text
    facts = json.loads(blendin("show", "own", "--json", "--models", str(names)).stdout)
    assert facts["header"]["architecture"] == "llama"
    assert facts["memory"]["total"] > 0
    pair = json.loads(blendin("show", "duo", "--json", "--models", str(names)).stdout)
    assert pair["threshold"] == 0.25
    assert pair["origins"]["threshold"] == str(names)
    assert pair["base"]["command"] == "blendin pull toy"
    assert str(names.name) in blendin("show", "duo", "--origin", "--models", str(names)).stdout.replace(
        "\n", ""
    )
    assert "assistant" in blendin("show", "own", "--template", "--models", str(names)).stdout


def test_show_of_an_unknown_name_says_what_is_near(blendin, names):
    """And nothing is on stdout."""
    with pytest.raises(ModelNotFoundError) as caught:
        blendin("show", "tyo", "--models", str(names))
    assert "toy" in caught.value.hint


def test_a_file_of_the_working_directory_never_fetches_without_a_yes(blendin, names, tmp_path):
    """By its models or by its pairs; --yes is a yes."""
    text = names.read_text().replace("own.gguf", "../own.gguf")
    text += '\n[pairs.far]\nbase = "user/base"\nguide = "own"\n'
    (tmp_path / "work" / "models.toml").write_text(text)
    for name in ("toy", "duo", "far"):
        with pytest.raises(UsageError, match="fetch it"):
            blendin("pull", name)
    assert blendin("pull", "toy", "--yes", "--json").exit_code == 0


def test_ls_lists_pairs_below_the_models(blendin, names):
    """Pairs whose files are here and those of one's own; `--pairs` shows only pairs, all of them."""
    listed = json.loads(blendin("ls", "--json", "--models", str(names)).stdout)
    assert [pair["name"] for pair in listed["pairs"]] == ["duo"]
    assert listed["pairs"][0]["missing"] == ["base"]
    assert listed["pairs"][0]["settings"] == {"threshold": 0.25}
    text = blendin("ls", "--models", str(names)).stdout
    assert text.index("own") < text.index("duo")
    assert "threshold=0.25" in text
    only = json.loads(blendin("ls", "--pairs", "--json", "--models", str(names)).stdout)
    assert "models" not in only
    assert {"duo", "demo"} <= {pair["name"] for pair in only["pairs"]}
    quiet = blendin("ls", "--pairs", "-q", "--models", str(names)).stdout.split()
    assert quiet == [pair["name"] for pair in only["pairs"]]


def test_ls_shows_what_other_programs_keep(blendin, names, home):
    """With the program; a file that cannot be used is counted, and explained with `--all`."""
    folder = home / ".lmstudio" / "models" / "pub" / "repo"
    link(names.parent / "own.gguf", folder / "a-Q8_0.gguf")
    link(names.parent / "own.gguf", folder / "mmproj-a.gguf")
    listed = blendin("ls", "--models", str(names))
    assert "of LM Studio" in listed.stdout
    assert "mmproj" not in listed.stdout
    assert "1 file of other programs cannot be used" in listed.stderr
    everything = json.loads(blendin("ls", "--all", "--json", "--models", str(names)).stdout)["models"]
    [projector] = [model for model in everything if "mmproj" in model["reference"]]
    assert "projector" in projector["problem"]
    with pytest.raises(UsageError, match="belongs to LM Studio"):
        blendin("rm", "lmstudio:pub/repo/a-Q8_0.gguf", "--yes")


def test_no_unfinished_downloads_are_nothing_to_ask_about(blendin):
    """`rm --unfinished` says that there are none, and asks nothing."""
    result = blendin("rm", "--unfinished")
    assert "there are no unfinished downloads" in result.stderr
    assert "0.0 MB" not in result.stderr


def test_an_empty_machine_is_told_how_to_begin(blendin):
    """No table, but a first step, on stderr."""
    result = blendin("ls")
    assert result.stdout == ""
    assert "blendin pull demo" in result.stderr


def test_doctor_reports_as_text_and_json(blendin):
    """Both without the network."""
    assert "llama.cpp" in blendin("doctor", "--offline").stdout
    report = json.loads(blendin("doctor", "--offline", "--json").stdout)
    assert report["network"] is None
    assert report["build"]["version"] == "0.3.36"
    with pytest.raises(UsageError, match="no pair"):
        blendin("doctor", "--pair", "dmo")


def test_what_an_untrusted_pair_brings_in_is_fetched_after_a_yes(blendin, names, tmp_path, monkeypatch):
    """Also a model of the user's own, and the third model; on a terminal the question names the file."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "models.toml").write_text(names.read_text())
    file = tmp_path / "work" / "models.toml"
    file.write_text('[pairs.theirs]\nbase = "toy"\nguide = "toy"\nuntuned = "user/untuned"\n')
    with pytest.raises(UsageError, match="fetch it"):
        blendin("pull", "theirs")
    asked = []
    monkeypatch.setattr("blendin_local.cli.manage.actions.can_ask", lambda _: True)
    monkeypatch.setattr("blendin_local.cli.manage.actions.ask", lambda question, _: asked.append(question))
    with pytest.raises(UsageError, match="nothing was done"):
        blendin("pull", "theirs")
    assert asked == ["fetch it?"]
    assert blendin("pull", "toy", "--json").exit_code == 0


def test_run_fetches_nothing_for_an_untrusted_pair(names, store, tmp_path):
    """--pull is no yes; the refusal names the file and the command that agrees."""
    work = tmp_path / "work"
    work.mkdir()
    text = '[pairs.theirs]\nbase = "toy"\nguide = "user/untuned"\n'
    (work / "models.toml").write_text(text)
    registry = registry_module.load_registry(names, {}, work)
    distrusted = registry.distrusted("theirs")
    with pytest.raises(ModelNotFoundError) as caught:
        ensure_local(["toy", "user/untuned"], registry, pull=True, store=store, distrusted=distrusted)
    assert str(work / "models.toml") in caught.value.message
    assert "blendin pull toy --yes" in caught.value.hint
