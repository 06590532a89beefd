"""Numbers on the command line: every one that comes through lies in its interval, every other is refused."""

from __future__ import annotations

import json
import math
import types
import typing
from dataclasses import fields

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from blendin_local.cli.app import build_app
from blendin_local.cli.common.grouped import grouped
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
)
from blendin_local.core.sampling import sample
from blendin_local.errors import UsageError
from blendin_local.models.registry import load_registry
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.settings import (
    QUANTIZED,
    UNQUANTIZED,
    AnswerSettings,
    BlendSettings,
    ModelSettings,
    SamplingSettings,
)
from tests.toys import make_toy

HOSTILE = (
    *("nan", "NaN", "-nan", "inf", "-inf", "Infinity", "1e400", "-1e400", "1e-320", "-0.0", "-0", "0", ""),
    *(
        "9" * 30,
        "-" + "9" * 30,
        "9" * 5000,
        "1_000",
        " 7 ",
        "٣",
        "0.٥",
        "2.5",
        "1e2",
        "0x10",
        "1e",
        "--",
        "+3",
    ),
    *("auto", "all", "calibrated", "ten", "\N{FULLWIDTH DIGIT SEVEN}", "2147483648", "4294967297", "1,5"),
)
INTERVALS = {
    "threshold": (0, 1),
    "alpha": (0, 1),
    "agreement_bonus": (0, 1),
    "cap": (0, 1),
    "always_first": (0, 100_000),
    "dial": (0, 2),
    "margin": (0, 1),
    "proxy_weight": (0, 5),
    "filter_top_k": (1, 100_000),
    "top_k_blend": (1, 100_000),
    "temp": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "top_k": (0, math.inf),
    "seed": (0, 2**63 - 1),
    "repeat_penalty": (1, 100),
    "repeat_last_n": (-1, math.inf),
    "presence_penalty": (0, 1000),
    "frequency_penalty": (0, 1000),
    "dry_multiplier": (0, 1000),
    "dry_base": (1, 100),
    "dry_allowed_length": (1, math.inf),
    "dry_penalty_last_n": (-1, math.inf),
    "max_tokens": (1, math.inf),
    "top_logprobs": (0, 1000),
    "ctx_size": (32, 2**31 - 1),
    "n_gpu_layers": (0, 10_000),
    "threads": (1, 1024),
}
FIELDS = {"top_k_blend": "top_k", "temp": "temperature"}
GROUPS = (
    (RuntimeOptions, lambda o: [ModelSettings(**o.settings_for(role)) for role in ("base", "guide")]),
    (BlendOptions, lambda o: [BlendSettings(**o.settings())]),
    (SamplingOptions, lambda o: [SamplingSettings(**o.settings())]),
    (AnswerOptions, lambda o: [AnswerSettings(**o.settings())]),
)


def is_count_or_number(hint):
    """Whether an option is a number, or a text that stands for one."""
    plain = typing.get_args(hint)[0]
    kinds = set(typing.get_args(plain)) if isinstance(plain, types.UnionType) else {plain}
    return bool(kinds & {int, float})


def numeric_options():
    for group, build in GROUPS:
        hints = typing.get_type_hints(group, include_extras=True)
        for field in fields(group):
            bare = field.name.removeprefix("base_").removeprefix("guide_")
            if bare in INTERVALS or is_count_or_number(hints[field.name]):
                yield pytest.param(group, build, field.name, id=field.name)


@pytest.mark.parametrize(("group", "build", "name"), list(numeric_options()))
def test_a_number_is_in_its_interval_or_refused(group, build, name):
    """Whatever is typed for a numeric option: one usage error, or settings with a value that is allowed."""
    made = []

    def command(*, options):
        made.append(build(options))

    command.__annotations__ = {"options": group, "return": None}
    app = typer.Typer()
    app.command()(grouped(command))
    bare = name.removeprefix("base_").removeprefix("guide_")
    low, high = INTERVALS[bare]
    for text in HOSTILE:
        made.clear()
        result = CliRunner().invoke(app, [f"--{name.replace('_', '-')}={text}"])
        if isinstance(result.exception, UsageError):
            assert "\n" not in result.exception.message
            assert len(result.exception.message) < 300
            continue
        assert result.exit_code == (0 if made else 2), (text, result.exception)
        for settings in made[0] if made else ():
            value = getattr(settings, FIELDS.get(bare, bare))
            assert value is None or value == "calibrated" or low <= value <= high, text


@given(st.floats() | st.integers() | st.booleans() | st.none() | st.integers(10**4000, 10**5000))
def test_settings_check_themselves(value):
    """Whatever Python gives for a numeric field, too: it lies in its interval, or `UsageError`."""
    for settings, name in (
        *((ModelSettings, each) for each in ("ctx_size", "n_gpu_layers", "threads")),
        *((SamplingSettings, each) for each in ("temperature", "top_k", "top_p", "min_p", "seed")),
        *((AnswerSettings, each) for each in ("max_tokens", "top_logprobs")),
        *((BlendSettings, each) for each in ("threshold", "agreement_bonus", "top_k", "cap", "filter_top_k")),
        *((BlendSettings, each) for each in ("always_first", "dial", "margin", "proxy_weight")),
    ):
        if value is None and getattr(settings(), name) is not None:
            continue
        try:
            made = getattr(settings(**{name: value}), name)
        except UsageError as error:
            assert len(error.message) < 300  # noqa: PT017 - only where it is refused
            continue
        if isinstance(getattr(settings(), name), int) and name != "temperature":
            assert isinstance(made, int)
        assert made is None or made >= 0


@given(
    st.dictionaries(st.binary(min_size=1, max_size=2), st.floats(1e-30, 1), min_size=1, max_size=9),
    st.sampled_from([1e-320, 5e-324, 1e-300, 1e-9]),
    st.integers(0, 2**32),
)
def test_a_tiny_temperature_is_greedy(options, temperature, seed):
    """Towards 0 one of the largest is drawn, without a warning."""
    ordered = dict(sorted(options.items(), key=lambda each: -each[1]))
    drawn = sample(ordered, SamplingSettings(temperature=temperature), np.random.default_rng(seed).random())
    assert ordered[drawn] >= max(ordered.values()) * (1 - 1e-6)


@pytest.mark.parametrize("kv_type", [*QUANTIZED, *UNQUANTIZED])
def test_a_quantized_cache_needs_flash_attention(kv_type):
    """What llama.cpp refuses without flash attention is refused before, with both ways out."""
    if kv_type in UNQUANTIZED:
        assert ModelSettings(kv_type=kv_type, flash_attention="off").kv_type == kv_type
    else:
        with pytest.raises(UsageError, match=kv_type) as error:
            ModelSettings(kv_type=kv_type, flash_attention="off")
        assert "--flash-attn" in error.value.hint
        assert "f16" in error.value.hint
    for attention in ("auto", "on"):
        assert ModelSettings(kv_type=kv_type, flash_attention=attention)


PAIR = """version = 1
[models.thinker]
path = "t.gguf"
think = true
[pairs.own]
base = "b.gguf"
guide = "thinker"
threads = 3
n_gpu_layers = 7
guide_n_gpu_layers = 5
ctx_size = 512
swa_full = false
system = "Be brief."
"""


@pytest.fixture
def registry(tmp_path):
    path = tmp_path / "names.toml"
    path.write_text(PAIR)
    return load_registry(path, env={}, cwd=tmp_path)


def settings_of(registry, role="base", **options):
    given = {f"{each}_settings": RuntimeOptions(**options).settings_for(each) for each in ("base", "guide")}
    return getattr(resolve_pair(PairSpec(pair="own", **given), registry).setup, f"{role}_settings")


@pytest.mark.parametrize("role", ["base", "guide"])
@pytest.mark.parametrize("prefix", ["", "own"])
def test_what_is_chosen_by_name_wins_over_a_number_of_the_pair(registry, role, prefix):
    """`auto` and `all`, for both models or one, mean that nobody said a number."""
    before = settings_of(registry, role)
    assert (before.threads, before.n_gpu_layers, before.ctx_size) == (3, 7 if role == "base" else 5, 512)
    at = f"{role}_" if prefix else ""
    for word in ("auto", "all"):
        assert settings_of(registry, role, **{f"{at}n_gpu_layers": word}).n_gpu_layers is None
    assert settings_of(registry, role, **{f"{at}threads": "auto"}).threads is None
    assert settings_of(registry, role, **{f"{at}ctx_size": "auto"}).ctx_size is None
    assert settings_of(registry, role, **{f"{at}n_gpu_layers": "0"}).n_gpu_layers == 0


def test_switches_win_over_the_pair_either_way(registry):
    """`swa_full` and `think` of models.toml can be turned on and off from the command line."""
    assert settings_of(registry).swa_full is False
    assert settings_of(registry, swa_full=True).swa_full is True
    assert resolve_pair(PairSpec(pair="own"), registry).setup.thinking
    assert not resolve_pair(PairSpec(pair="own", thinking=False), registry).setup.thinking
    assert ModelOptions().thinking is None


def test_small_windows_can_be_chosen_and_are_told(tmp_path):
    """`--no-swa-full` reaches llama.cpp: the cache cannot go back as far, and the answer says so."""
    toy = str(make_toy(tmp_path / "toy.gguf", "sliding"))
    command = ["run", "hello", "--base", toy, "--method", "base", "-c", "256", "-n", "3", "--json"]
    small, full = (
        json.loads(CliRunner().invoke(build_app(), [*command, *more], catch_exceptions=False).stdout)
        for more in (["--no-swa-full"], [])
    )
    assert small["signature"]["models"]["base"]["swa_full"] is False
    assert any("sliding-window cache is small" in notice for notice in small["notices"])
    assert full["signature"]["models"]["base"]["swa_full"] is True
    assert not full["notices"]


def test_an_empty_system_text_is_one(tmp_path):
    """`--system ""` is said, and so is an empty file; left out, the pair's own holds."""
    (tmp_path / "empty").write_text("")
    assert AnswerOptions(system="").system_text() == ""
    assert AnswerOptions(system_file=tmp_path / "empty").system_text() == ""
    assert AnswerOptions().system_text() is None
