"""An answer in our shape for requests that nobody else answers. Knows ASGI, no route.

uvicorn's own would be plain text without a request id: for a request that is cancelled when the server ends, and for
a mistake of ours outside the routes.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgevlm_server.errors import ApiError, Unavailable
from edgevlm_server.http.transport.envelope import Refusal


class LastWord:
    """Answers if the application ends with an exception before it has begun its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if begun:
                raise
            await Refusal(Unavailable.draining())(scope, receive, send)
        except Exception:
            if not begun:
                await Refusal(unexpected())(scope, receive, send)
            raise


def unexpected() -> ApiError:
    """A mistake of ours; the traceback is in the log, where uvicorn puts it, and the connection is closed."""
    return ApiError("The server failed on this request.", code="internal_error", headers={"connection": "close"})
