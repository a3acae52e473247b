"""The report of a recording, as a page or to print"""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
