"""What becomes of every error: an answer in one shape. Knows HTTP, no route."""

from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from edgevlm_server.errors import ApiError, MethodNotAllowed, NotFound, let_go
from edgevlm_server.http.transport.envelope import ErrorResponse, unexpected
from edgevlm_server.observe.record import CLIENT_CLOSED_REQUEST


def answer_errors(app: FastAPI) -> None:
    """From here on no error of the application is answered otherwise."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_left)
    app.add_exception_handler(Exception, _unexpected)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    let_go(error)
    return ErrorResponse(error)


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router itself refuses: an unknown path or a wrong method. OPTIONS is no route's, so it comes here."""
    assert isinstance(error, HTTPException)
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return ErrorResponse(NotFound("There is no such path.", code="not_found"))
    headers = {"allow": _allowed((error.headers or {}).get("Allow", ""))}
    if request.method == "OPTIONS":
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    return ErrorResponse(
        MethodNotAllowed("This path does not take this method.", code="method_not_allowed", headers=headers)
    )


def _allowed(methods: str) -> str:
    """A route's methods, and those that come with them."""
    return f"{methods.replace('GET', 'GET, HEAD')}, OPTIONS"


async def _client_left(request: Request, error: Exception) -> Response:
    """In the middle of its body, or while its request was prepared."""
    let_go(error)
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours; the traceback is in the log."""
    # starlette raises it again
    return ErrorResponse(unexpected())
