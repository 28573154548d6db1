"""uvicorn's HTTP/1.1 protocol, with our shape for what is not even HTTP. The slower of its parsers: it has limits."""

import json
import uuid

from uvicorn.protocols.http.h11_impl import H11Protocol

from edgevlm_server.errors import InvalidRequest


class Http11(H11Protocol):
    """Answers a malformed request as any other error is answered."""

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn instead of the application; the connection is closed behind it."""
        error = InvalidRequest("The request is not valid HTTP/1.1.", code="invalid_http")
        body = json.dumps(error.body(), separators=(",", ":")).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: {uuid.uuid4().hex}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
