"""WADO-RS bulk data: the value of one element, whole or a range of it (PS3.18 section 10.4.1.1.5, RFC 9110 section 14).

Pixel data that is stored compressed has no value of octets that anybody could take for samples: it is served decoded, or as its frames, each in the
media type of its codestream (PS3.18 section 8.7.3.3). As it is stored, with items and delimiters, it comes where that is asked for by ``transfer-syntax``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from vna_core.access.view import CatalogueView
from vna_core.dicom.codestream import EXPLICIT_LITTLE, is_encapsulated
from vna_core.domain.errors import DecodeError, InvalidRequest, UnsupportedMediaType
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import ByteRange
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.frames import FramePlan, Frames, frame_form
from vna_core.gateways.dicomweb.held import asked_for, instance_url
from vna_core.gateways.dicomweb.media_types import MULTIPART, OCTETS, TYPE_OF_SYNTAX, parse_accept
from vna_core.gateways.dicomweb.multipart_answer import MultipartAnswer, Part
from vna_core.gateways.dicomweb.negotiation import frame_forms
from vna_core.gateways.dicomweb.recalled import readable_under, when_recalled
from vna_core.gateways.web.exchange import Exchange

_PATH: Final = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8}){0,64}")
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


PIXEL_DATA: Final = "7FE00010"


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
        self._frames = Frames(archive)

    async def __call__(self, exchange: Exchange) -> None:
        path = asked_for(exchange)
        if not _PATH.fullmatch(path["element"]):
            raise InvalidRequest("The path names no element.")
        if path["element"].upper() == PIXEL_DATA:
            find = partial(exchange.short, self._compressed, exchange.catalogue, path)
            held = await when_recalled(self._archive, find)
            if held is not None and await self._send_pixels(exchange, held):
                return
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

    def _compressed(self, catalogue: CatalogueView, path: dict[str, str]) -> HeldInstance | None:
        """The instance, if its pixel data is frames that are stored compressed and can be told from one another."""
        held = readable_under(self._archive, catalogue, path)[0]
        is_video = TYPE_OF_SYNTAX.get(held.transfer_syntax_uid, "").startswith("video/")
        has_frames = held.pixel_data is not None and held.number_of_frames > 0
        return held if has_frames and is_encapsulated(held.transfer_syntax_uid) and not is_video else None

    async def _send_pixels(self, exchange: Exchange, held: HeldInstance) -> bool:
        """Answer with compressed pixel data; False: it is to be sent as it is stored. Raises UnsupportedMediaType, DecodeError."""
        accept = parse_accept((exchange.parameter("accept"), exchange.header(b"accept")))
        known = [replace(one, name=OCTETS) if one.name == "application/*" else one for one in accept]
        numbers = list(range(1, held.number_of_frames + 1))
        plan = FramePlan(held, numbers, *frame_form(held, frame_forms(known, ("multipart", "single"))))
        if plan.media_type != OCTETS:
            plan.check()
            await self._frames.send(exchange, plan)
            return True
        if plan.transfer_syntax_uid != EXPLICIT_LITTLE:
            return False
        samples = _of_one_size(self._archive.transcoder.frame(held, self._archive.retriever, numbers, EXPLICIT_LITTLE))
        named = f"{OCTETS}; transfer-syntax={EXPLICIT_LITTLE}"
        if plan.packaging == "single":
            await exchange.stream(samples, named, None)
        else:
            answer = MultipartAnswer(OCTETS)
            url = f"{instance_url(exchange.base + self._archive.root, held)}/bulkdata/{PIXEL_DATA}"
            await exchange.stream(answer.body([Part(named, None, lambda: samples, url)]), answer.content_type, None)
        return True

    def _value(
        self, catalogue: CatalogueView, path: dict[str, str], field: str | None
    ) -> tuple[Iterator[bytes], int, ByteRange | None]:
        held = readable_under(self._archive, catalogue, path)[0]
        size = self._archive.retriever.element(held, path["element"].upper())[0].length
        selected = byte_range(field, size)
        return self._archive.retriever.element_value(held, path["element"].upper(), selected), size, selected


def _of_one_size(frames: Iterator[bytes]) -> Iterator[bytes]:
    """Frames that make one value. Raises DecodeError where one is not as large as the first."""
    size = None
    for frame in frames:
        if size not in (None, len(frame)):
            raise DecodeError("The frames of this instance are not of one size.")
        size = len(frame)
        yield frame


def _packaging(exchange: Exchange) -> str:
    """``multipart`` where that was asked for by name, else the value by itself. Raises UnsupportedMediaType."""
    for one in parse_accept((exchange.parameter("accept"), exchange.header(b"accept"))):
        if one.name in (MULTIPART, "multipart/*"):
            if one.parameters.get("type", OCTETS).lower() in (OCTETS, "*/*", "application/*"):
                return "multipart"
        elif one.covers(OCTETS):
            return "single"
    raise UnsupportedMediaType("Bulk data is served as application/octet-stream.")
