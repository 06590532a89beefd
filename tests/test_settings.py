"""The table of settings: every surface knows every setting, with one interval and one default."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache

import pytest
from typer.testing import CliRunner

from blendin_local.cli.app import build_app
from blendin_local.cli.chat.files import load, save
from blendin_local.cli.chat.opening import with_pair_value
from blendin_local.cli.chat.settings import PARTS, SETTABLE, values_as_text, with_setting
from blendin_local.cli.chat.state import ChatHistory, ChatSettings
from blendin_local.cli.common.options import (
    AnswerOptions,
    BlendOptions,
    HistoryOptions,
    ModelOptions,
    RuntimeOptions,
    SamplingOptions,
    SessionOptions,
    TerminalOptions,
)
from blendin_local.core.methods import METHODS
from blendin_local.errors import UsageError
from blendin_local.jobs.batch.input_file import RawRow
from blendin_local.jobs.batch.rows import Row, interpret
from blendin_local.jobs.evaluation.spec.variants import variants_of
from blendin_local.models.registry import history_settings, load_registry, terminal_settings
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.settings import (
    LATER_FIELDS,
    SURFACES,
    AnswerSettings,
    BlendSettings,
    Excluded,
    HistorySettings,
    ModelSettings,
    SamplingSettings,
    TerminalSettings,
    settings_of,
)
from blendin_local.settings.setting import setting
from tests.jobs.batches import DEFAULTS
from tests.paths import ROOT

TABLES = {
    "blend": BlendSettings,
    "sampling": SamplingSettings,
    "answer": AnswerSettings,
    "base_settings": ModelSettings,
    "terminal": TerminalSettings,
    "history": HistorySettings,
}
OPTIONS = {
    "blend": BlendOptions,
    "sampling": SamplingOptions,
    "answer": AnswerOptions,
    "base_settings": RuntimeOptions,
    "terminal": TerminalOptions,
    "history": HistoryOptions,
}
TEXTS = {
    "json_schema": '{"type": "array"}',
    "regex": "yes|no",
    "grammar": 'root ::= "yes" | "no"',
    "search": "1,1,20",
}
EVERY = [
    pytest.param(part, each, id=f"{part}-{each.field}")
    for part, table in TABLES.items()
    for each in settings_of(table)
]


def allowed(each):
    """A value that is not the default, as Python has it."""
    match each.kind:
        case "choice":
            return next(word for word in each.choices if word != each.default)
        case "number":
            return 0.25 if each.low <= 0.25 else each.low + 0.25
        case "count":
            return max(37, each.low)
        case "switch":
            return not each.default
        case "texts":
            return ("a b", "c")
    return {**TEXTS, "guide_weight": (0.25, 2.0)}.get(each.field, "nudging")


def refused(each):
    """Values that no surface may take; `--seed -1` is a word of old for a random one."""
    if each.kind == "choice":
        return ["rope"]
    if each.field == "search":
        return ["nudging", "2,2", "0,1,5", "16,16,5", "2,2,30"]  # the last: not at temperature 0
    if each.kind not in {"number", "count"}:
        return []
    bounds = [each.low - 1, *([each.high + 1] if each.high < 2**62 else [])]
    return [value for value in bounds if str(value) not in each.words]


def typed(value):
    """A value as it is typed."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def by_option(part, each, value):
    group = OPTIONS[part]
    several = each.kind in {"texts", "numbers"}
    given = list(value) if several else value if isinstance(value, bool) else typed(value)
    option = group(**{each.name.replace("-", "_"): given})
    fields = option.settings_for("base") if group is RuntimeOptions else option.settings()
    return getattr(TABLES[part](**fields), each.field)


def by_file(part, each, value, folder):
    path = folder / "pairs.toml"
    if part == "history":
        path.write_text(f"[history]\n{each.on('toml')} = {json.dumps(value)}\n")
        return getattr(HistorySettings(**history_settings(path, env={}, cwd=folder)), each.field)
    if part == "terminal":
        path.write_text(f"[terminal]\n{each.on('toml')} = {json.dumps(value)}\n")
        return getattr(TerminalSettings(**terminal_settings(path, env={}, cwd=folder)), each.field)
    path.write_text(
        f"[pairs.x]\nbase = 'b.gguf'\nguide = 'g.gguf'\n{each.on('toml')} = {json.dumps(value)}\n"
    )
    resolved = resolve_pair(PairSpec(pair="x"), load_registry(path, env={}, cwd=folder))
    found = resolved.setup.base_settings if part == "base_settings" else getattr(resolved, part)
    return getattr(found, each.field)


def by_chat(part, each, value):
    several = {"texts": "'a b' c", "numbers": "0.25 2"}
    text = several.get(each.kind) or typed(value)
    if part == "base_settings":
        options = SessionOptions(
            ModelOptions(), RuntimeOptions(), BlendOptions(), SamplingOptions(), AnswerOptions()
        )
        changed = with_pair_value(options, each.on("chat"), text)
        return getattr(ModelSettings(**changed.runtime.settings_for("base")), each.field)
    changed = with_setting(ChatSettings(), each.on("chat"), text, tuple(METHODS))
    return getattr(getattr(changed, part), each.field)


def by_saved_chat(part, each, value, folder):
    start = ChatSettings()
    changed = replace(start, **{part: replace(getattr(start, part), **{each.field: value})})
    save(ChatHistory(settings=changed), folder / "chat.jsonl")
    return getattr(getattr(load(folder / "chat.jsonl", start).settings, part), each.field)


def by_row(part, each, value):
    row = interpret(RawRow(1, {"prompt": "x", each.on("row"): json.loads(json.dumps(value))}), DEFAULTS)
    if not isinstance(row, Row):
        raise UsageError(row.message)
    assert not row.unused
    return getattr(getattr(row.request, part), each.field)


def by_sweep(part, each, value):
    sampled = part == "sampling" and each.field != "temperature"
    words = f"{each.on('sweep')}={typed(value)}{',temp=1' if sampled else ''}"
    [variant] = variants_of(f"blendin[{words}]", (), BlendSettings())
    return getattr(variant.sampling if part == "sampling" else variant.blend(BlendSettings()), each.field)


WAYS = {
    "cli": lambda part, each, value, folder: by_option(part, each, value),
    "toml": by_file,
    "chat": lambda part, each, value, folder: by_chat(part, each, value),
    "save": by_saved_chat,
    "row": lambda part, each, value, folder: by_row(part, each, value),
    "sweep": lambda part, each, value, folder: by_sweep(part, each, value),
}


@pytest.mark.parametrize(("part", "each"), EVERY)
def test_every_surface_sets_every_setting(part, each, tmp_path):
    """A value given there arrives; a surface that does not offer a setting says why in the table."""
    for surface in SURFACES:
        if isinstance(each.names[surface], Excluded):
            assert len(each.names[surface].reason.split()) > 3
        else:
            assert WAYS[surface](part, each, allowed(each), tmp_path) == allowed(each), surface


@pytest.mark.parametrize(("part", "each"), EVERY)
def test_every_surface_refuses_the_same_values(part, each, tmp_path):
    """What lies outside the interval is one UsageError with the value, wherever it is given."""
    for value in refused(each):
        with pytest.raises(UsageError):
            TABLES[part](**{each.field: value})
        for surface in set(SURFACES) - {"save"}:
            if not isinstance(each.names[surface], Excluded):
                with pytest.raises(UsageError, match=re.escape(str(value))):
                    WAYS[surface](part, each, value, tmp_path)


@pytest.mark.parametrize(("part", "each"), EVERY)
def test_help_shows_each_setting_with_its_default(part, each):
    """`blendin run --help` has every flag; its help ends with the default of the table."""
    if not each.flags:
        return
    shown = " ".join(re.sub("[│╭╰─╮╯]", " ", help_text()).split())
    for flag in each.flags:
        assert flag in shown
    assert each.help_text in shown
    if each.kind != "texts":
        assert f"default {each.word_of(each.default)})" in each.help_text


@cache
def help_text():
    result = CliRunner().invoke(
        build_app(), ["run", "--help"], env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"}
    )
    assert result.exit_code == 0
    return result.stdout


def test_the_method_names_in_help_are_those_that_exist():
    """The table cannot import the methods, so its words about them are held here."""
    [method] = (each for each in settings_of(BlendSettings) if each.field == "method")
    named = re.split(", | or ", method.help.removeprefix("Decoding method: ").removesuffix("."))
    assert set(named) == set(METHODS)


def test_the_chat_lists_and_reads_back_every_value():
    """What `/set` shows of a setting, it also takes."""
    for name, (part, each) in SETTABLE.items():
        settings = ChatSettings()
        settings = replace(
            settings, **{part: replace(getattr(settings, part), **{each.field: allowed(each)})}
        )
        shown = values_as_text(settings)[name]
        assert with_setting(ChatSettings(), name, shown, tuple(METHODS)) == settings
        default = values_as_text(ChatSettings())[name]
        assert with_setting(settings, name, default, tuple(METHODS)) == ChatSettings()


def test_a_saved_chat_keeps_all_its_settings(tmp_path):
    """Fitted temperatures, the filter and the kept candidates too, so that alpha calibrated can be loaded."""
    blend = BlendSettings(alpha="calibrated", base_temperature=1.5, guide_temperature=0.7, filter_top_k=3)
    settings = ChatSettings(blend=blend, answer=AnswerSettings(top_logprobs=3, stop=("\n", "x")))
    save(ChatHistory(settings=settings), tmp_path / "chat.jsonl")

    assert load(tmp_path / "chat.jsonl", ChatSettings()).settings == settings


def test_later_settings_stand_in_records_only_where_they_are_not_the_default():
    """So answers, batches and conversations of version 0.1 have the settings that they would have today."""
    of_version_0_1 = {"method", "threshold", "alpha", "agreement_bonus", "top_k", "cap", "filter_top_k"}
    of_version_0_1 |= {"bridge", "base_temperature", "guide_temperature"}

    assert BlendSettings().to_json().keys() == of_version_0_1
    assert {each.field for each in settings_of(BlendSettings)} == of_version_0_1 | set(LATER_FIELDS)
    for each in settings_of(BlendSettings):
        if each.field in LATER_FIELDS:
            record = BlendSettings(**{each.field: allowed(each)}).to_json()
            value = allowed(each)
            value = list(value) if isinstance(value, tuple) else value
            assert record == {**BlendSettings().to_json(), each.field: value}


def test_an_older_chat_sets_what_it_says(tmp_path):
    """A file of version 0.1, which knew fewer settings, leaves the others as they are."""
    settings = {"blend": {"threshold": 0.2}, "sampling": {}, "answer": {"stop": ["x"]}}
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps({"type": "blendin-chat", "settings": settings}))
    fitted = ChatSettings(blend=BlendSettings(base_temperature=2.0))

    found = load(path, fitted).settings
    assert found.blend == replace(fitted.blend, threshold=0.2)
    assert found.answer == replace(fitted.answer, stop=("x",))


def test_parts_of_a_chat_are_tables():
    """Another class of settings for answers would have to be offered by the chat too."""
    assert set(PARTS) == {"blend", "sampling", "answer", "terminal"}
    assert all(isinstance(getattr(ChatSettings(), part), table) for part, table in PARTS.items())


NEW_SETTING = """    freshness: float = setting(0.5, "How fresh.", low=0, high=2, env="BLENDIN_FRESHNESS")
"""
PROBE = """
import sys
from pathlib import Path
from tests import test_settings as t
from blendin_local.settings import BlendSettings, settings_of
from blendin_local.cli.manage.actions import pair_view
from blendin_local.views.theme import make_console

folder = Path(sys.argv[1])
[each] = (each for each in settings_of(BlendSettings) if each.field == "freshness")
for surface, way in t.WAYS.items():
    assert way("blend", each, 1.5, folder) == 1.5, surface
    if surface != "save":
        try:
            way("blend", each, 2.5, folder)
        except t.UsageError as error:
            assert "freshness is 2.5" in str(error), error
        else:
            raise AssertionError(surface)
assert "--freshness" in t.help_text()
assert "How fresh. (0 to 2; default 0.5)" in t.help_text()
t.by_file("blend", each, 1.5, folder)
pair = t.load_registry(folder / "pairs.toml", env={}, cwd=folder).pairs["x"]
console = make_console(sys.stdout)
console.print(pair_view(pair, {}))
"""


def test_a_new_setting_is_one_line(tmp_path):
    """One line in the table, in a copy of the program, and every surface has it, `show` included."""
    for name in ("blendin_local", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "data"))
    shutil.copy(ROOT / "models.toml", tmp_path)
    table = tmp_path / "blendin_local" / "settings" / "blend.py"
    source = table.read_text()
    assert source.count("    threshold: float = setting(") == 1
    table.write_text(
        source.replace("    threshold: float = setting(", NEW_SETTING + "    threshold: float = setting(")
    )

    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"freshness +1.5", done.stdout)


@dataclass(frozen=True)
class Misnamed:
    size: int = setting(1, "A size.", low=0)


def test_a_surface_that_does_not_exist_is_a_mistake_of_ours():
    """Only the surfaces of the program can be named in the table."""
    with pytest.raises(TypeError, match="no surface 'window'"):
        setting(1, "A size.", window="size")
    assert [each.name for each in settings_of(Misnamed)] == ["size"]


@pytest.mark.parametrize(
    ("table", "values", "says"),
    [
        (BlendSettings, {"threshold": "high"}, "threshold is 'high'"),
        (BlendSettings, {"threshold": True}, "threshold is True"),
        (BlendSettings, {"method": 3}, "method is 3"),
        (ModelSettings, {"kv_type": "f64"}, "kv-type is 'f64'"),
        (ModelSettings, {"mmap": 1}, "mmap is 1"),
        (AnswerSettings, {"stop": "\n"}, "stop is"),
        (AnswerSettings, {"loop_guard": None}, "loop-guard is None"),
        (SamplingSettings, {"seed": "7"}, "seed is '7'"),
    ],
)
def test_settings_refuse_values_of_another_type(table, values, says):
    """From Python, too, a wrong value is one of our errors and not a surprise later."""
    with pytest.raises(UsageError, match=says):
        table(**values)
