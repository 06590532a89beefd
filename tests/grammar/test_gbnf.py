"""GBNF as llama.cpp reads it: the same texts match, and errors have line and column."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blendin_local.errors import UsageError
from blendin_local.grammar.definition import Definition
from blendin_local.grammar.gbnf.lark import to_lark
from blendin_local.grammar.gbnf.nodes import (
    Characters,
    Choice,
    Literal,
    Reference,
    Repeated,
    Sequence,
)
from blendin_local.grammar.gbnf.parser import parse
from blendin_local.grammar.reading import read_definition
from tests.forms import matches, may_begin

JSON = r"""
# any JSON value, on one line or several
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( pair ("," ws pair)* )? "}" ws
pair   ::= string ":" ws value
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)? ([eE] [-+]? [0-9]+)? ws
ws     ::= [ \t\n]{0,20}
"""
LIST = """
root ::= ("- " item)+
item ::= [^\\n]+ "\\n"
"""
SUM = """
root ::= term ([-+*/] term)*
term ::= "x" | [0-9]+ | "(" root ")"
"""


def grammar_of(text):
    return read_definition(Definition("gbnf", text))


@pytest.mark.parametrize(
    ("grammar", "yes", "no"),
    [
        (
            JSON,
            ['{"a": [1, -2.5e3, "é\\n\\u00e9"],\n "b": {}}', '{"a":true}'],
            ["{", "[1]", '{"a": 01}', "{'a': 1}"],
        ),
        (LIST, ["- one\n", "- one\n- two\n"], ["", "- \n", "- one", "one\n"]),
        (SUM, ["x", "(x+12)*3"], ["x+", "()", "(x"]),
        ('root ::= [a-z.]+ "."', ["a.", "a.b..", "..."], [".", "a"]),
        ('root ::= name "." \nname ::= [a-z.]+', ["a.", "..."], [".", "a"]),
        ('root ::= ("a" | "ab") "bc"', ["abc", "abbc"], ["ab", "abb"]),
        ("root ::= .{2}", ["\n\n", "é😀"], ["a", "abc"]),
        (r'root ::= "\u00e9\xe9\U0001F600"', ["éé😀"], ["ée"]),
        (r"root ::= [\]\-\[^~&|]+", ["]-[^~&|"], ["a", "\\"]),
        ("root ::= [a-]+", ["a-"], ["b"]),
        ("root ::= [^a-c]", ["d", "é", "\n"], ["a", "b", ""]),
        (
            "root ::= my-rule myRule my_rule\nmy-rule ::= [a]\nmyRule ::= [b]\nmy_rule ::= [c]",
            ["abc"],
            ["aaa", "ccc"],
        ),
        ("root ::= start\nstart ::= import\nimport ::= [a]", ["a"], [""]),
        ('root ::= "a" |', ["a", ""], ["b"]),
        ('root ::= (\n  "a" | # one\n  "b"\n)\r\n', ["a", "b"], ["c"]),
        ('root ::= "ab"{2,3} [c]{2} "d"{0,1} "e"{1,}', ["ababccde", "abababccee"], ["abcce", "ababcde"]),
        ('root ::= "a"??', ["a", ""], ["aa"]),
        ('root ::= "x" | "(" root ")" [a-z.]+ "."', ["(x)a.", "((x)..)b.c."], ["(x)a", "(x)."]),
        ('root ::= "b" | root "a"', ["b", "baa"], ["a", ""]),
        ('root ::= "a" | "b" endless\nendless ::= "c" endless', ["a"], ["b", "bc"]),
        (r'root ::= "\t\r\"\\/"', ['\t\r"\\/'], ["t"]),
    ],
)
def test_the_texts_that_llama_cpp_takes_match(grammar, yes, no):
    """Examples of every part of the language."""
    written = grammar_of(grammar)
    assert [text for text in yes if not matches(written, text)] == []
    assert [text for text in no if matches(written, text)] == []


@pytest.mark.parametrize(
    ("grammar", "says"),
    [
        ('root := "a"', "line 1, column 6: ::= is missing"),
        ('root ::= "a" (\n"b"', "line 1, column 14: this parenthesis is not closed"),
        ('root ::= "a', "line 1, column 10: this quotation mark is not closed"),
        ("root ::= [a", "line 1, column 10: this bracket is not closed"),
        ("root ::= [a\\", "line 1, column 10: this bracket is not closed"),
        ("root ::= []", "line 1, column 10: there is no character between"),
        ("root ::= [z-a]", "line 1, column 11: this range of characters ends before"),
        ('root ::= "\\q"', "line 1, column 11: there is no escape \\q"),
        ('root ::= "\\u12"', "line 1, column 11: this escape needs 4 hexadecimal digits"),
        ('root ::= "\\ud800"', "line 1, column 11: there is no character with this number"),
        ('root ::= "a"{,3}', "line 1, column 14: a number of times is missing"),
        ('root ::= "a"{3,2}', "line 1, column 13: the largest number of times is below"),
        ("root ::= *", "line 1, column 10: there is nothing that * could repeat"),
        ('root ::= "a"\n  | "b"', "line 2, column 3: the name of a rule is missing"),
        ('root ::= "a" )', "line 1, column 14: a rule must end with its line"),
        ('root ::= "a"\nroot ::= "b"', "line 2, column 1: the rule root is there twice, first in line 1"),
        ("root ::= <think>", "line 1, column 10: tokens such as <think> are not supported"),
        ("root ::= " + "(" * 60, "more than 50 parentheses are open"),
        ("root ::= x", "the grammar has no rule x, which the rule root refers to"),
        ('x ::= "a"', "the grammar has no rule root"),
        ('root ::= "a" root', "no answer could ever be complete"),
    ],
)
def test_an_error_has_line_and_column(grammar, says):
    """Or the names of the rules."""
    with pytest.raises(UsageError) as caught:
        to_lark(grammar)
    assert says in caught.value.message


LETTERS = "ab"
TEXTS = ["".join(letters) for n in range(5) for letters in product(LETTERS, repeat=n)]
leaves = st.one_of(
    st.builds(Literal, st.text(LETTERS, max_size=2)),
    st.sampled_from(
        [Characters(((97, 97),)), Characters(((97, 98),)), Characters(((97, 97),), negated=True)]
    ),
)


def nodes(references):
    names = st.sampled_from([Reference(name) for name in references]) if references else st.nothing()
    return st.recursive(
        leaves | names,
        lambda inner: st.one_of(
            st.builds(lambda parts: Sequence(tuple(parts)), st.lists(inner, min_size=2, max_size=3)),
            st.builds(lambda parts: Choice(tuple(parts)), st.lists(inner, min_size=2, max_size=3)),
            st.builds(
                lambda part, least, more: Repeated(part, least, least + more), inner, *[st.integers(0, 2)] * 2
            ),
            st.builds(lambda part, least: Repeated(part, least, None), inner, st.integers(0, 1)),
        ),
        max_leaves=6,
    )


def written(node):
    match node:
        case Literal():
            return f'"{node.text}"'
        case Characters():
            ranges = "".join(f"{chr(first)}-{chr(last)}" for first, last in node.ranges)
            return f"[{'^' if node.negated else ''}{ranges}]"
        case Reference():
            return node.name
        case Repeated():
            return f"({written(node.part)}){{{node.least},{'' if node.most is None else node.most}}}"
        case Choice():
            return f"({' | '.join(map(written, node.parts))})"
    return f"({' '.join(map(written, node.parts))})"


def ends(node, rules, text, start):
    """Slow and plain: every position where a node that begins at one can end."""
    match node:
        case Literal():
            return {start + len(node.text)} if text.startswith(node.text, start) else set()
        case Characters():
            inside = any(
                first <= ord(each) <= last for each in text[start : start + 1] for first, last in node.ranges
            )
            return {start + 1} if start < len(text) and inside != node.negated else set()
        case Reference() | Choice():
            parts = [rules[node.name]] if isinstance(node, Reference) else node.parts
            return {end for each in parts for end in ends(each, rules, text, start)}
        case Sequence():
            found = {start}
            for each in node.parts:
                found = {end for at in found for end in ends(each, rules, text, at)}
            return found
    return repeated_ends(node, rules, text, start)


def repeated_ends(node, rules, text, start):
    found, reached = set(), {start}
    most = len(text) + node.least + 1 if node.most is None else node.most
    for times in range(most + 1):
        if times >= node.least:
            found |= reached
        reached = {end for at in reached for end in ends(node.part, rules, text, at)}
    return found


@settings(deadline=None, max_examples=80)
@given(root=nodes(["x"]), x=nodes([]))
def test_grammars_without_recursion_match_exactly_the_texts_that_a_plain_reading_does(root, x):
    """All texts of up to four letters, tried by walking through the rules."""
    rules = {"root": root, "x": x}
    expected = [text for text in TEXTS if len(text) in ends(root, rules, text, 0)]
    grammar = grammar_of(f"root ::= {written(root)}\nx ::= {written(x)}\n")
    assert [text for text in TEXTS if matches(grammar, text)] == expected


@cache
def dyck(n):
    """All texts of n pairs of parentheses."""
    return {""} if n == 0 else {f"({a}){b}" for k in range(n) for a in dyck(k) for b in dyck(n - 1 - k)}


def test_ways_that_never_end_are_left_out():
    """An answer cannot begin what it could never complete."""
    grammar = grammar_of('root ::= "a" | "b" endless | "c" endless*\nendless ::= "d" endless')

    assert [letter for letter in "abc" if may_begin(grammar, letter)] == ["a", "c"]
    assert not may_begin(grammar, "cd")


def test_recursion_matches_exactly_the_nested_texts():
    """All texts of up to eight parentheses."""
    grammar = grammar_of('root ::= ("(" root ")")*')
    texts = {"".join(each) for n in range(9) for each in product("()", repeat=n)}

    assert {text for text in texts if matches(grammar, text)} == set().union(*(dyck(n) for n in range(5)))


def test_rules_keep_their_order_and_meaning():
    """What is read is what was written."""
    rules = parse('root ::= a? "x" # comment\na ::= [a-z] | "\\n"\n')

    assert rules == {
        "root": Sequence((Repeated(Reference("a"), 0, 1), Literal("x"))),
        "a": Choice((Characters(((97, 122),)), Literal("\n"))),
    }
