"""Traces of a recording, as the page draws them"""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
