"""Errors as HTTP answers: ``{"code", "message"}`` and the error's fields, without stack and without patient data."""

from __future__ import annotations

from typing import Any, Final

from vna_core.domain.errors import OutOfResources, VnaError

RETRY_AFTER: Final = 5
"""Seconds after which a client is asked to come again."""

Problem = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON body, headers."""


def problem_of(error: BaseException) -> Problem:
    """How an exception is answered. Whatever is not ours is an internal error without details."""
    status = getattr(error, "status_code", None)  # Starlette's HTTPException: no such route or method
    if isinstance(error, VnaError):
        after = str(error.fields.get("retry_after", RETRY_AFTER))
        headers = {"Retry-After": after} if isinstance(error, OutOfResources) or error.transient else {}
        return getattr(error, "answered_with", error.http_status), error.as_dict(), headers
    if isinstance(status, int):
        code = {404: "not-found", 405: "method-not-allowed"}.get(status, "invalid-request")
        message = {404: "There is no such resource.", 405: "This resource does not know the method."}.get(
            status, "The request is invalid."
        )
        return status, {"code": code, "message": message}, dict(getattr(error, "headers", None) or {})
    return 500, {"code": "internal-error", "message": "The archive met an unexpected error; it is in the log."}, {}
