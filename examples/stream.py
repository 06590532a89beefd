"""Print an answer while it is generated, with the tokens that the guide changed in brackets.

python examples/stream.py "Why do we sleep?"
"""

import argparse

from blendin_local import open_pair


def main() -> None:
    """Stream one answer of the demo pair, or of two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("question")
    parser.add_argument("--base", help="GGUF file of the base; by default the demo pair is used")
    parser.add_argument("--guide", help="GGUF file of the guide")
    parser.add_argument("-n", type=int, default=120, help="maximum number of tokens")
    options = parser.parse_args()

    pair = "demo" if options.base is None else None
    with open_pair(pair, base=options.base, guide=options.guide, pull=True) as opened:
        stream = opened.stream(options.question, max_tokens=options.n)
        for step, text in stream.shown():
            print(f"[{text}]" if step.source == "changed" else text, end="", flush=True)
        print(f"\n({stream.completion.finish_reason}, {len(stream.completion.steps)} steps)")


if __name__ == "__main__":
    main()
