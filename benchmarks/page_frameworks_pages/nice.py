"""The page of the comparison by NiceGUI: python nice.py PORT [--csp]"""

import base64
import sys
from pathlib import Path

import numpy as np
from nicegui import app, ui

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HERE = Path(__file__).parent
TRACES = base64.b64encode(np.random.default_rng(0).normal(0, 1000, (32, 1000, 2)).astype("<i2").tobytes()).decode()
ROWS = [{"name": f"row {number}", "value": number} for number in range(10)]


@app.middleware("http")
async def policy(request, call_next):
    response = await call_next(request)
    if "--csp" in sys.argv:
        response.headers["Content-Security-Policy"] = CSP
    return response


class Traces(ui.element, component="nice.js"):
    """The canvas, which asks for its traces by an event and gets them by a call of its method."""

    def __init__(self) -> None:
        super().__init__()
        self.on("next", lambda: self.run_method("show", TRACES))


@ui.page("/")
def page() -> None:
    ui.page_title("Traces")
    Traces()
    ui.input("question")
    asked = {"times": 0}

    def ask() -> None:
        asked["times"] += 1
        said.text = f"asked {asked['times']}"

    ui.button("Ask", on_click=ask)
    said = ui.label()
    ui.table(rows=ROWS, columns=[{"name": key, "label": key, "field": key} for key in ("name", "value")])


app.add_static_files("/own", str(HERE))
ui.run(host="127.0.0.1", port=int(sys.argv[1]), reload=False, show=False, show_welcome_message=False)
