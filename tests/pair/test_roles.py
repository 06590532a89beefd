"""Two models in the wrong places are noticed before anything is loaded, with what to type."""

from __future__ import annotations

import pytest

from blendin_local.core.prompts import OwnChatTemplate
from blendin_local.errors import PairError
from blendin_local.models.entries import Defaults
from blendin_local.models.registry import Registry
from blendin_local.pair.resolve import PairSpec, resolve_pair
from blendin_local.pair.roles import SAME_FILE, SAME_PROMPT, TUNED, check_roles
from tests.other_tools import link
from tests.prompts import TEMPLATE
from tests.toys import make_toy

REGISTRY = Registry({}, {}, {"test": TEMPLATE}, Defaults(template="test"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Models with and without a chat template; a larger tuned one; a second name of the tuned one."""
    folder = tmp_path_factory.mktemp("roles")
    made = {
        "plain": make_toy(folder / "a plain.gguf", "plain", template=None),
        "tuned": make_toy(folder / "tuned.gguf", "plain"),
        "large": make_toy(folder / "large.gguf", "sliding", special={f"<{i}>": 3 for i in range(500)}),
    }
    return {**made, "same": link(made["tuned"], folder / "same.gguf")}


def notices(files, base, guide, **fields):
    paths = {"base": files[base], "guide": files[guide]}
    spec = PairSpec(base=str(files[base]), guide=str(files[guide]), **fields)
    return check_roles(resolve_pair(spec, REGISTRY), paths)


def test_a_pair_as_it_should_be_is_not_remarked_on(files):
    """An untuned base, a tuned guide, also where the guide is the larger one."""
    assert notices(files, "plain", "tuned") == ()
    assert notices(files, "plain", "large") == ()


def test_a_tuned_base_is_told_once_with_what_to_do(files):
    """Not if its own template is used, its prompt is given, or it is not asked."""
    assert notices(files, "large", "tuned") == (TUNED,)
    assert "--base-template chat" in TUNED
    assert notices(files, "large", "tuned", base_template="chat") == ()
    assert notices(files, "large", "tuned", exact_prompts={"base": "x"}) == ()
    assert notices(files, "large", "tuned", blend={"method": "guide"}) == ()


def test_a_model_blended_with_itself_is_told(files):
    """Also under another name; with the same prompt for both, blending changes nothing at all."""
    assert notices(files, "tuned", "tuned") == (SAME_FILE,)
    assert notices(files, "tuned", "same") == (SAME_FILE,)
    assert notices(files, "tuned", "same", base_template="chat") == (SAME_PROMPT,)
    assert notices(files, "tuned", "same", base_template="chat", guide_template="{{ 1 }}") == (SAME_FILE,)


def test_swapped_roles_are_refused_with_the_options_that_swap_them(files):
    """The base has a chat template and the guide has none."""
    with pytest.raises(PairError, match="cannot be the guide") as caught:
        notices(files, "tuned", "plain")
    assert caught.value.hint == (f"to swap them, type --base '{files['plain']}' --guide {files['tuned']}")
    with pytest.raises(PairError, match="cannot be the guide") as caught:
        notices(files, "plain", "plain")
    assert "--guide-chat-template-file" in caught.value.hint
    assert notices(files, "tuned", "plain", guide_template="{{ messages }}") == (TUNED,)


def test_a_larger_guide_of_a_tuned_base_may_be_swapped(files):
    """Both could be the guide; the message has both ways out."""
    [notice] = notices(files, "tuned", "large")
    assert notice.startswith(TUNED)
    assert f"--base {files['large']} --guide {files['tuned']}" in notice


def test_a_base_without_a_template_of_its_own_is_refused(files):
    """Before anything is loaded; a template given in models.toml will do."""
    with pytest.raises(PairError, match="--base-template chat cannot be used"):
        notices(files, "plain", "tuned", base_template="chat")
    assert OwnChatTemplate().source is None
