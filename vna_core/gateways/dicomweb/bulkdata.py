"""WADO-RS bulk data: the value of one element, whole or a range of it (PS3.18 section 10.4.1.1.5, RFC 9110 section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

from vna_core.access.view import CatalogueView
from vna_core.domain.errors import InvalidRequest, UnsupportedMediaType
from vna_core.domain.octets import ByteRange
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.held import asked_for
from vna_core.gateways.dicomweb.media_types import MULTIPART, OCTETS, parse_accept
from vna_core.gateways.dicomweb.multipart_answer import MultipartAnswer, Part
from vna_core.gateways.dicomweb.recalled import readable_under, when_recalled
from vna_core.gateways.web.exchange import Exchange

_PATH: Final = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8}){0,64}")
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class Unsatisfiable(InvalidRequest):
    """The range begins behind the end of the value."""

    http_status = 416


def byte_range(field: str | None, size: int) -> ByteRange | None:
    """The range of a Range field; None for the whole value (also for several ranges, which a server may ignore).

    Raises Unsatisfiable.
    """
    match = _RANGE.fullmatch(field.replace(" ", "")) if field else None
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size)
        if not length:
            raise Unsatisfiable("The range lies outside the value.", size=size)
        return ByteRange(size - length, length)
    if int(first) >= size:
        raise Unsatisfiable("The range lies outside the value.", size=size)
    end = min(int(last) + 1 if last else size, size)
    return ByteRange(int(first), end - int(first)) if end > int(first) else None


class BulkData:
    """GET ``bulkdata/{tag path}``."""

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive

    async def __call__(self, exchange: Exchange) -> None:
        path = asked_for(exchange)
        if not _PATH.fullmatch(path["element"]):
            raise InvalidRequest("The path names no element.")
        packaging = _packaging(exchange)
        value = partial(exchange.short, self._value, exchange.catalogue, path, exchange.header(b"range"))
        pieces, size, selected = await when_recalled(self._archive, value)
        headers = {"Accept-Ranges": "bytes"}
        if selected is not None:
            headers["Content-Range"] = f"bytes {selected.offset}-{selected.end - 1}/{size}"
            size = selected.length
        if packaging == "multipart" and selected is None:
            answer = MultipartAnswer(OCTETS)
            parts = [Part(OCTETS, size, lambda: pieces, "")]
            await exchange.stream(answer.body(parts), answer.content_type, answer.size(parts), headers=headers)
        else:
            await exchange.stream(pieces, OCTETS, size, 206 if selected is not None else 200, headers)

    def _value(
        self, catalogue: CatalogueView, path: dict[str, str], field: str | None
    ) -> tuple[Iterator[bytes], int, ByteRange | None]:
        held = readable_under(self._archive, catalogue, path)[0]
        size = self._archive.retriever.element(held, path["element"].upper())[0].length
        selected = byte_range(field, size)
        return self._archive.retriever.element_value(held, path["element"].upper(), selected), size, selected


def _packaging(exchange: Exchange) -> str:
    """``multipart`` where that was asked for by name, else the value by itself. Raises UnsupportedMediaType."""
    for one in parse_accept((exchange.parameter("accept"), exchange.header(b"accept"))):
        if one.name in (MULTIPART, "multipart/*"):
            if one.parameters.get("type", OCTETS).lower() in (OCTETS, "*/*", "application/*"):
                return "multipart"
        elif one.covers(OCTETS):
            return "single"
    raise UnsupportedMediaType("Bulk data is served as application/octet-stream.")
