"""Questions about a recording, and what becomes of their answers"""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
