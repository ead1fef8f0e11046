"""Errors in OpenAI's form."""

from __future__ import annotations

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

CLIENT_GONE = 499
"""What is counted for a request whose client left; nobody receives it."""

_TYPES = {401: "authentication_error", 429: "rate_limit_error"}
_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},  # or what is left of the body would be waited for
    413: {"Connection": "close"},
    429: {"Retry-After": "1"},
}


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: The HTTP status.
        message: What was received, what is expected, what to do.
        param: The field of the request that is at fault.
        code: A name for programs.
    """

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


def error_response(error: ApiError) -> Response:
    """Writes an error as OpenAI does.

    Args:
        error: The error.

    Returns:
        `{"error": {"message", "type", "param", "code"}}` with its status.
    """
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    content = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    headers = _HEADERS.get(error.status)
    return Response(orjson.dumps({"error": content}), error.status, headers, media_type="application/json")


async def refused(_: Request, error: Exception) -> Response:
    """Answers a request that was refused here, or by the routes (an unknown address, a wrong method)."""
    if isinstance(error, HTTPException):
        response = error_response(ApiError(error.status_code, f"{error.detail}. See POST /v1/embeddings"))
        response.headers.update(error.headers or {})
        return response
    if not isinstance(error, ApiError):
        raise error
    return error_response(error)


async def failed(_: Request, __: Exception) -> Response:
    """Answers a request that the model, or this program, failed on; what went wrong is for the server's log alone."""
    return error_response(ApiError(500, "The model failed on this request; the service's log says why."))
