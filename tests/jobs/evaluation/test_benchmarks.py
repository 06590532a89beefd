"""The seven benchmarks and their data: every row becomes a question with a right answer that scores 1."""

import os
import shutil
import time
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from blendin_local.errors import UsageError
from blendin_local.jobs.evaluation.benchmarks import BENCHMARKS
from blendin_local.jobs.evaluation.benchmarks.prompts import LETTERS
from blendin_local.jobs.evaluation.dataset import DATA
from blendin_local.jobs.evaluation.scorers.choices import read_choice
from tests.paths import ROOT
from tools.make_subsets import ROWS, make_subsets

FULL = Path(os.environ.get("BLENDIN_TEST_DATA", ROOT.parent / "shared" / "data"))
CHOICES = ("mmlu", "arc-challenge", "truthfulqa")
full_data = pytest.mark.skipif(not FULL.is_dir(), reason="the complete data are not part of the repository")


@pytest.fixture(params=list(BENCHMARKS))
def benchmark(request):
    """Each benchmark in turn."""
    return BENCHMARKS[request.param]


def test_the_shipped_subset_is_whole(benchmark):
    """100 questions with keys of their own, all of which can be scored, beside their licence and authors."""
    items = benchmark.load()
    folder = benchmark.file.path().parent

    assert len(items) == ROWS == len({item.key for item in items})
    assert benchmark.left_out() == []
    assert "Licence:" in (folder / "ATTRIBUTION.txt").read_text()
    assert (folder / "LICENSE").is_file() or "legalcode" in (folder / "ATTRIBUTION.txt").read_text()


def test_an_empty_answer_scores_nothing(benchmark):
    """An empty answer has no parse and no point anywhere."""
    verdicts = [benchmark.score(item, "") for item in benchmark.load()]

    assert {verdict.parsed for verdict in verdicts} == {None}
    assert not any(score for verdict in verdicts for score in verdict.scores.values())


def test_every_metric_is_measured(benchmark):
    """The metrics of the verdicts are those the benchmark names, and one is the main figure."""
    verdicts = [benchmark.score(item, "Well, 12.") for item in benchmark.load()]

    assert {name for verdict in verdicts for name in verdict.scores} == set(benchmark.metrics)
    assert benchmark.main_figure in benchmark.parts


def test_gsm8k_scores_its_own_solutions():
    """Each published solution scores 1, also without its mark; half of the right number scores 0."""
    benchmark = BENCHMARKS["gsm8k"]
    rows = benchmark.read()

    for row, item in rows:
        solution = row.values["answer"]
        number = item.reference["number"]
        assert benchmark.score(item, solution).scores == {"accuracy": 1, "strict": 1}
        assert benchmark.score(item, f"It is ${number}.\nQuestion: 7?").scores == {"accuracy": 1, "strict": 0}
        assert benchmark.score(item, f"It is {number}.5").scores["accuracy"] == 0


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_shown_shuffled_and_scored(name):
    """The prompt shows each option under its letter; the right letter scores 1, the others 0."""
    benchmark = BENCHMARKS[name]
    for item in benchmark.load():
        for index, option in enumerate(item.options):
            assert f"\n{LETTERS[index]}. {option}" in item.prompt
            right = float(index == item.gold)
            assert benchmark.score(item, f"The answer is {LETTERS[index]}.").scores["accuracy"] == right
        assert benchmark.score(item, LETTERS[item.gold]).parsed == LETTERS[item.gold]


@pytest.mark.slow
@full_data
@pytest.mark.parametrize("name", CHOICES)
def test_an_option_in_full_names_itself(name):
    """In complete sets, an answer that is an option's text names it, but for one in a thousand."""
    items = BENCHMARKS[name].load(FULL)
    read = [read_choice(text, item.options) == n for item in items for n, text in enumerate(item.options)]

    assert sum(read) >= 0.999 * len(read)


@pytest.mark.parametrize("name", CHOICES)
def test_no_letter_gives_the_answer_away(name):
    """The right option stands under every letter about equally often, and elsewhere with another seed."""
    benchmark = BENCHMARKS[name]
    items, others = benchmark.load(), benchmark.load(seed=1)
    golds = Counter(item.gold for item in items)

    assert max(golds.values()) <= 40
    assert len(golds) >= 4
    assert [item.gold for item in items] != [item.gold for item in others]
    for item, other in zip(items, others, strict=True):
        assert item.options[item.gold] == other.options[other.gold]
        assert item.key == other.key


def test_truthfulqa_shows_one_true_answer():
    """The other true answers are kept for MC2 and are not among the options."""
    for item in BENCHMARKS["truthfulqa"].load():
        assert not set(item.options) & set(item.reference["further_true"])
        assert len(set(item.options)) == len(item.options)


def test_xstest_scores_each_half_for_itself():
    """A safe prompt is scored on complying only, an unsafe one on refusing only."""
    benchmark = BENCHMARKS["xstest"]
    for item in benchmark.load():
        safe = item.reference["label"] == "safe"
        metric = "complied_safe" if safe else "refused_unsafe"
        assert benchmark.score(item, "Of config: like this.").scores == {metric: float(safe)}
        assert benchmark.score(item, "I'm sorry, but I can't.").scores == {metric: float(not safe)}


@pytest.mark.parametrize(
    ("answer", "refused", "declined"),
    [
        ("I'm sorry, but I can't help with that.", 1.0, 1.0),
        ("I will not do this.", 1.0, 1.0),
        ("I'm sorry to hear that. Here is how it is done.", 1.0, 0.0),
        ("Sure, here is how it is done.", 0.0, 0.0),
        ("", 0.0, 0.0),
    ],
)
def test_pity_is_a_refusal_by_the_published_rule_only(answer, refused, declined):
    """`refused` follows the authors' prefixes, `declined` wants a no in words."""
    benchmark = BENCHMARKS["justeval-safe"]
    verdict = benchmark.score(benchmark.load()[0], answer)
    assert verdict.scores == {"refused": refused, "declined": declined}


def test_only_requests_with_a_licence_are_shipped():
    """None of the MaliciousInstruct rows is in the package."""
    items = BENCHMARKS["justeval-safe"].load()

    assert {item.stratum for item in items} == {"hh-rlhf/red-team-attempts"}
    assert {int(item.key) for item in items} == set(range(800, 900))


@pytest.mark.slow
@full_data
def test_the_subsets_can_be_made_anew(tmp_path):
    """The script makes, from the complete data, the very bytes that are shipped."""
    for made in make_subsets(FULL, tmp_path):
        assert made.read_bytes() == (DATA / made.relative_to(tmp_path)).read_bytes()


@pytest.mark.slow
@full_data
def test_complete_sets_load(benchmark):
    """The complete sets have their known sizes and unique keys, and hold the shipped questions unchanged."""
    sizes = {
        "gsm8k": 1319, "mmlu": 14042, "truthfulqa": 817, "arc-challenge": 1172, "xstest": 450,
        "justeval-safe": 200,
    }  # fmt: skip
    items = {item.key: item for item in benchmark.load(FULL)}
    rows = len(items) + len(benchmark.left_out(FULL))

    assert rows == sizes.get(benchmark.name, rows)
    assert rows == len(benchmark.file.rows(FULL))
    assert all(items[item.key] == item for item in benchmark.load())


@full_data
def test_ifeval_says_what_drops_out():
    """Only prompts that need a splitter of sentences drop out, and each says so."""
    reasons = Counter(out.reason for out in BENCHMARKS["ifeval"].left_out(FULL))

    assert set(reasons) == {"no check for number_sentences", "no check for capital_word_frequency"}


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    """A file with its rows reversed has the same questions with the same options."""
    table = BENCHMARKS["mmlu"].file
    lines = table.path().read_text().splitlines()
    table.path(tmp_path).parent.mkdir()
    table.path(tmp_path).write_text("\n".join(reversed(lines)))

    assert BENCHMARKS["mmlu"].load(tmp_path) == BENCHMARKS["mmlu"].load()[::-1]


def test_a_question_that_comes_twice_has_two_keys(tmp_path):
    """A repeated row is asked again, under a key of its own."""
    table = BENCHMARKS["mmlu"].file
    line = table.path().read_text().splitlines()[0]
    table.path(tmp_path).parent.mkdir()
    table.path(tmp_path).write_text(f"{line}\n{line}\n")
    first, second = BENCHMARKS["mmlu"].load(tmp_path)

    assert second.key == f"{first.key}-2"
    assert second.prompt == first.prompt


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("gsm8k", '{"question": "?"}', ["line 1", "no answer"]),
        ("gsm8k", '{"question": "?", "answer": "4"}', ["line 1", "####"]),
        ("gsm8k", '\n{"question": 3, "answer": "#### 4"}', ["line 2", "question is 3"]),
        ("gsm8k", "[]", ["line 1", "not an object"]),
        ("gsm8k", '{"question', ["line 1", "not JSON"]),
        ("gsm8k", "", ["no rows"]),
        ("mmlu", '{"subject": "s", "question": "?", "choices": ["a"], "answer": "x"}', ["answer is 'x'"]),
        ("mmlu", '{"subject": "s", "question": "?", "choices": ["a"], "answer": 1}', ["only 1"]),
        ("mmlu", '{"subject": "s", "question": "?", "choices": "a", "answer": 0}', ["choices is 'a'"]),
        (
            "arc-challenge",
            '{"id": "1", "question": "?", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"}',
            ["answerKey is 'B'"],
        ),
        (
            "arc-challenge",
            '{"id": "1", "question": "?", "choices": {"text": ["a", "b"], "label": ["A"]}, "answerKey": "A"}',
            ["2 texts", "1 labels"],
        ),
        (
            "arc-challenge",
            '{"id": "1", "question": "?", "choices": [], "answerKey": "B"}',
            ["choices is not"],
        ),
        ("xstest", "id,prompt,type\n1,p,t", ["line 2", "no label"]),
        ("xstest", "id,prompt,type,label\n1,p,t,maybe", ["line 2", "'maybe'"]),
        ("xstest", "id,prompt,type,label\n1,p,t,safe,more", ["line 2", "more fields"]),
        ("xstest", 'id,prompt,type,label\n1,"p\nq",t,safe\n2,p,t,bad', ["line 4", "'bad'"]),
        (
            "ifeval",
            '{"key": 1, "prompt": "?", "instruction_id_list": ["punctuation:no_comma"], "kwargs": []}',
            ["kwargs"],
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path, name, text, words):
    """The message names the file, the line and what is wrong with it."""
    path = BENCHMARKS[name].file.path(tmp_path)
    path.parent.mkdir()
    path.write_text(text)

    with pytest.raises(UsageError) as caught:
        BENCHMARKS[name].load(tmp_path)
    assert str(path) in caught.value.message
    assert all(word in caught.value.message for word in words), caught.value.message


def test_a_missing_file_is_named(tmp_path):
    """Without the file the message says where it was looked for, and the hint how a data folder looks."""
    with pytest.raises(UsageError) as caught:
        BENCHMARKS["gsm8k"].load(tmp_path)

    assert str(tmp_path / "gsm8k" / "test.jsonl") in caught.value.message
    assert "gsm8k/test.jsonl" in caught.value.hint


@pytest.mark.slow
def test_scoring_is_quick():
    """A run of all benchmarks with four answers to each question is scored in well under ten seconds."""
    began = time.perf_counter()
    for benchmark in BENCHMARKS.values():
        for item in benchmark.load():
            for number in range(4):
                benchmark.score(item, f"{number}. " + "The tall man, who was old, sold 12 apples.\n" * 40)

    assert time.perf_counter() - began < 8


NASTY = (
    "(",
    "*",
    "\n",
    "the answer is **",
    "A",
    "1",
    "-",
    "1,",
    "####",
    '"',
    "<<",
    "I ",
    "B or ",
    "\n* ",
    " \t",
)


@pytest.mark.slow
@pytest.mark.parametrize("piece", NASTY)
def test_endless_repetition_is_read_in_no_time(benchmark, piece):
    """What a model repeats to the limit, thousands of characters long, is scored at once."""
    answer = (piece * 4000)[:8000]
    items = benchmark.load()[:10]
    began = time.perf_counter()
    for item in items:
        benchmark.score(item, answer)
        benchmark.score(item, f"The answer is {answer}")

    assert time.perf_counter() - began < 5


def test_the_wheel_carries_the_data(tmp_path):
    """The package built from the tree holds every data file with its licence, and together they are small."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheel")
    tree = tmp_path / "tree"
    shutil.copytree(
        ROOT / "blendin_local", tree / "blendin_local", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE", "models.toml"):
        shutil.copy(ROOT / name, tree / name)
    [wheel] = builders.WheelBuilder(str(tree)).build(directory=str(tmp_path), versions=["standard"])
    shipped = {str(path.relative_to(ROOT)) for path in DATA.rglob("*") if path.is_file()}
    shipped |= {"blendin_local/reports/paper/paper.json", "blendin_local/jobs/replay/data/example.jsonl.gz"}
    with zipfile.ZipFile(wheel) as archive:
        packed = {info.filename: info.file_size for info in archive.infolist()}

    assert shipped <= set(packed)
    assert sum(packed[name] for name in shipped) < 1_500_000


def test_every_benchmark_has_its_documents():
    """Each benchmark is in docs/benchmarks.md with its licence; what scoring needs is in the extra `eval`."""
    document = (ROOT / "docs" / "benchmarks.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    for benchmark in BENCHMARKS.values():
        assert f"`{benchmark.name}`" in document
        assert benchmark.licence.partition(" (")[0] in document
    assert {"scipy", "langdetect"} == {
        name.partition(">")[0] for name in project["optional-dependencies"]["eval"]
    }
    assert not {"scipy", "langdetect"} & {name.partition(">")[0] for name in project["dependencies"]}
    assert "blendin-local[eval]" in project["optional-dependencies"]["test"]
