"""WADO-RS frames: stored codestreams as they are, or samples decoded in a subprocess (PS3.18 section 10.4.1.1.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from vna_core.access.codec_names import DECODABLE, ENCODABLE
from vna_core.access.view import CatalogueView
from vna_core.dicom.codestream import EXPLICIT_LITTLE, is_encapsulated
from vna_core.domain.errors import InvalidRequest, NotFound, UnsupportedMediaType
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.held import asked_for, instance_url
from vna_core.gateways.dicomweb.media_types import FRAME_TYPES, OCTETS, TYPE_OF_SYNTAX, Wanted, parse_accept
from vna_core.gateways.dicomweb.multipart_answer import MultipartAnswer, Part
from vna_core.gateways.dicomweb.negotiation import frame_forms
from vna_core.gateways.dicomweb.recalled import readable_under, when_recalled
from vna_core.gateways.web.exchange import Exchange

MAX_FRAMES: Final = 10_000
"""Most frames of one request."""
SMALL: Final = 2 << 20


def frame_numbers(text: str, number_of_frames: int) -> list[int]:
    """The frame list of a path, 1-based, in the order asked for. Raises InvalidRequest, NotFound."""
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise InvalidRequest("The frame list is not a list of frame numbers.")
    numbers = [int(one) for one in text.split(",")]
    if len(numbers) > MAX_FRAMES:
        raise InvalidRequest("Too many frames are asked for at once.", limit="frame-list", maximum=MAX_FRAMES)
    if not all(1 <= number <= number_of_frames for number in numbers):
        raise NotFound("There is no such frame.", frames=number_of_frames)
    return numbers


def frame_form(held: HeldInstance, forms: Sequence[Wanted]) -> tuple[str, str, str]:
    """Packaging, media type and transfer syntax in which frames are served, by what is stored and what is acceptable.

    Raises UnsupportedMediaType when nothing acceptable can be made.
    """
    stored = held.transfer_syntax_uid
    compressed = is_encapsulated(stored)
    own_type = TYPE_OF_SYNTAX.get(stored, OCTETS) if compressed else OCTETS
    for form in forms:
        syntax = form.transfer_syntax_uid
        if form.media_type == "*/*" or (form.media_type == own_type and syntax in ("*", stored)):
            return form.packaging, own_type, stored
        if form.media_type == OCTETS:
            if syntax in ("*", stored):
                return form.packaging, OCTETS, stored
            if syntax in ("", EXPLICIT_LITTLE) and (not compressed or stored in DECODABLE):
                return form.packaging, OCTETS, EXPLICIT_LITTLE
        elif form.media_type == own_type and not syntax:
            return form.packaging, own_type, stored
        elif form.media_type in FRAME_TYPES:
            target = syntax if syntax not in ("", "*") else FRAME_TYPES[form.media_type][0]
            if target in ENCODABLE and target in FRAME_TYPES[form.media_type] and (not compressed or stored in DECODABLE):
                return form.packaging, form.media_type, target
    raise UnsupportedMediaType("The frames cannot be made in an acceptable media type.", stored=stored)


@dataclass(frozen=True, slots=True)
class FramePlan:
    """Which frames of which instance are served, and how."""

    held: HeldInstance
    numbers: list[int]
    packaging: str
    media_type: str
    transfer_syntax_uid: str

    def check(self) -> None:
        """Raises UnsupportedMediaType for several frames of which each is to be the answer."""
        if self.packaging == "single" and len(self.numbers) > 1:
            raise UnsupportedMediaType("Several frames are served as multipart/related.")

    @property
    def as_stored(self) -> bool:
        stored = self.held.transfer_syntax_uid
        return self.transfer_syntax_uid == stored or (self.transfer_syntax_uid == EXPLICIT_LITTLE and not is_encapsulated(stored))

    @property
    def is_small(self) -> bool:
        return self.as_stored and len(self.numbers) * self.held.size // max(1, self.held.number_of_frames) <= SMALL


class Frames:
    """GET ``frames/{list}``: multipart, or a single frame by itself."""

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive

    async def __call__(self, exchange: Exchange) -> None:
        accept = parse_accept((exchange.parameter("accept"), exchange.header(b"accept")))
        forms = frame_forms(accept, ("multipart", "single"))
        make = partial(exchange.short, self._plan, exchange.catalogue, asked_for(exchange), forms)
        await self.send(exchange, await when_recalled(self._archive, make))

    async def send(self, exchange: Exchange, plan: FramePlan) -> None:
        """Answer with frames. Raises DecodeError where they have to be decoded and cannot be."""
        answer = MultipartAnswer(plan.media_type)
        pieces, media_type = self._body(plan, answer, exchange.base + self._archive.root)
        if plan.is_small:
            await exchange.pieces(await exchange.short(list, pieces), media_type)
        elif plan.packaging == "single":
            await exchange.pieces(await exchange.blocking(list, pieces), media_type)
        else:
            await exchange.stream(pieces, media_type, None)

    def _plan(self, catalogue: CatalogueView, path: dict[str, str], forms: Sequence[Wanted]) -> FramePlan:
        held = readable_under(self._archive, catalogue, path)[0]
        if held.pixel_data is None:
            raise NotFound("The instance has no frames.")
        numbers = frame_numbers(path["frames"], max(1, held.number_of_frames))
        plan = FramePlan(held, numbers, *frame_form(held, forms))
        plan.check()
        return plan

    def _body(self, plan: FramePlan, answer: MultipartAnswer, base: str) -> tuple[Iterator[bytes | memoryview], str]:
        """Pieces of the answer and its media type."""
        named = f"{plan.media_type}; transfer-syntax={plan.transfer_syntax_uid}"
        octets = self._octets(plan)
        if plan.packaging == "single":
            return octets, named
        url = instance_url(base, plan.held)
        parts = (
            Part(named, len(frame), partial(iter, (frame,)), f"{url}/frames/{number}")
            for number, frame in zip(plan.numbers, octets, strict=True)
        )
        return answer.body(parts), answer.content_type

    def _octets(self, plan: FramePlan) -> Iterator[bytes]:
        if plan.as_stored:
            return self._archive.retriever.frames(plan.held, plan.numbers)
        return self._archive.transcoder.frame(plan.held, self._archive.retriever, plan.numbers, plan.transfer_syntax_uid)
