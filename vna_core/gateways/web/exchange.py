"""One HTTP request and its answer: the little that our routes need of ASGI, with back-pressure both ways.

An answer is sent while its octets are made, one piece read ahead in a thread. Before each piece, the first as well, it is checked
that the client is still there; a client that stops reading, or leaves, costs its own connection and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from starlette.types import Message, Receive, Scope, Send

from vna_core.access.gate import Gate, Permit
from vna_core.access.view import CatalogueView
from vna_core.domain.access import ANONYMOUS, Action, Principal, PrincipalKind
from vna_core.domain.errors import InvalidRequest, LimitExceeded
from vna_core.gateways.web.host import base_of
from vna_core.gateways.web.pieces import PIECES, Octets
from vna_core.gateways.web.prompt import PromptWork
from vna_core.gateways.web.segments import as_sent

Headers = Mapping[str, str]
_END: Final[Message] = {"type": "http.response.body", "body": b"", "more_body": False}
_NOSNIFF: Final = (b"x-content-type-options", b"nosniff")
_NO_STORE: Final = (b"cache-control", b"no-store")
_JSON: Final = "application/json"
BREAK_GLASS: Final = "break-glass"
"""Query parameter with the reason for breaking the glass."""
BATCH: Final = 1 << 21
"""Octets of an answer that are made in one go; as many again are read ahead."""
_FIRST: Final = 1 << 18
"""Octets that are made before the first are sent; each batch behind is twice as large, so that nobody waits long for the beginning."""


class ClientGone(Exception):
    """The client closed its connection, or did not read for too long. Nobody is left to be told."""


class BodyTooSlow(LimitExceeded):
    """No octet of the body came for ``http.body_timeout`` seconds."""

    http_status = 408


@dataclass(slots=True)
class Pace:
    """How long one exchange may stand still, and who does blocking work."""

    threads: ThreadPoolExecutor
    body_timeout: float
    max_body: int
    prompt: PromptWork = field(default_factory=PromptWork)


class Exchange:
    """A request with the means to answer it. One route handler uses it once."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, pace: Pace) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self._pace = pace
        self._watcher: asyncio.Task[None] | None = None
        self._left = False
        self._permit: Permit | None = None
        self.extra_headers: dict[str, str] = {}

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path_parameters(self) -> dict[str, Any]:
        return as_sent(self.scope.get("path_params") or {})

    @cached_property
    def query(self) -> list[tuple[str, str]]:
        """Query parameters in order. Raises InvalidRequest when they are not UTF-8."""
        try:
            text = self.scope["query_string"].decode("ascii")
            return parse_qsl(text, keep_blank_values=True, errors="strict")
        except (UnicodeDecodeError, ValueError) as error:
            raise InvalidRequest("The query string is not percent-encoded UTF-8.") from error

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), None)

    def header(self, name: bytes) -> str | None:
        """A header field; several of one name joined by commas (RFC 9110 section 5.3)."""
        values = [value for key, value in self.scope["headers"] if key == name]
        return b", ".join(values).decode("latin-1") if values else None

    @property
    def principal(self) -> str:
        """Name of whoever asks, as authentication found; ``anonymous`` where none is configured."""
        return str(self.scope.get("principal", ANONYMOUS))

    @property
    def asker(self) -> Principal:
        """Whoever asks, with the address they come from."""
        client = self.scope.get("client") or ("", 0)
        kind = PrincipalKind.TOKEN if "principal" in self.scope else PrincipalKind.ANONYMOUS
        return Principal(kind, self.principal, str(client[0]))

    @property
    def permit(self) -> Permit:
        """What whoever asks may do; there is one on every route that declares an action."""
        assert self._permit is not None, "the route declares no action"
        return self._permit

    def look_through(self, view: CatalogueView) -> None:
        """Read the catalogue through another view, which goes as far as the permit does."""
        self._permit = replace(self.permit, catalogue=view)

    @property
    def catalogue(self) -> CatalogueView:
        """The catalogue as far as the permit goes."""
        return self.permit.catalogue

    async def enter(self, gate: Gate, action: Action) -> None:
        """Pass the gate, or raise NotAuthorized. The glass is broken by the field ``Break-Glass`` or the parameter ``break-glass``."""
        asker = self.asker
        reason = self.header(b"break-glass") or next((value for key, value in self.query if key == BREAK_GLASS), None)
        if gate.is_prompt(asker):
            self._permit = gate.enter(asker, action, reason)
        else:
            self._permit = await self.blocking(gate.enter, asker, action, reason)

    @cached_property
    def base(self) -> str:
        """Scheme and authority that the client used, without a slash at the end."""
        return base_of(self.scope, self.header(b"host"))

    async def blocking(self, call: Any, *arguments: Any) -> Any:
        """The result of a call that may block, made in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pace.threads, call, *arguments)

    async def short(self, call: Any, *arguments: Any) -> Any:
        """The result of a call that touches a few rows or a small file: made at once while such calls are quick."""
        prompt = self._pace.prompt
        return prompt.do(call, *arguments) if prompt.is_quick else await self.blocking(call, *arguments)

    async def body(self) -> AsyncIterator[bytes]:
        """The request's body as it arrives.

        Raises
        ------
        ClientGone
            The body ends before its announced end.
        LimitExceeded
            ``http.max_body`` or ``http.body_timeout`` was hit.
        """
        total = 0
        while True:
            try:
                async with asyncio.timeout(self._pace.body_timeout):
                    message = await self._receive()
            except TimeoutError:
                raise BodyTooSlow(
                    "The body came too slowly.", limit="http.body_timeout", maximum=self._pace.body_timeout
                ) from None
            if message["type"] != "http.request":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            total += len(chunk)
            if total > self._pace.max_body:
                raise LimitExceeded("The body is larger than the limit.", limit="http.max_body", maximum=self._pace.max_body)
            if chunk:
                yield chunk
            if not message.get("more_body", False):
                return

    async def octets(self, content: bytes, media_type: str, status: int = 200, headers: Headers | None = None) -> None:
        """Answer with octets that are at hand."""
        await self.pieces((content,), media_type, status, headers)

    async def pieces(self, content: Sequence[Octets], media_type: str, status: int = 200, headers: Headers | None = None) -> None:
        """Answer with octets that are at hand in pieces: they go to the network as they are, without being joined before."""
        await self._begin(status, media_type, sum(map(len, content)), headers)
        if self.method == "HEAD" or not content:
            await self._send(_END)
            return
        if len(content) > 1:
            await self._send_pieces(content[:-1])
        await self._send({"type": "http.response.body", "body": content[-1]})

    async def json(self, value: Any, status: int = 200, media_type: str = _JSON, headers: Headers | None = None) -> None:
        """Answer with a value as JSON."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        try:
            content = text.encode()
        except UnicodeEncodeError:  # half a surrogate pair, which only an escape sequence can say
            content = json.dumps(value, separators=(",", ":")).encode()
        await self.octets(content, media_type, status, headers)

    async def stream(
        self,
        pieces: Iterator[Octets],
        media_type: str,
        size: int | None,
        status: int = 200,
        headers: Headers | None = None,
        *,
        short: bool = False,
    ) -> None:
        """Answer with pieces that are made while they are sent.

        The first piece is made before the answer begins, so that what fails at once is still answered with its error. A
        failure later ends the connection before the announced end, which no client takes for a whole answer.

        Parameters
        ----------
        short
            Each piece touches a small local file: it is made in the loop while such work is quick.
        """
        try:
            if not short:
                await self.watch()
            async with contextlib.aclosing(self._batches(pieces, short)) as batches:
                batch = await anext(batches, list[Octets]())
                await self._begin(status, media_type, size, headers)
                if self.method != "HEAD":
                    await self._batch(batch)
                    async for batch in batches:
                        await asyncio.sleep(0)  # others' turn, and the moment in which it is noticed that the client left
                        await self.watch()
                        await self._batch(batch)
            await self._send(_END)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                await self.blocking(close)

    async def _batches(self, pieces: Iterator[Octets], short: bool) -> AsyncGenerator[list[Octets]]:
        """Pieces that are sent together; made in a thread, they are made while those before are being sent."""
        prompt = self._pace.prompt
        least = _FIRST
        ahead: asyncio.Future[list[Octets]] | None = None
        try:
            while True:
                if ahead is not None:
                    batch, ahead = await ahead, None
                elif short and prompt.is_quick:
                    batch = prompt.do(_next, pieces, least, self.check)
                else:
                    batch = await self.blocking(_next, pieces, least, self.check)
                if not batch:
                    return
                least = min(2 * least, BATCH)
                if not (short and prompt.is_quick):
                    ahead = asyncio.ensure_future(self.blocking(_next, pieces, least, self.check))
                yield batch
        finally:
            if ahead is not None:
                with contextlib.suppress(Exception):  # the reason to stop is being raised; the read-ahead is not needed
                    await ahead

    async def _begin(self, status: int, media_type: str, size: int | None, headers: Headers | None) -> None:
        fields = [_NOSNIFF, _NO_STORE, (b"content-type", media_type.encode("latin-1"))]
        if size is not None:
            fields.append((b"content-length", b"%d" % size))
        if self.extra_headers:
            headers = {**self.extra_headers, **(headers or {})}
        if headers:
            fields.extend((name.lower().encode("latin-1"), _field(value)) for name, value in headers.items())
        await self._send({"type": "http.response.start", "status": status, "headers": fields})

    async def _batch(self, batch: Sequence[Octets]) -> None:
        try:
            async with asyncio.timeout(self._pace.body_timeout):
                await self._send_pieces(batch)
        except TimeoutError:
            raise ClientGone from None

    async def _send_pieces(self, pieces: Sequence[Octets]) -> None:
        if PIECES in (self.scope.get("extensions") or ()):
            await self._send({"type": PIECES, "pieces": pieces})
            return
        for piece in pieces:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def watch(self) -> None:
        """Have it noticed from now on that the client leaves. The request's body is read, so there is none to come. Raises ClientGone once it has left."""
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._gone())
            await asyncio.sleep(0)  # it may have left before: then that is noticed at once
        self.check()

    def check(self) -> None:
        """Raises ClientGone once it was noticed that the client left. For work in threads, too."""
        if self._left:
            raise ClientGone

    def end(self) -> None:
        """Nothing more is to be noticed."""
        if self._watcher is not None:
            self._watcher.cancel()

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._left = True


def _next(pieces: Iterator[Octets], least: int, check: Callable[[], None]) -> list[Octets]:
    """The next pieces of `least` octets or more, worth a hand-over to a thread; none at the end. `check` is asked before each piece."""
    batch: list[Octets] = []
    size = 0
    check()
    for piece in pieces:
        check()
        batch.append(piece)
        size += len(piece)
        if size >= least:
            break
    return batch


def _field(value: str) -> bytes:
    """A header value that cannot break out of its line (RFC 9110 section 5.5)."""
    return quote(value, safe=" !#$%&'()*+,-./:;<=>?@[]^_`{|}~\"").encode("ascii")
