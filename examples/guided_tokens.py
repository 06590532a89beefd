"""Answer one question, and print which tokens the guide changed.

python examples/guided_tokens.py "Who was Marie Curie?"
python examples/guided_tokens.py "Hello" --base base.gguf --guide guide.gguf
"""

import argparse

from blendin_local import AnswerSettings, open_pair


def main() -> None:
    """Ask the demo pair, or two files, one question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--base", help="GGUF file of the base; by default the demo pair is used")
    parser.add_argument("--guide", help="GGUF file of the guide")
    parser.add_argument("-n", type=int, default=120, help="maximum number of tokens")
    options = parser.parse_args()

    pair = "demo" if options.base is None else None
    with open_pair(pair, base=options.base, guide=options.guide, pull=True) as opened:
        answer = opened.respond(options.question, answer=AnswerSettings(max_tokens=options.n))
    print(answer.text)
    for step in answer.steps:
        if step.source == "changed":
            print(f"{step.i:4}  {step.text!r} instead of {step.base_top.text!r}, alpha {step.alpha:.2f}")
    asked, changed = answer.blend.intervention_rate, answer.blend.changed_rate
    print(f"{100 * asked:.1f} % asked, {100 * changed:.1f} % changed")


if __name__ == "__main__":
    main()
