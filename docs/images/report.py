"""The pictures of docs/report.md: pages of reports about somebody whom the demo's model never saw.

    make demo && .venv/bin/python docs/images/report.py runs/demo

It needs pdftoppm of poppler (apt-get install poppler-utils), which draws the pages.
"""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from PIL import Image

import neurolm
from neurolm.evaluation.results import RESULTS, load_evaluation
from neurolm.report.recording import recording_report

PAGES = {"report.png": ("sleep", 1), "report_spectra.png": ("workload", 7)}
"""Picture → task whose recording is reported, and the page."""
DPI, COLOURS = 90, 128


def main(run: Path) -> None:
    """Report recordings of the last test person, and draw pages of the reports."""
    model = neurolm.load(run)
    for name, (task, page) in PAGES.items():
        result = next(r for r in load_evaluation(run / RESULTS).results if r.task == task)
        file = run / "corpus" / f"{Path(max(result.predictions.subjects)).name}_{task}.edf"
        command = f"neurolm report {file.name} --model {run}"
        printed = recording_report(model, file, ("pdf",), risk=0.3, command=f"{command} --risk 0.3")["pdf"]
        out = Path(__file__).with_name(name)
        draw(printed, page, out)
        print(f"{out}: page {page} of the report about {file.name}")


def draw(printed: bytes, page: int, out: Path) -> None:
    """Draw a page of a PDF file as PNG of few colours."""
    words = ["pdftoppm", "-r", str(DPI), "-f", str(page), "-l", str(page), "-png", "-"]
    drawn = subprocess.run(words, input=printed, capture_output=True, check=True).stdout
    image = Image.open(io.BytesIO(drawn)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
