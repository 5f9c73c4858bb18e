"""What every request passes before a route sees it: authentication, limits on its head, and errors turned into answers."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vna_core.access.gate import Gate
from vna_core.configuration import HttpSettings
from vna_core.domain.access import Action
from vna_core.domain.errors import InvalidRequest, LimitExceeded, NotAuthorized, VnaError
from vna_core.gateways.web.exchange import BREAK_GLASS, ClientGone, Exchange, Pace
from vna_core.gateways.web.problems import problem_of
from vna_core.gateways.web.segments import keep_segments

MAX_PARAMETERS: Final = 256
MAX_QUERY: Final = 65_536
MAX_PATH: Final = 4_096
OPEN_PATHS: Final = frozenset(("/healthz",))
_ASKING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_OTHER_SITES: Final = frozenset((b"cross-site", b"same-site"))
_OF_FORMS: Final = frozenset((b"", b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data"))
"""Media types that a page of any site can have a browser send without being asked first (Fetch standard, 2.2.2)."""

_log = structlog.get_logger(__name__)
Handler = Callable[[Exchange], Awaitable[None]]


class Unauthenticated(NotAuthorized):
    """No token, or one that nobody has (RFC 6750 section 3), and no certificate in its stead."""

    http_status = 401


class FromAnotherSite(NotAuthorized):
    """A page of another site had a browser send the request: its user, whose address and certificate it comes with, may not know of it."""


class Endpoint:
    """A route handler as an ASGI application, behind the gate.

    Parameters
    ----------
    needs
        What whoever asks must be allowed to do; None: the route tells nothing about what is held and is open to all.
    """

    def __init__(self, handler: Handler, pace: Pace, gate: Gate, needs: Action | None) -> None:
        self.handler = handler
        self.needs = needs
        self._pace = pace
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._pace)
        if self.needs is not None:
            await exchange.enter(self._gate, self.needs)
        try:
            await self.handler(exchange)
        finally:
            exchange.end()


class Protection:
    """Outermost ASGI application around the routes."""

    def __init__(self, app: ASGIApp, settings: HttpSettings) -> None:
        self._app = app
        self._tokens = {name: bytes.fromhex(digest) for name, digest in settings.tokens.items()}
        self._certificates = settings.certificates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            self._admit(scope)
            keep_segments(scope)
            await self._app(scope, receive, sending)
        except ClientGone:
            if not begun:
                await _answer(send, scope, InvalidRequest("The request's body was cut short."))
        except Exception as error:
            if not isinstance(error, VnaError) and not hasattr(error, "status_code"):
                _log.exception("request-failed", method=scope["method"], route=_route(scope))
            elif begun:
                _log.error("answer-ended-early", code=getattr(error, "code", ""), route=_route(scope))
            if begun:
                raise  # the server ends the connection, so that nobody takes the answer for whole
            await _answer(send, scope, error)

    def _admit(self, scope: Scope) -> None:
        query = scope["query_string"]
        if len(scope["path"]) > MAX_PATH or len(query) > MAX_QUERY:
            raise LimitExceeded("The address is too long.", limit="path-or-query", maximum=MAX_QUERY)
        if query.count(b"&") >= MAX_PARAMETERS:
            raise InvalidRequest("There are too many query parameters.", limit="query-parameters", maximum=MAX_PARAMETERS)
        if _is_forged(scope):
            raise FromAnotherSite("A page of another site sent this.")
        if (self._tokens or self._certificates) and scope["path"] not in OPEN_PATHS:
            scope["principal"] = self._principal(scope)

    def _principal(self, scope: Scope) -> str:
        """The principal whose token was sent, every digest being compared, in constant time; without a token, whose certificate was shown."""
        field = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        certificate = scope.get("certificate") if not field else None
        if certificate is not None:
            for principal, proofs in self._certificates.items():
                if certificate.is_one_of(proofs):
                    return principal
        scheme, _, token = field.partition(b" ")
        digest = hashlib.sha256(token.strip()).digest()
        found = [name for name, expected in self._tokens.items() if hmac.compare_digest(digest, expected)]
        if scheme.lower() != b"bearer" or not found:
            raise Unauthenticated("A valid bearer token is needed.")
        return found[0]


def _is_forged(scope: Scope) -> bool:
    """Whether a page of another site may have sent this without the consent of anybody.

    Browsers say where a request comes from (Fetch Metadata). Where a page adds a field or a media type of its own, they ask beforehand, and
    whoever answers that for the archive has decided. What only asks is answered: the page does not get to read it. Glass is broken by an
    address that somebody goes to, and not by one of which a page has a picture.
    """
    if all(value not in _OTHER_SITES for name, value in scope["headers"] if name == b"sec-fetch-site"):
        return False
    fields = dict(scope["headers"])
    if scope["method"] in _ASKING:
        breaks = BREAK_GLASS.encode() in unquote_to_bytes(scope["query_string"])
        if not breaks or fields.get(b"sec-fetch-mode") == b"navigate":
            return False
    if b"authorization" in fields:
        return False
    return fields.get(b"content-type", b"").partition(b";")[0].strip().lower() in _OF_FORMS


def _route(scope: Scope) -> str:
    """The pattern of the route, which holds no identifiers."""
    return str(getattr(scope.get("route"), "path", ""))


def _has_body(scope: Scope) -> bool:
    """Whether the request announced a body (RFC 9112 section 6.3)."""
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in scope["headers"])


async def _answer(send: Send, scope: Scope, error: BaseException) -> None:
    status, body, headers = problem_of(error)
    content = json.dumps(body, default=str).encode()
    fields: list[tuple[bytes, bytes]] = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(content)),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        *((name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()),
    ]
    if status == 401:
        fields.append((b"www-authenticate", b"Bearer"))
    if _has_body(scope):
        fields.append((b"connection", b"close"))  # the rest of the body is not read, so the connection carries no other request
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": fields}
    await send(start)
    await send({"type": "http.response.body", "body": content})
