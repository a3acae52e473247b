"""The README's picture: one answer of the demo over one recording, with the true labels.

make demo && .venv/bin/python docs/images/make.py runs/demo
"""

import base64
import sys
from pathlib import Path

from neurolm.demo import ANSWER, load_answer
from neurolm.report.figures import png
from neurolm.report.write import answer_timeline, true_labels
from neurolm.store.store import Store


def main(run: Path) -> None:
    """Draw the answer in a run's folder."""
    answer = load_answer(run / ANSWER)
    truth = true_labels(answer, Store(run / "store"))
    out = Path(__file__).parent / "demo.png"
    out.write_bytes(base64.b64decode(png(answer_timeline(answer, truth))))
    print(f"{out}: {answer.question} {Path(answer.recording).name}: {answer.answer} ({answer.probability:.2f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
