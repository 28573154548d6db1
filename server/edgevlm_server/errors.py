"""What a client can be told, as one small tree. Knows nothing of ours; each error carries its HTTP answer.

ApiError
├── InvalidRequest        400  the request cannot be served as it is; `param` names the place
│   └── TooComplex        400  the form of the answer cannot be followed any further
├── Unauthorized          401  no key, or a wrong one
├── Forbidden             403  not under this name, or not from this page
├── NotFound              404  no such path or model
├── MethodNotAllowed      405
├── RequestTimeout        408  the head or the body did not arrive in time
├── PayloadTooLarge       413
├── UnsupportedMediaType  415
├── NotSure               422  the answer is less sure than was asked for
├── HeadTooLarge          431
├── QueueFull             429  try again in `retry_after` seconds
├── RateLimited           429  this client has used what it may use; others are served
├── EngineFailed          500  this request failed in the engine
├── CameraFailed          502  the station's camera gave no picture
├── Unavailable           503  loading, shutting down, the engine is dead, or a helper of it cannot be had
└── AnswerTimeout         504  the answer was not complete in time

Messages are fixed texts: no text that a client sent is repeated in them.
"""

import traceback
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, get_args

Code = Literal[
    "answer_timeout",
    "context_length_exceeded",
    "engine_error",
    "engine_unavailable",
    "grammar_compiler_unavailable",
    "head_too_large",
    "host_not_allowed",
    "image_decoder_busy",
    "image_decoder_unavailable",
    "image_fetch_failed",
    "image_fetch_timeout",
    "image_host_not_allowed",
    "image_invalid",
    "image_not_cached",
    "image_region_outside",
    "image_too_large",
    "image_unsupported",
    "internal_error",
    "invalid_api_key",
    "invalid_form",
    "invalid_http",
    "invalid_json",
    "invalid_value",
    "low_confidence",
    "method_not_allowed",
    "missing_api_key",
    "model_loading",
    "model_not_found",
    "not_found",
    "origin_not_allowed",
    "queue_full",
    "rate_limit_exceeded",
    "remote_images_disabled",
    "request_timeout",
    "request_too_large",
    "shutting_down",
    "station_not_found",
    "too_many_connections",
    "too_many_images",
    "too_many_values",
    "unsupported_content_encoding",
    "unsupported_media_type",
    "unsupported_parameter",
    "unsupported_schema",
]
"""What programs are told; also a label of metrics, so every code is listed here."""

CODES: tuple[Code, ...] = get_args(Code)


class ApiError(Exception):
    """An answer in OpenAI's error shape."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"

    def __init__(
        self, message: str, *, code: Code, param: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """`{"error": {message, type, param, code}}`, all four keys always."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequest(ApiError):
    status = 400
    type = "invalid_request_error"


class TooComplex(InvalidRequest):
    """Found out while the answer is written: the form costs more than one request may take from others."""

    def __init__(self) -> None:
        super().__init__("The requested answer format is too complex.", code="unsupported_schema")


class Unauthorized(ApiError):
    status = 401
    type = "authentication_error"

    @classmethod
    def without_key(cls) -> "Unauthorized":
        return cls(
            "This server needs an API key: send the header 'Authorization: Bearer KEY'.",
            code="missing_api_key",
            headers={"www-authenticate": "Bearer"},
        )

    @classmethod
    def with_wrong_key(cls) -> "Unauthorized":
        return cls(
            "This API key is not valid, or not valid any more.",
            code="invalid_api_key",
            headers={"www-authenticate": 'Bearer error="invalid_token"'},
        )


class Forbidden(ApiError):
    status = 403
    type = "permission_error"


class NotFound(ApiError):
    status = 404
    type = "invalid_request_error"


class MethodNotAllowed(ApiError):
    status = 405
    type = "invalid_request_error"


class RequestTimeout(ApiError):
    status = 408
    type = "invalid_request_error"


class PayloadTooLarge(ApiError):
    status = 413
    type = "invalid_request_error"


class UnsupportedMediaType(ApiError):
    status = 415
    type = "invalid_request_error"


class NotSure(ApiError):
    status = 422
    type = "invalid_request_error"

    def __init__(self, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(message, code="low_confidence", headers=headers)


class HeadTooLarge(ApiError):
    status = 431
    type = "invalid_request_error"

    def __init__(self, most: int) -> None:
        super().__init__(f"The head of the request is larger than {most} bytes.", code="head_too_large")


class QueueFull(ApiError):
    status = 429
    type = "rate_limit_error"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            f"The server is busy and its queue is full; try again in {retry_after} s.",
            code="queue_full",
            headers={"retry-after": str(retry_after)},
        )


class RateLimited(ApiError):
    status = 429
    type = "rate_limit_error"

    def __init__(self, reason: str, retry_after: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(
            f"{reason}; try again in {retry_after} s.",
            code="rate_limit_exceeded",
            headers={"retry-after": str(retry_after), **(headers or {})},
        )


class EngineFailed(ApiError):
    status = 500

    def __init__(self) -> None:
        super().__init__(
            "The engine failed on this request.",
            code="engine_error",
            # the same request would fail again
            headers={"x-should-retry": "false"},
        )


class CameraFailed(ApiError):
    status = 502


class Unavailable(ApiError):
    status = 503

    @classmethod
    def loading(cls) -> "Unavailable":
        return cls("The model is loading; try again soon.", code="model_loading", headers={"retry-after": "2"})

    @classmethod
    def draining(cls) -> "Unavailable":
        return cls("The server is shutting down; try again soon.", code="shutting_down", headers={"retry-after": "5"})

    @classmethod
    def crowded(cls) -> "Unavailable":
        return cls(
            "The server has as many open connections as it may have; try again soon.",
            code="too_many_connections",
            headers={"retry-after": "5"},
        )

    @classmethod
    def too_busy_to_decode(cls) -> "Unavailable":
        return cls(
            "The machine has too little time or memory to decode the picture now; try again soon.",
            code="image_decoder_busy",
            headers={"retry-after": "5"},
        )

    @classmethod
    def undecoded(cls) -> "Unavailable":
        return cls(
            "Pictures cannot be decoded at the moment; try again soon.",
            code="image_decoder_unavailable",
            headers={"retry-after": "5"},
        )

    @classmethod
    def uncompiled(cls) -> "Unavailable":
        return cls(
            "The requested answer format cannot be compiled at the moment; try again soon.",
            code="grammar_compiler_unavailable",
            headers={"retry-after": "5"},
        )

    @classmethod
    def dead(cls) -> "Unavailable":
        return cls(
            "The engine is not running; the server will restart.",
            code="engine_unavailable",
            headers={"retry-after": "10"},
        )


class AnswerTimeout(ApiError):
    # not 408: browsers, and some proxies, send a request again after one
    status = 504

    def __init__(self) -> None:
        super().__init__(
            "The answer was not complete within the time that this server allows a request.",
            code="answer_timeout",
            # client libraries would try again, and the same request would take as long
            headers={"x-should-retry": "false"},
        )


MakeError = Callable[[], Exception]
"""Makes an error for each request that is refused: one that many tasks raise would gather all their
tracebacks."""


def let_go(error: BaseException) -> None:
    """Free what an error that has been dealt with keeps alive: the frames that it came through, with the body in one
    of them. Tasks and futures keep their errors, and frames their tasks, until the collector comes.
    """
    following: BaseException | None = error
    while following is not None:
        traceback.clear_frames(following.__traceback__)
        following.__traceback__ = None
        earlier = following.__cause__ or following.__context__
        following.__cause__ = following.__context__ = None
        following = earlier
