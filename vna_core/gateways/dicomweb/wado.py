"""WADO-RS, the Retrieve transaction for whole objects (PS3.18 section 10.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from vna_core.access.egress.profiles import EgressProfile
from vna_core.access.view import CatalogueView
from vna_core.domain.file_names import shared, told_apart
from vna_core.domain.identifiers import key_segment
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.held import Selectors, asked_for, instance_url
from vna_core.gateways.dicomweb.media_types import DICOM, parse_accept
from vna_core.gateways.dicomweb.multipart_answer import MultipartAnswer, Part
from vna_core.gateways.dicomweb.negotiation import adapted_transfer_syntax, object_form, transfer_syntax_of
from vna_core.gateways.dicomweb.recalled import readable_under, when_recalled
from vna_core.gateways.dicomweb.zip_answer import Member, zip_body
from vna_core.gateways.web.exchange import Exchange

SMALL: Final = 2 << 20
"""Octets up to which an object is read whole, in one go, before it is sent."""


@dataclass(frozen=True, slots=True)
class Served:
    """One instance of an answer.

    Attributes
    ----------
    size
        Octets of the file, None where only its making tells.
    as_stored
        It goes out as it is stored, octet by octet.
    """

    held: HeldInstance
    transfer_syntax_uid: str
    profile: EgressProfile | None
    size: int | None
    as_stored: bool

    @property
    def media_type(self) -> str:
        return f"{DICOM}; transfer-syntax={self.transfer_syntax_uid}"


class Retrieve:
    """GET of a study, series or instance: multipart, ZIP, or the file itself for one instance."""

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive

    async def __call__(self, exchange: Exchange) -> None:
        path = asked_for(exchange)
        packagings = ("multipart", "single") if "instance" in path else ("multipart", "zip")
        accept = parse_accept((exchange.parameter("accept"), exchange.header(b"accept")))
        packaging, acceptable = object_form(accept, packagings)
        profile = self._archive.profile_of(exchange)
        find = exchange.short if "instance" in path and profile is None else exchange.blocking
        look = partial(find, self._find, exchange.catalogue, path, acceptable, profile)
        found = await when_recalled(self._archive, look)
        if packaging != "zip" and self._is_small(found):
            await exchange.pieces(*await exchange.short(self._whole, found, packaging, exchange.base + self._archive.root))
        elif packaging == "zip":
            names = _member_names([one.held for one in found])
            parts = self._parts(found, "")
            members = [Member(name, partial(_octets, part)) for name, part in zip(names, parts, strict=True)]
            name = f'attachment; filename="{key_segment(path["study"])}.zip"'
            await exchange.stream(zip_body(members), "application/zip", None, headers={"Content-Disposition": name})
        elif packaging == "single":
            await exchange.stream(self._file(found[0]), found[0].media_type, found[0].size)
        else:
            answer = MultipartAnswer(DICOM)
            parts = self._parts(found, exchange.base + self._archive.root)
            short = all(map(self._is_short, found))
            await exchange.stream(answer.body(parts), answer.content_type, answer.size(parts), short=short)

    def _find(
        self, catalogue: CatalogueView, path: dict[str, str], acceptable: Sequence[str], profile: EgressProfile | None
    ) -> list[Served]:
        """Instances with the transfer syntaxes they are served in. With a profile, whatever it refuses is refused here."""
        held = readable_under(self._archive, catalogue, path)
        return [self._served(one, acceptable, profile) for one in held]

    def _served(self, held: HeldInstance, acceptable: Sequence[str], profile: EgressProfile | None) -> Served:
        stored = held.transfer_syntax_uid
        if profile is None and ("*" in acceptable or stored in acceptable):
            return Served(held, stored, None, held.trailer_offset, True)
        egress = self._archive.egress
        allowed = egress.transfer_syntaxes(held, profile)
        if allowed:
            syntax = adapted_transfer_syntax(held, acceptable, allowed)
        else:
            syntax = transfer_syntax_of(held, acceptable, self._archive.transcoder)
        size = egress.outgoing(held, profile).size(syntax)
        return Served(held, syntax, profile, size, profile is None and syntax == stored)

    def part(self, held: HeldInstance, acceptable: Sequence[str], base: str) -> Part:
        """One of several instances as a part of a multipart answer. Raises UnsupportedMediaType."""
        url = instance_url(base, held) + Selectors().of_held(held)
        return self._part(self._served(held, acceptable, None), url, True)

    def _is_small(self, found: Sequence[Served]) -> bool:
        return len(found) == 1 and found[0].as_stored and found[0].held.trailer_offset <= SMALL

    def _is_short(self, served: Served) -> bool:
        return served.as_stored and served.held.size <= SMALL and self._archive.retriever.is_local(served.held)

    def _whole(self, found: Sequence[Served], packaging: str, base: str) -> tuple[list[bytes | memoryview], str]:
        """The answer's body in pieces and its media type, for one small instance as it is stored."""
        if packaging == "single":
            return list(self._pieces(found[0])), found[0].media_type
        answer = MultipartAnswer(DICOM)
        return list(answer.body(self._parts(found, base))), answer.content_type

    def _parts(self, found: Sequence[Served], base: str) -> list[Part]:
        selectors = Selectors()
        return [self._part(one, instance_url(base, one.held) + selectors.of_held(one.held), len(found) > 1) for one in found]

    def _part(self, served: Served, url: str, one_of_several: bool) -> Part:
        """One instance. A broken image does not keep the others of its study from whoever asks: it goes out as stored."""
        octets = partial(self._pieces, served)
        stored = self._stored(served) if one_of_several else None
        otherwise = None if stored is None else partial(self._part, stored, url, False)
        return Part(served.media_type, served.size, octets, url, otherwise)

    def _stored(self, served: Served) -> Served | None:
        """A converted instance in the form that it is stored in, where the receiver's profile allows it; None: there is no other form."""
        stored = served.held.transfer_syntax_uid
        if served.transfer_syntax_uid == stored:
            return None
        allowed = self._archive.egress.transfer_syntaxes(served.held, served.profile)
        if allowed and stored not in allowed:
            return None
        return Served(served.held, stored, served.profile, None, served.profile is None)

    def _pieces(self, served: Served) -> Iterator[bytes | memoryview]:
        """The file's octets for somebody who joins them to others: what is small and goes out as stored is not copied before."""
        if served.as_stored and served.held.size <= SMALL:
            return iter((self._archive.retriever.small_part10(served.held),))
        return self._file(served)

    def _file(self, served: Served) -> Iterator[bytes]:
        return self._archive.egress.outgoing(served.held, served.profile).part10(served.transfer_syntax_uid)


def _octets(part: Part) -> Iterator[bytes | memoryview]:
    """Octets of a part as it goes out."""
    return part.begun()[1]


def _member_names(held: Sequence[HeldInstance]) -> list[str]:
    """A name for each, by series and instance; those that would have the same one are told apart by their digests."""
    stems = [f"{key_segment(one.series_instance_uid)}/{key_segment(one.sop_instance_uid)}" for one in held]
    several = shared(stems)
    return [
        told_apart(stem, one.sha256, ".dcm")
        if stem in several
        else f"{stem}.dcm"
        if one.version == 1
        else f"{stem}.v{one.version}.dcm"
        for stem, one in zip(stems, held, strict=True)
    ]
