"""Write a method of your own, check it against the laws of all methods, and run it without a model.

python examples/custom_method.py
"""

from blendin_local.core.blending import blend
from blendin_local.core.decisions import AnswerState, Ask, Decision, MethodSteps, Mixture, certain
from blendin_local.settings import AnswerSettings, BlendSettings
from blendin_local.testing import always, check_method, converse


def averaged(settings: BlendSettings, _: AnswerState) -> MethodSteps:
    """Below the threshold, the plain average of both distributions."""
    base = yield Ask("base")
    if base.top_p >= settings.threshold and not base.silent:
        return Decision(certain(base.top), base=base)
    guide = yield Ask("guide")
    if guide.silent:
        return Decision(certain(base.top), base=base, guide=guide, alpha=0.0)
    mixture = Mixture(blend(base.candidates, guide.candidates, 0.5), base.candidates)
    return Decision(mixture, base=base, guide=guide, alpha=0.5)


def forgets_the_threshold(_: BlendSettings, __: AnswerState) -> MethodSteps:
    """A faulty version: it asks the guide at every step."""
    base = yield Ask("base")
    guide = yield Ask("guide")
    return Decision(certain(base.top), base=base, guide=guide, alpha=0.0)


def main() -> None:
    """Check both methods, then make an answer with the right one."""
    check_method(averaged)
    print("averaged keeps the laws")
    try:
        check_method(forgets_the_threshold)
    except AssertionError as broken:
        print(f"forgets_the_threshold breaks one: {broken}")

    base, guide = always(maybe=0.3, no=0.2), always(yes=0.6, no=0.3)
    [step], _, _ = converse(base, guide, method=averaged, answer=AnswerSettings(max_tokens=1))
    print(f"{step.text!r} ({step.source}), where the base alone says {step.base_top.text!r}")


if __name__ == "__main__":
    main()
