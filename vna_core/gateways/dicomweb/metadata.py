"""WADO-RS metadata: the headers prepared at ingest, joined and sent (PS3.18 section 10.4.1.1.2)."""

from __future__ import annotations

from collections.abc import Iterator

from vna_core.access.egress.profiles import EgressProfile
from vna_core.access.view import CatalogueView
from vna_core.domain.errors import NotFound
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.held import SHA256, Selectors, asked_for, held_under, instance_url, selected
from vna_core.gateways.dicomweb.media_types import choose_json, parse_accept
from vna_core.gateways.dicomweb.prepared_series import PreparedSeries
from vna_core.gateways.web.exchange import Exchange

BATCH = 4 << 20
"""Octets that are joined before they are sent."""


class Metadata:
    """GET ``metadata`` of a study, series or instance."""

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive
        self._prepared = PreparedSeries()

    async def __call__(self, exchange: Exchange) -> None:
        media_type = choose_json(parse_accept((exchange.parameter("accept"), exchange.header(b"accept"))))
        path, base, profile = asked_for(exchange), exchange.base + self._archive.root, self._archive.profile_of(exchange)
        if profile is None and "series" in path and "instance" not in path:
            content = await self._series(exchange)
            if content is not None:
                await exchange.octets(content, media_type)
                return
        pieces = self._pieces(
            self._headers(exchange.catalogue, path, base)
            if profile is None
            else self._adapted(exchange.catalogue, path, base, profile)
        )
        first, last = await exchange.blocking(_first_two, pieces)
        if last is None:
            await exchange.octets(first, media_type)
            return
        await exchange.stream(_again(first, last, pieces), media_type, None)

    async def _series(self, exchange: Exchange) -> bytes | None:
        """The answer for a series, which viewers ask for most: as it was prepared, or prepared now; None when it is too large."""
        path, base = exchange.path_parameters, (exchange.base + self._archive.root).encode("ascii")
        listed, content = await exchange.short(self._prepared.known, exchange.catalogue, path["study"], path["series"], base)
        if not listed:
            raise NotFound("Nothing is held under these UIDs.")
        if content is None:
            content = await exchange.blocking(
                self._prepared.make, exchange.catalogue, path["study"], path["series"], listed, base
            )
        made: bytes | None = content
        return made

    def _pieces(self, headers: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
        batch = bytearray(b"[")
        separator = b""
        for url, header in headers:
            batch += separator
            batch += absolute(header, url)
            separator = b","
            if len(batch) > BATCH:
                yield bytes(batch)
                batch.clear()
        if not separator:
            raise NotFound("Nothing is held under these UIDs.")
        batch += b"]"
        yield bytes(batch)

    def _headers(self, catalogue: CatalogueView, path: dict[str, str], base: str) -> Iterator[tuple[str, bytes]]:
        """URL and header of each instance."""
        chosen = {held.pk for held in held_under(catalogue, path)} if SHA256 in path else None
        selectors = Selectors()
        for held, header in catalogue.headers(study=path["study"], series=path.get("series"), sop=path.get("instance")):
            selector = selectors.of_held(held)
            if chosen is None or held.pk in chosen:
                yield instance_url(base, held) + selector, header

    def _adapted(
        self, catalogue: CatalogueView, path: dict[str, str], base: str, profile: EgressProfile
    ) -> Iterator[tuple[str, bytes]]:
        """The same as the client's egress profile wants it, made from the stored objects."""
        selectors = Selectors()
        for held in held_under(catalogue, path):
            yield instance_url(base, held) + selectors.of_held(held), self._archive.egress.metadata(held, profile)


def absolute(header: bytes, url: str) -> bytes:
    """The header with its bulk data addresses made absolute.

    Inside a JSON string every quotation mark is escaped, so the pattern cannot match in a value.
    """
    place, mark, selector = url.encode("ascii").partition(b"?")
    if mark:
        header = selected(header, mark + selector)
    return header.replace(b'"BulkDataURI":"@/', b'"BulkDataURI":"' + place + b"/")


def _first_two(pieces: Iterator[bytes]) -> tuple[bytes, bytes | None]:
    return next(pieces), next(pieces, None)


def _again(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest
