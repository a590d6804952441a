"""Errors as clients get them: `{"detail": ...}`, as FastAPI's own, never a traceback."""

from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.responses import JSONResponse


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error answer."""
    return JSONResponse({"detail": printable(detail)}, status, dict(headers or {}))


def printable(text: str) -> str:
    """Without what UTF-8 does not have: halves of surrogate pairs, as a request's JSON may hold them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def retry_later(status: int, detail: str, seconds: float = 1.0) -> JSONResponse:
    """An error answer that says when to ask again."""
    return problem(status, detail, {"Retry-After": str(max(int(-(-seconds // 1)), 1))})


def invalid(where: tuple[str | int, ...], message: str) -> RequestValidationError:
    """What a request says is wrong at one place: 422."""
    return RequestValidationError([{"type": "value_error", "loc": ("body", *where), "msg": message}])
