"""What tests of the routes share."""

from typing import Any

import pytest

from tests.live import LiveServer


@pytest.fixture
def still_serving(echo_server: LiveServer) -> Any:
    yield
    response = echo_server.chat("still there?", max_tokens=4)
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"]
    assert echo_server.service.admission.inside == 0
