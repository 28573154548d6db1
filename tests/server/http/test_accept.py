"""What a client would rather have, by its `Accept`."""

import pytest
from edgevlm_server.api.accept import takes_csv, takes_json


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/json", True),
        ("application/json, text/plain, */*", True),
        ("application/json;q=0.5, text/plain", False),
        ("text/*;q=0.1, Application/JSON; q=0.2", True),
        ("application/json;q=0", False),
        ("application/json;q=much", False),
        (";;,,", False),
    ],
)
def test_what_a_client_takes(accept: str, wants: bool) -> None:
    assert takes_json(accept) is wants


@pytest.mark.parametrize(
    ("accept", "wants"),
    [("", False), ("*/*", False), ("text/*", False), ("text/csv", True), ("application/json, text/csv;q=0.9", False)],
)
def test_who_takes_csv(accept: str, wants: bool) -> None:
    assert takes_csv(accept) is wants
