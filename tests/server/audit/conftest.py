"""What the audit's tests share."""

import pytest


@pytest.fixture(autouse=True)
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk may be busy with other tests; a test of an impatient end says so itself."""
    monkeypatch.setattr("edgevlm_server.audit.audit.CLOSE_SECONDS", 60.0)
