"""Which option an answer names: forms that people and models write, and laws for all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blendin_local.jobs.evaluation.scorers.choices import LETTERS, read_choice

OPTIONS = ("Red apples", "Green apples", "Apples", "A planet")
B_FORMS = [
    "B", "b", "(B)", "(b)", "B.", "B)", "“B”", "'B'", "**B**", "\n B \n", "B. Green apples",
    "B) Green apples", "B because it is", "The answer is B", "The answer is (B).",
    "The answer is **B. Green apples**", "Answer: B",
    "Answer:\nB", "**Answer:** B", "**Answer: B**", "The correct answer is: B", "The best choice is B.",
    "Option B is correct.", "The correct option is B", "B is the right answer", "My answer would be B",
    "\\boxed{B}", "$\\boxed{\\text{B}}$", "the final answer is $B$", "Green apples", "green apples!",
    "It must be the green apples, of config", "Let us see. A is wrong. C is wrong. So the answer is B.",
    "B\n\nQuestion: which?\nAnswer: C", "Question: which?\nA. Red apples\nB. Green apples\nAnswer: B",
    "A. Red apples\nB. Green apples\nC. Apples\nD. A planet\n\nThe answer is B.",
    "Option B: Green apples.",
    "Option A: too red. Option B: green. Option C: no. Therefore, the correct answer is B.",
    "I choose option B", "B\nAnswer:\nB\nAnswer:\nB", "B\nB\nB",
    "B. Green apples\n\nWhy? A. is too red.",
    "1. Option A is wrong.\n2. Option C is wrong.\n\n**Final answer:** B", "$\\boxed{B. Green apples}$",
]  # fmt: skip
NO_PARSE = [
    "", "  \n", "I don't know", "E", "A or B", "A, B", "Both A and B", "The answer is A or B",
    "The answer is A and B",
    "The answer is A. The answer is B.", "The answer is not B", "Red apples and green apples",
    "A. Red apples\nB. Green apples\nC. Apples\nD. A planet", "Perhaps (A), perhaps (C)",
    "Option A: too red. Option B: green.", "C. Apples\nD. A planet", "A\n\nB\n\nC",
    "A. Red apples\nB. Green apples\nAnswer:\nA. Red apples\nB. Green apples\nAnswer:\nA. Red",
]  # fmt: skip


@pytest.mark.parametrize("answer", B_FORMS)
def test_many_forms_of_one_option(answer):
    """A letter alone, in brackets, in Markdown, in a sentence, and the option's text all name it."""
    assert read_choice(answer, OPTIONS) == 1


@pytest.mark.parametrize("answer", NO_PARSE)
def test_nothing_or_several_is_no_parse(answer):
    """An empty answer, an unknown letter, two letters and a repeated list of options name nothing."""
    assert read_choice(answer, OPTIONS) is None


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("The answer is a planet", 3),  # the article is no letter
        ("The answer is A planet", 3),
        ("A planet is big", 3),
        ("The answer is A because it is", 0),
        ("A", 0),
        ("A. Red apples", 0),
        ("I think apples", 2),  # the shorter option, where the longer ones do not stand
        ("I think red apples", 0),  # the longer option, not the one inside it
        ("B is right, A is wrong", 1),
    ],
)
def test_letters_and_words_are_told_apart(answer, index):
    """`A` as an article, options inside options, a letter said wrong."""
    assert read_choice(answer, OPTIONS) == index


@given(st.integers(1, 10), st.data(), st.sampled_from(["{}", "({})", "{}.", "**{}**", "The answer is {}."]))
def test_a_letter_names_its_option(n, data, form):
    """Law: for any number of options, each letter form names the option of that letter."""
    index = data.draw(st.integers(0, n - 1))
    options = [f"option number {i}" for i in range(n)]

    assert read_choice(form.format(LETTERS[index]), options) == index


@given(st.text(max_size=200), st.integers(1, 5))
def test_any_text_is_read_or_not(answer, n):
    """Law: whatever was generated, the result is an option or None."""
    assert read_choice(answer, [f"word{i}" for i in range(n)]) in {None, *range(n)}


@given(st.permutations(["salt", "sugar", "rice", "tea"]))
def test_a_text_is_found_wherever_it_stands(options):
    """Law: an option's text names it in every order of the options."""
    assert options[read_choice("I would say sugar.", options)] == "sugar"
