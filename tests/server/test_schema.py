"""The API as it describes itself: whatever its schema allows or forbids, it answers as documented."""

from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from neurolm.server.settings import ServerSettings

HOST = {"Host": "127.0.0.1:8765"}
EXAMPLES = 4
"""Requests of each kind to each operation."""
SLOW = ("/report", "/explain", "/embed")
"""What takes seconds where all is right, and has tests of its own."""


@pytest.fixture
def api(evidence_run, eeg_folder, tmp_path):
    """The schema of a service in this process, and the app."""
    from neurolm.server.app import create_app

    settings = ServerSettings(models=(evidence_run,), folder=eeg_folder, uploads=tmp_path / "uploads", device="cpu")
    app = create_app(settings)
    yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=HOST)
    app.state.service.close()


def test_every_operation_answers_as_documented(api, subtests) -> None:
    id = next(entry.id for entry in api.app.state.service.library.entries())
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) > 5
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode == GenerationMode.POSITIVE and operation.path.endswith(SLOW):
                continue
            with subtests.test(f"{operation.method.upper()} {operation.path}", mode=mode.value):
                try_out(operation, mode, id)


def try_out(operation, mode: GenerationMode, id: str | None) -> None:
    """Send requests of an operation and check all that can be said of the answers."""

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def tried(case) -> None:
        if id is not None and mode == GenerationMode.POSITIVE and "id" in case.path_parameters:
            case.path_parameters["id"] = id
        # No schema knows what a recording has. And parts of a form are texts: a number among them cannot be refused.
        but = [positive_data_acceptance]
        if "multipart/form-data" in str(case.media_type):
            but.append(negative_data_rejection)
        case.call_and_validate(headers=HOST, excluded_checks=but)

    with suppress(Unsatisfiable):  # nothing in it can be wrong
        tried()
