"""Texts that repeat themselves on purpose and end: the loop guard must not stop them.

Written for these tests, generated, or in the public domain (folk songs, Poe, the King James Bible). `AT_HAND`
was looked at when the rules were chosen, `HELD_OUT` only tried afterwards.
"""

from __future__ import annotations


def lines(pattern: str, numbers: range) -> str:
    return "".join(pattern.format(n=n, square=n * n, sevens=7 * n, odd=2 * n - 1) for n in numbers)


def bottles(count: int) -> str:
    return "".join(
        f"{n} bottles of beer on the wall, {n} bottles of beer.\n"
        f"Take one down and pass it around, {n - 1} bottles of beer on the wall.\n\n"
        for n in range(count, 1, -1)
    )


def grid(rows: int, columns: int, cell: str) -> str:
    bar = "+" + "--------+" * columns + "\n"
    return bar + "".join("|" + f" {cell:<6} |" * columns + f" {n}\n" + bar for n in range(rows))


GIFTS = [
    "a partridge in a pear tree",
    "two turtle doves",
    "three French hens",
    "four calling birds",
    "five gold rings",
    "six geese a-laying",
    "seven swans a-swimming",
    "eight maids a-milking",
]
ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]
CHRISTMAS = "".join(
    f"On the {ordinal} day of Christmas my true love sent to me\n" + ",\n".join(GIFTS[i::-1]) + ".\n\n"
    for i, ordinal in enumerate(ORDINALS)
)
SAILOR = "".join(
    f"{line},\n{line},\n{line},\nEarly in the morning!\n\n"
    "Hooray and up she rises,\nHooray and up she rises,\nHooray and up she rises,\nEarly in the morning!\n\n"
    for line in (
        "What shall we do with the drunken sailor",
        "Put him in the long boat till he's sober",
        "Pull out the plug and wet him all over",
    )
)
PSALM = "".join(
    f"{n}. {verse}: for his mercy endureth for ever.\n"
    for n, verse in enumerate(
        (
            "O give thanks unto the LORD; for he is good",
            "O give thanks unto the God of gods",
            "O give thanks to the Lord of lords",
            "To him who alone doeth great wonders",
            "To him that by wisdom made the heavens",
            "To him that stretched out the earth above the waters",
            "To him that made great lights",
            "The sun to rule by day",
            "The moon and stars to rule by night",
        ),
        1,
    )
)
BELLS = """To the tintinnabulation that so musically wells
From the bells, bells, bells, bells,
Bells, bells, bells -
From the jingling and the tinkling of the bells.

To the rolling of the bells -
Of the bells, bells, bells -
To the tolling of the bells,
Of the bells, bells, bells, bells -
Bells, bells, bells -
To the moaning and the groaning of the bells.
"""
FARM = "".join(
    "Old MacDonald had a farm, E-I-E-I-O.\n"
    f"And on his farm he had a {animal}, E-I-E-I-O.\n"
    f"With a {cry}-{cry} here and a {cry}-{cry} there,\n"
    f"here a {cry}, there a {cry}, everywhere a {cry}-{cry}.\nOld MacDonald had a farm, E-I-E-I-O.\n\n"
    for animal, cry in (("cow", "moo"), ("pig", "oink"), ("duck", "quack"), ("horse", "neigh"))
)
ROUND = (
    """Row, row, row your boat,
Gently down the stream,
Merrily, merrily, merrily, merrily,
Life is but a dream.

"""
    * 2
)
PI = (
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808"
    "6513282306647093844609550582231725359408128481117450284102701938521105559644622948954930381964428810975665933"
)
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

AT_HAND = {
    "times table": lines("{n} x 7 = {sevens}\n", range(1, 41)),
    "numbered squares": lines("{n}. The square of {n} is {square}.\n", range(1, 31)),
    "numbered names of rooms": lines("{n}. Room {n}\n", range(1, 41)),
    "ASCII grid": grid(12, 4, "free"),
    "bottles of beer": bottles(30),
    "Twelve Days of Christmas": CHRISTMAS,
    "Drunken Sailor": SAILOR,
    "switch in C": lines("    case {n}:\n        return handlers[{n}](event);\n", range(1, 31)),
    "JSON array": "[\n" + lines('  {{"id": {n}, "name": "user{n}", "active": true}},\n', range(1, 31)) + "]",
    "laughter": "ha " * 40,
    "true or false key": "".join(f"{n}. {'False' if n % 7 == 3 else 'True'}\n" for n in range(1, 31)),
    "sign-up sheet": lines("{n}. ______________________________\n", range(1, 21)),
    "month table": "| Month | Rain (mm) | Snow (mm) |\n| --- | --- | --- |\n"
    + "".join(f"| {month} | 100 | 0 |\n" for month in MONTHS),
}

HELD_OUT = {
    "Psalm 136": PSALM,
    "The Bells": BELLS,
    "Old MacDonald": FARM,
    "Row, row, row your boat, sung twice": ROUND,
    "digits of pi": PI,
    "odd numbers": lines("{odd}, ", range(1, 200)),
    "SQL inserts": lines("INSERT INTO seats (seat, taken) VALUES ({n}, FALSE);\n", range(1, 31)),
    "four weeks of training": "".join(
        f"{7 * week + n}. {what}\n"
        for week in range(4)
        for n, what in enumerate(
            ("Run", "Rest", "Swim", "Rest", f"Cycle {5 * week + 10} km", "Rest", "Rest"), 1
        )
    ),
    "HTML list": "<ul>\n" + lines('  <li><a href="page{n}.html">Page {n}</a></li>\n', range(1, 31)) + "</ul>",
    "multiple choice": lines(
        "{n}. What is {n} + {n}?\n   A) {odd}\n   B) {square}\n   C) none of these\n", range(2, 22)
    ),
    "knitting": "1. Knit to the end of the row.\n2. Purl to the end of the row.\n" * 1
    + "3. Knit to the end of the row.\n4. Purl to the end of the row.\n"
    + "5. Knit to the end of the row.\n6. Purl to the end of the row.\n7. Cast off.\n",
    "addresses": lines("192.168.0.{n}\tprinter-{n}.example.org\n", range(1, 41)),
    "assertions": lines("    assert fizz({n}) == fizz({n} + 15)\n", range(1, 31)),
    "years": "".join(f"In {year} the harvest was good. " for year in range(1801, 1831)),
}
