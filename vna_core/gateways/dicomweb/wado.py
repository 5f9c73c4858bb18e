"""WADO-RS, the Retrieve transaction for whole objects (PS3.18 section 10.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from vna_core.domain.identifiers import key_segment
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dicomweb.archive import ROOT, WebArchive
from vna_core.gateways.dicomweb.held import held_under, instance_url
from vna_core.gateways.dicomweb.media_types import DICOM, parse_accept
from vna_core.gateways.dicomweb.multipart_answer import MultipartAnswer, Part
from vna_core.gateways.dicomweb.negotiation import object_form, transfer_syntax_of
from vna_core.gateways.dicomweb.zip_answer import Member, zip_body
from vna_core.gateways.web.exchange import Exchange

SMALL: Final = 2 << 20
"""Octets up to which an object is read whole, in one go, before it is sent."""


class Retrieve:
    """GET of a study, series or instance: multipart, ZIP, or the file itself for one instance."""

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive

    async def __call__(self, exchange: Exchange) -> None:
        path = exchange.path_parameters
        packagings = ("multipart", "single") if "instance" in path else ("multipart", "zip")
        accept = parse_accept((exchange.parameter("accept"), exchange.header(b"accept")))
        packaging, acceptable = object_form(accept, packagings)
        find = exchange.short if "instance" in path else exchange.blocking
        found = await find(self._find, path, acceptable)
        if packaging != "zip" and self._is_small(found):
            await exchange.octets(*await exchange.short(self._whole, found, packaging, exchange.base + ROOT))
        elif packaging == "zip":
            members = [Member(_member_name(held), partial(self._file, held, syntax)) for held, syntax in found]
            name = f'attachment; filename="{key_segment(path["study"])}.zip"'
            await exchange.stream(zip_body(members), "application/zip", None, headers={"Content-Disposition": name})
        elif packaging == "single":
            held, syntax = found[0]
            size = held.trailer_offset if syntax == held.transfer_syntax_uid else None
            await exchange.stream(self._file(held, syntax), f"{DICOM}; transfer-syntax={syntax}", size)
        else:
            answer = MultipartAnswer(DICOM)
            parts = self._parts(found, exchange.base + ROOT)
            await exchange.stream(answer.body(parts), answer.content_type, answer.size(parts))

    def _find(self, path: dict[str, str], acceptable: Sequence[str]) -> list[tuple[HeldInstance, str]]:
        """Instances with the transfer syntaxes they are served in."""
        held = held_under(self._archive.catalogue, path)
        return [(one, transfer_syntax_of(one, acceptable, self._archive.transcoder)) for one in held]

    def _is_small(self, found: Sequence[tuple[HeldInstance, str]]) -> bool:
        held, syntax = found[0]
        return len(found) == 1 and syntax == held.transfer_syntax_uid and held.trailer_offset <= SMALL

    def _whole(self, found: Sequence[tuple[HeldInstance, str]], packaging: str, base: str) -> tuple[bytes, str]:
        """The answer's body and media type, for one small instance as it is stored."""
        if packaging == "single":
            return b"".join(self._file(*found[0])), f"{DICOM}; transfer-syntax={found[0][1]}"
        answer = MultipartAnswer(DICOM)
        return b"".join(answer.body(self._parts(found, base))), answer.content_type

    def _parts(self, found: Sequence[tuple[HeldInstance, str]], base: str) -> list[Part]:
        return [
            Part(
                f"{DICOM}; transfer-syntax={syntax}",
                held.trailer_offset if syntax == held.transfer_syntax_uid else None,
                partial(self._file, held, syntax),
                instance_url(base, held),
            )
            for held, syntax in found
        ]

    def _file(self, held: HeldInstance, syntax: str) -> Iterator[bytes]:
        if syntax == held.transfer_syntax_uid:
            return self._archive.retriever.part10(held)
        return self._archive.transcoder.part10(held, self._archive.retriever, syntax)


def _member_name(held: HeldInstance) -> str:
    name = f"{key_segment(held.series_instance_uid)}/{key_segment(held.sop_instance_uid)}"
    return f"{name}.dcm" if held.version == 1 else f"{name}.v{held.version}.dcm"
