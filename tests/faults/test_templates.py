"""Chat templates that take time and memory without end: each costs a few seconds and one line."""

from __future__ import annotations

import datetime
import random
import time

import psutil
import pytest

from blendin_local.engine.chat_template.renderer import MEMORY, renderer
from blendin_local.engine.chat_template.template import ChatTemplate
from blendin_local.engine.model import open_vocabulary
from blendin_local.errors import PairError
from tests.toys import make_toy

SECONDS, MAX_MEMORY = 5.0, 512 * 2**20
A = "'a'*4000000000"
LONG = "('a'*9999999)"
LIST = "[1]*90000000"
FOR, SIXTY, END = "{% for i in range(99999) %}", "{% for i in range(60) %}", "{% endfor %}"
QUICK = (  # these end by themselves, or by the bound on memory
    "{{ (" + A + ")|length }}",
    "{{ ('ab'*2000000000)|upper }}",
    "{{ (" + LIST + ")|length }}",
    "{{ ([[1]*1000]*90000000)|length }}",
    "{{ 'a'|center(4000000000) }}",
    "{{ '%4000000000d'|format(1) }}",
    "{{ '{:>4000000000}'.format(1) }}",
    "{{ 'a'.ljust(4000000000) }}",
    "{{ 'a'.rjust(4000000000) }}",
    "{{ 'a'.zfill(4000000000) }}",
    "{{ 'a'.center(4000000000) }}",
    "{{ ('\\t'*100000).expandtabs(100000) }}",
    "{{ " + LONG + "|replace('', 'b'*1000) }}",
    "{{ " + LONG + ".replace('a', 'b'*1000) }}",
    "{{ ('a'*100000)|join('b'*100000) }}",
    "{{ ('b'*100000).join(['a']*100000) }}",
    "{{ ('\\n'*100000)|indent(100000, blank=true) }}",
    "{{ ('a\\n'*1000000)|indent('b'*100000) }}",
    "{{ [1]|batch(900000000, 'x')|list|length }}",
    "{{ range(100001)|list }}",
    "{{ range(10**9)|list }}",
    FOR + FOR + "aaaaaaaaaaaaaaaaaaaaaaaa" + END + END,
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% set a = [] %}{{ a.append(a) }}",
    "{{ [messages, messages]|tojson(indent=999999999) }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "[" * 100000 + " }}",
    "{{ " + "-" * 100000 + "1 }}",
    "{{ " + "not " * 100000 + "1 }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "{% for a in [1] %}" * 300 + "x" + "{% endfor %}" * 300,
    "{{ " + "1+" * 200000 + "1 }}",
    "{{ " + "1|string|" + "string|" * 50000 + "string }}",
    "{{ " + "9" * 900000 + " }}",
    "{{ '" + "a" * 2000000 + "' }}",
    "x" * 50_000_000,
    "{{ x }}" * 140000,
    "{{ raise_exception('a'*100000000) }}",
    "{{ raise_exception('\\x1b]0;x\\x07' * 1000) }}",
    "{{ messages['a'*100000000] }}",
    "{{ undefined['a'*100000000].x }}",
    "{{ 'a'*100000000 + 1 }}",
    "{{ cycler(*" + LIST + ") }}",
    "{{ namespace(**{'a'*200000000: 1}) }}",
    "{{ dict(a=" + LIST + ")|string }}",
    "{{ " + LONG + "|list|length }}",
    "{{ ('a b '*9000000)|title }}",
    "{{ (" + LONG + "*20)|urlencode }}",
    "{{ (" + LONG + "*20)|escape|forceescape }}",
    "{{ ('ﷺ'*90000000)|upper|lower }}",
    "{{ 'ǰ'*200000000 }}",
    "{{ strftime_now('%A'*90000000) }}",
    "{{ strftime_now('%999999999d') }}",
    "{{ lipsum(n=100000) }}",
    "{{ lipsum(n=1, min=90000000, max=90000001) }}",
    "{{ ('a' ~ 'b')*3000000000 }}",
    "{% set n = namespace(s='a') %}" + SIXTY + "{% set n.s = n.s ~ n.s %}" + END + "{{ n.s }}",
    "{% set n = namespace(s=[1]) %}" + SIXTY + "{% set n.s = n.s + n.s %}" + END + "{{ n.s }}",
    "{% set n = namespace(s=[1]) %}" + SIXTY + "{% set n.s = [n.s, n.s] %}" + END + "{{ n.s }}",
    "{% set a %}{% for i in range(99999) %}{{ 'a'*99999 }}{% endfor %}{% endset %}{{ a|length }}",
    "{% filter upper %}{% for i in range(99999) %}{{ 'a'*99999 }}{% endfor %}{% endfilter %}",
    "{{ ''.__class__.__base__.__subclasses__() }}",
    "{{ (messages|map(attribute='content.' + 'x.'*1000000)|list) }}",
    "{{ " + "a." * 200000 + "b }}",
)
SLOW = (  # these are ended when their time is over
    "{{ 10**(10**9) }}",
    "{{ (10**(10**7))|string|length }}",
    "{{ (7**(10**8)) % 3 }}",
    "{{ [[1]*100000]|tojson(indent=100000)|length }}",
    FOR + FOR + END + END,
    FOR + FOR + "{% if loop.index > 99999 %}{{ raise_exception('x') }}{% endif %}" + END + END,
    FOR + "{{ range(99999)|map('string')|map('length')|sum }}" + END,
    "{% set n = namespace(s=2) %}" + SIXTY + "{% set n.s = n.s * n.s %}" + END + "{{ n.s % 7 }}",
    "{{ ('a '*3000000)|wordwrap(1)|length }}",
    "{{ (" + LONG + " ~ 'b')|replace('a'*50 ~ 'c', '')|wordcount }}{{ ('<a '*900000)|striptags }}",
    "{{ ('http://a '*500000)|urlize|length }}",
    "{% for i in range(99999) %}{{ range(99999)|list|sort|unique|list|length }}{% endfor %}",
    "{{ ('a'*3000000)|reverse|batch(2)|list|tojson(indent=2)|length }}",
    "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% for i in range(99999) %}{{ ('a'*999999).count('a') }}{% endfor %}",
)
BOMBS = (*QUICK, *SLOW)
HARMLESS = "{% for m in messages %}{{ m.content }}{% endfor %}"
TURNS = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    with open_vocabulary(make_toy(tmp_path_factory.mktemp("toy") / "toy.gguf", "plain")) as found:
        yield found


def rendered(vocabulary, source):
    template = ChatTemplate(source, vocabulary, date=datetime.date(2026, 1, 1))
    return "".join(span.text for span in template.render(TURNS))


def problem_of(vocabulary, source):
    """What is wrong with how a bomb ended, None if nothing; it may also write a prompt of bounded length."""
    started = time.monotonic()
    try:
        written = rendered(vocabulary, source)
    except PairError as error:
        if not error.message.isprintable() or len(error.message) > 400:
            return f"no short line: {error.message[:100]!r}"
    else:
        if len(written) > 4_000_000:
            return f"{len(written)} characters"
    seconds = time.monotonic() - started
    return f"{seconds:.1f} s" if seconds > SECONDS else None


@pytest.mark.slow
def test_no_template_takes_the_machine(vocabulary, ledger):
    """Bombs of all kinds end in time, and the next template is rendered as if nothing had been."""
    quick = random.Random(3).sample(QUICK, 8)
    bombs = BOMBS if ledger.full else (*quick, SLOW[0])
    assert len(BOMBS) >= 72
    with ledger.kind("chat templates that are bombs") as trials:
        for bomb in bombs:
            problem = problem_of(vocabulary, bomb)
            if rendered(vocabulary, HARMLESS) != "hello":
                problem = "the next template is rendered otherwise"
            trials.record(bomb[:60], problem)
    assert MEMORY < MAX_MEMORY


def test_ctrl_c_ends_a_template(vocabulary):
    """A request to stop is heard while a template runs."""
    template = ChatTemplate("{{ 10**(10**9) }}", vocabulary, date=datetime.date(2026, 1, 1))
    renderer().start()
    rendered(vocabulary, HARMLESS)
    started = time.monotonic()

    with pytest.raises(KeyboardInterrupt):
        template.render(TURNS, lambda: time.monotonic() > started + 0.2)

    assert time.monotonic() - started < 2
    assert not [
        child
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and child.cpu_percent(0.05) > 50
    ]
