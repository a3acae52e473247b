"""The page of the comparison as plain ES modules: python plain.py PORT [--csp]"""

import sys
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HERE = Path(__file__).parent
TRACES = np.random.default_rng(0).normal(0, 1000, (32, 1000, 2)).astype("<i2").tobytes()
ROWS = [{"name": f"row {number}", "value": number} for number in range(10)]
app = FastAPI()
asked = 0


@app.middleware("http")
async def policy(request, call_next):
    response = await call_next(request)
    if "--csp" in sys.argv:
        response.headers["Content-Security-Policy"] = CSP
    return response


@app.get("/")
def page() -> FileResponse:
    return FileResponse(HERE / "index.html")


@app.get("/rows")
def rows() -> list[dict]:
    return ROWS


@app.get("/traces")
def traces() -> Response:
    return Response(TRACES, media_type="application/octet-stream")


@app.post("/count")
def count() -> int:
    global asked
    asked += 1
    return asked


app.mount("/assets", StaticFiles(directory=HERE))
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
