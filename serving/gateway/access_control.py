"""Whether a request may be asked: key, role and rate, before its body is read.

References: https://www.rfc-editor.org/rfc/rfc6750 (Bearer), https://www.rfc-editor.org/rfc/rfc6585#section-4 (429)
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.gateway.problem import problem, retry_later
from serving.gateway.security import KeyRing, role_for

CHALLENGE = {"WWW-Authenticate": "Bearer"}


class AccessControl:
    """Lets requests with a fitting key pass.

    Args:
        app: what is inside.
        keys: None lets everybody in; such a gateway listens on loopback only.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyRing | None):
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        role = role_for(scope["path"]) if scope["type"] == "http" else None
        if self._keys is None or role is None:
            await self._app(scope, receive, send)
            return
        key = self._keys.find(_given(scope))
        if key is None:
            answer = problem(401, "no valid API key; send it as `Authorization: Bearer KEY`", CHALLENGE)
        elif not key.may(role):
            answer = problem(403, f"this API key does not have the role {role!r}")
        elif (seconds := self._keys.wait_seconds(key)) > 0:
            answer = retry_later(429, "too many requests with this API key", seconds)
        else:
            scope.setdefault("state", {})["key_name"] = key.name
            await self._app(scope, receive, send)
            return
        await answer(scope, receive, send)


def _given(scope: Scope) -> str:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")
