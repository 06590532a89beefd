"""Read a stored answer and print the changed steps where the guide was most confident.

blendin run "Who was Marie Curie?" --trace answer.jsonl
python examples/read_trace.py answer.jsonl
"""

import argparse
from pathlib import Path

from blendin_local.jobs.replay.answer_file import read_answers


def main() -> None:
    """Read a trace, an answer of `run --json`, or the answers of a batch with steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()

    for recording in read_answers(options.file).answers:
        changed = [step for step in recording.steps if step.source == "changed"]
        print(f"{recording.name}: {len(recording.steps)} steps, {len(changed)} changed")
        for step in sorted(changed, key=lambda step: -step.guide_top.p)[:5]:
            print(
                f"  step {step.i}: {step.text!r}, guide {100 * step.guide_top.p:.1f} %, "
                f"base {step.base_top.text!r} {100 * step.base_top.p:.1f} %"
            )


if __name__ == "__main__":
    main()
