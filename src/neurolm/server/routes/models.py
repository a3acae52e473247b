"""The models of a service, and what they can be asked"""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
