r"""Instructions that a program can check (IFEval): how long, which words, which form.

Here: `CHECKS`, one small function per kind of instruction; `follows`, strict or loose.
Not here: which prompts drop out (`jobs.evaluation.benchmarks.ifeval`), the detector of languages
(`languages`).

Definitions: Zhou et al., Instruction-Following Evaluation for Large Language Models, 2023, and the behaviour
of the program published with it, rewritten. Two of its 25 kinds are missing, `number_sentences` and
`capital_word_frequency`: both need the data of NLTK's sentence splitter, a download.
Agreement with the published program, as it is in lm-evaluation-harness 0.4.13: on 35,400 pairs of an
instruction and a random answer, strict and loose, 26 pairs differ. 24 are the one prompt with the
"letter" `#`, which is counted here and replaced by a random letter there; 2 are words whose vowel signs
the newest NLTK counts as part of a word and `\w` does not. A keyword is taken word for word here and as a
pattern there; none in the data has a special character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Check = Callable[..., bool]
SENTENCES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
POSTSCRIPTS = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}


def follows(kind: str, arguments: Mapping[str, Any], answer: str, *, loose: bool = False) -> bool:
    """Whether an answer obeys one instruction.

    Args:
        kind: A key of `CHECKS`.
        arguments: What the instruction asks for.
        answer: The answer; an empty one obeys nothing.
        loose: Whether it is enough that one of the answer's `variants` obeys.
    """
    check = CHECKS[kind]
    texts = variants(answer) if loose else [answer]
    return any(check(text, **arguments) for text in texts if text.strip())


def variants(answer: str) -> list[str]:
    """The eight variants of the loose rule: with and without the first line, the last line, and `*`."""
    lines = answer.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    found = [answer, *cut]
    return list(dict.fromkeys(found + [text.replace("*", "") for text in found]))


def compare(count: int, relation: str, threshold: int) -> bool:
    """`at least` or `less than`, the only two relations in the data set."""
    return count < threshold if relation == "less than" else count >= threshold


def _found(pattern: str, text: str) -> int:
    return len(re.findall(pattern, text, re.MULTILINE))


def existence(text: str, keywords: Sequence[str]) -> bool:
    """Every keyword occurs, in any case, also inside a longer word."""
    return all(word.lower() in text.lower() for word in keywords)


def frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    """A keyword occurs this often."""
    return compare(text.lower().count(keyword.strip().lower()), relation, frequency)


def forbidden_words(text: str, forbidden_words: Sequence[str]) -> bool:
    """None of the words occurs as a whole word."""
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in forbidden_words)


def letter_frequency(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    """A letter occurs this often, in any case."""
    return compare(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


def response_language(text: str, language: str) -> bool:
    """The answer is in this language; one that gives no sign of any language passes."""
    from blendin_local.jobs.scoring.languages import detect  # noqa: PLC0415 - needs the extra `eval`

    return detect(text) in {language, None}


def number_words(text: str, num_words: int, relation: str) -> bool:
    r"""This many words, a word being a run of `\w`."""
    return compare(_found(r"\w+", text), relation, num_words)


def number_paragraphs(text: str, num_paragraphs: int) -> bool:
    """Exactly this many paragraphs with `***` between them; none but the first and last may be empty."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    return all(parts[1:-1]) and sum(map(bool, parts)) == num_paragraphs


def nth_paragraph_first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """This many paragraphs with an empty line between them, the nth starting with a word."""
    parts = text.split("\n\n")
    count = sum(bool(part.strip()) for part in parts)
    if count != num_paragraphs or nth_paragraph > count:
        return False
    word = (parts[nth_paragraph - 1].split() or [""])[0].lstrip("'").lstrip('"').lower()
    return bool(word) and re.split(r"[.,?!'\"]", word)[0] == first_word.lower()


def number_placeholders(text: str, num_placeholders: int) -> bool:
    """At least this many texts in square brackets on one line."""
    return _found(r"\[.*?\]", text) >= num_placeholders


def postscript(text: str, postscript_marker: str) -> bool:
    """A postscript with this mark; spaces between its letters are free."""
    marker = postscript_marker.strip()
    return re.search(POSTSCRIPTS.get(marker, re.escape(marker.lower())), text.lower()) is not None


def number_bullet_lists(text: str, num_bullets: int) -> bool:
    """Exactly this many lines that begin with `*` (but not `**`) or `-`."""
    return _found(r"^\s*\*[^\*].*$", text) + _found(r"^\s*-.*$", text) == num_bullets


def constrained_response(text: str) -> bool:
    """One of the three answers that may be given."""
    return any(sentence in text for sentence in SENTENCES)


def number_highlighted_sections(text: str, num_highlights: int) -> bool:
    """At least this many texts between `*`; one between `**` counts for itself."""
    single = [hit for hit in re.findall(r"\*[^\n\*]*\*", text) if hit.strip("*").strip()]
    double = [hit for hit in re.findall(r"\*\*[^\n\*]*\*\*", text) if hit[2:-2].strip()]
    return len(single) + len(double) >= num_highlights


def multiple_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    """At least this many sections, each with a word and a number before it."""
    return _found(rf"\s?{re.escape(section_spliter.strip())}\s?\d+\s?", text) >= num_sections


def json_format(text: str) -> bool:
    """All of it is JSON, inside a Markdown fence or not."""
    inside = re.sub(r"\A```(?:json|Json|JSON)?|```\Z", "", text.strip()).strip()
    try:
        json.loads(inside)
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """A title in double angular brackets."""
    return any(hit.lstrip("<").rstrip(">").strip() for hit in re.findall(r"<<[^\n]+>>", text))


def two_responses(text: str) -> bool:
    """Two different answers with `******` between them."""
    parts = [part.strip() for part in text.split("******")]
    given = [part for part in parts if part]
    return all(parts[1:-1]) and len(given) == 2 and given[0] != given[1]


def repeat_prompt(text: str, prompt_to_repeat: str) -> bool:
    """It begins with the request, word for word."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def end_checker(text: str, end_phrase: str) -> bool:
    """It ends with this phrase."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def english_capital(text: str) -> bool:
    """English, without a small letter."""
    return text.isupper() and response_language(text, "en")


def english_lowercase(text: str) -> bool:
    """English, without a capital."""
    return text.islower() and response_language(text, "en")


def no_comma(text: str) -> bool:
    """No comma anywhere."""
    return "," not in text


def quotation(text: str) -> bool:
    """All of it between double quotation marks."""
    text = text.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


CHECKS: Mapping[str, Check] = {
    "keywords:existence": existence,
    "keywords:frequency": frequency,
    "keywords:forbidden_words": forbidden_words,
    "keywords:letter_frequency": letter_frequency,
    "language:response_language": response_language,
    "length_constraints:number_words": number_words,
    "length_constraints:number_paragraphs": number_paragraphs,
    "length_constraints:nth_paragraph_first_word": nth_paragraph_first_word,
    "detectable_content:number_placeholders": number_placeholders,
    "detectable_content:postscript": postscript,
    "detectable_format:number_bullet_lists": number_bullet_lists,
    "detectable_format:constrained_response": constrained_response,
    "detectable_format:number_highlighted_sections": number_highlighted_sections,
    "detectable_format:multiple_sections": multiple_sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": title,
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_checker,
    "startend:quotation": quotation,
    "change_case:english_capital": english_capital,
    "change_case:english_lowercase": english_lowercase,
    "punctuation:no_comma": no_comma,
}
