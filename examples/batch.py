"""Answer a file of prompts from Python; run it again to resume.

python examples/batch.py prompts.txt answers.jsonl
"""

import argparse

from blendin_local import PairSpec
from blendin_local.jobs import BatchSpec, run_batch


def main() -> None:
    """Answer every row with the demo pair, or with two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("prompts", help=".txt with one prompt per line, .csv, or JSON Lines")
    parser.add_argument("answers", help="JSON Lines")
    parser.add_argument("--base", help="GGUF file of the base; by default the demo pair is used")
    parser.add_argument("--guide", help="GGUF file of the guide")
    parser.add_argument("-n", type=int, default=120, help="maximum number of tokens per answer")
    options = parser.parse_args()

    pair = PairSpec(
        pair="demo" if options.base is None else None,
        base=options.base,
        guide=options.guide,
        answer={"max_tokens": options.n},
        pull=True,
    )
    result = run_batch(BatchSpec(options.prompts, options.answers, pair=pair))
    print(f"{result.progress.answered} of {result.rows} rows are answered in {options.answers}")


if __name__ == "__main__":
    main()
