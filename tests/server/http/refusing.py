"""What an error must look like, whatever was wrong."""

from typing import Any

import httpx

from tests.live import LiveServer

HELLO = [{"role": "user", "content": "hello"}]
SECRET = "zq7secret"


def post(server: LiveServer, content: bytes | str, content_type: str = "application/json") -> httpx.Response:
    return server.client.post("/v1/chat/completions", content=content, headers={"content-type": content_type})


def check_error(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["x-request-id"]
    body = response.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["message"].endswith(".")
    for leak in (SECRET, "Traceback", "0x", ".py", "pydantic", "edgevlm_"):
        assert leak not in response.text
    return error
