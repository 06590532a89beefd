"""Byte strings in one block behave as a list of them, and tell what vocabularies need to know."""

from hypothesis import given
from hypothesis import strategies as st

from blendin_local.core.byte_strings import ByteStrings
from blendin_local.core.candidates import END, TokenTable, duplicates

lists = st.lists(st.binary(max_size=5), max_size=30)
places = st.lists(st.integers(0, 29), max_size=10)


@given(strings=lists, wanted=places, cut=st.slices(30))
def test_they_are_a_list_of_byte_strings(strings, wanted, cut):
    """Length, single strings, slices, several at once and iteration are those of a list."""
    block = ByteStrings.of(strings)
    there = [i for i in wanted if i < len(strings)]

    assert list(block) == strings
    assert block[cut] == strings[cut]
    assert block.lengths.tolist() == [len(each) for each in strings]
    assert [block[i] for i in there] == block.several(there) == [strings[i] for i in there]
    assert all(block[i - len(strings)] == strings[i] for i in there)


@given(strings=lists, wanted=places)
def test_some_are_emptied(strings, wanted):
    """The others stay as they are, and so does the block they came from."""
    block, there = ByteStrings.of(strings), [i for i in wanted if i < len(strings)]

    emptied = block.emptied(there)

    assert list(emptied) == [b"" if i in there else each for i, each in enumerate(strings)]
    assert list(block) == strings


@given(strings=st.lists(st.text("a b", max_size=5).map(str.encode), max_size=30))
def test_bytes_before_inner_spaces(strings):
    """A byte counts where a space follows it in the same string; spaces themselves do not."""
    expected = {each[i - 1] for each in strings for i in range(1, len(each)) if each[i : i + 1] == b" "}

    assert ByteStrings.of(strings).before_inner(0x20) == expected - {0x20}


@given(
    strings=st.lists(st.text("ab", max_size=2).map(str.encode), min_size=4, max_size=30),
    ends=st.sets(st.integers(0, 3)),
    fallback=st.sets(st.integers(0, 3)),
)
def test_equal_bytes_have_one_id(strings, ends, fallback):
    """A table names one id for all with the same bytes, no byte-fallback token if there is another."""
    table = TokenTable.build(strings, ends, fallback)
    twins = dict(duplicates(strings, ends, fallback).tolist())

    for i, piece in enumerate(strings):
        if i in ends or not piece:
            assert i not in twins
            assert table.pieces[i] == END
            continue
        same = [j for j, other in enumerate(strings) if other == piece and j not in ends]
        assert table.ids[piece] == min(same, key=lambda j: (j in fallback, j)) == twins.get(i, i)
