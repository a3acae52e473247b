"""What the service counts, for Prometheus; names of recordings and questions are in none of it"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300)
"""Edges of the histogram of latencies."""
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one service, in a registry of its own, to which other parts add theirs."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "neurolm_requests", "Requests, by route and status.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "neurolm_request_seconds", "Seconds until a request was answered in full.", ("route",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.running = Gauge("neurolm_requests_running", "Requests that are being answered.", registry=self.registry)
        self.uploads = Counter(
            "neurolm_uploads", "Uploads, by what became of them.", ("outcome",), registry=self.registry
        )
        self.upload_bytes = Counter("neurolm_upload_bytes", "Bytes of uploads that were kept.", registry=self.registry)
        self.waiting = Gauge(
            "neurolm_questions_waiting", "Questions that are not yet answered.", registry=self.registry
        )
        self.questions = Counter(
            "neurolm_questions", "Questions, by what became of them.", ("outcome",), registry=self.registry
        )
        self.batch_windows, self.batch_questions = (
            Histogram(f"neurolm_batch_{of}", f"{of.capitalize()} in a batch of the model.", buckets=_BATCH,
                      registry=self.registry)
            for of in ("windows", "questions")
        )  # fmt: skip

    def batch(self, windows: int, questions: int) -> None:
        """Count a batch of the model."""
        self.batch_windows.observe(windows)
        self.batch_questions.observe(questions)

    def question(self, outcome: str) -> None:
        """Count a question that is over."""
        self.questions.labels(outcome).inc()

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)


__all__ = ["CONTENT_TYPE", "Metrics"]
