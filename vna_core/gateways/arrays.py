"""Zarr over HTTP: the arrays of a series for remote readers, read-only. Keys below a series are those of `SeriesArrays`.

A series may grow while it is read, and planes then change their places. A URL whose series segment ends in ``@`` and the layout's digest
(attribute ``layout`` of the root group) is for readers that must not mix both: it is answered with 409 once the series has changed.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Final

from starlette.routing import Route

from vna_core.access.arrays.series import METADATA, SeriesArrays
from vna_core.access.gate import Gate
from vna_core.access.retrieve import Retriever
from vna_core.access.view import CatalogueView
from vna_core.catalogue import ListedHeader
from vna_core.domain.access import Action
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.gateways.dicomweb.bulkdata import byte_range
from vna_core.gateways.web.exchange import Exchange, Pace
from vna_core.gateways.web.protection import Endpoint

ROOT: Final = "/zarr"
KEPT_FRAMES: Final = 500_000
"""Frames of the layouts that one process keeps."""


class SeriesChanged(InvalidRequest):
    """The series has changed since its arrays were opened: open them again."""

    code = "series-changed"
    http_status = 409


class Layouts:
    """Layouts of series, kept as long as the catalogue lists the same."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever
        self._known: OrderedDict[tuple[ListedHeader, ...], SeriesArrays] = OrderedDict()
        self._frames = 0
        self._lock = threading.Lock()

    def of(self, catalogue: CatalogueView, study: str, series: str, pinned: str) -> SeriesArrays:
        """The arrays of a series as it is now. Raises NotFound, LimitExceeded, SeriesChanged."""
        listed = catalogue.listed_headers(study, series)
        if not listed:
            raise NotFound("Nothing is held under these UIDs.")
        digest = hashlib.sha256(repr(listed).encode()).hexdigest()[:16]
        if pinned and pinned != digest:
            raise SeriesChanged("The series has changed since its arrays were opened: open them again.", layout=digest)
        with self._lock:
            known = self._known.get(listed)
            if known is not None:
                self._known.move_to_end(listed)
                return known
        made = SeriesArrays.of_series(catalogue, self._retriever, study, series, {"layout": digest})
        self._keep(listed, made)
        return made

    def _keep(self, listed: tuple[ListedHeader, ...], made: SeriesArrays) -> None:
        with self._lock:
            if listed not in self._known and made.frames <= KEPT_FRAMES:
                self._known[listed] = made
                self._frames += made.frames
            while self._frames > KEPT_FRAMES:
                self._frames -= self._known.popitem(last=False)[1].frames


class ZarrKey:
    """GET and HEAD of one key, whole or a range."""

    def __init__(self, layouts: Layouts) -> None:
        self._layouts = layouts

    async def __call__(self, exchange: Exchange) -> None:
        path = exchange.path_parameters
        content, size, start = await exchange.short(
            self._read, exchange.catalogue, path, exchange.header(b"range"), exchange.method == "HEAD"
        )
        media_type = "application/json" if path["key"].endswith(METADATA) else "application/octet-stream"
        headers = {"Accept-Ranges": "bytes"}
        if start is None:
            await exchange.octets(content, media_type, headers=headers)
        else:
            headers["Content-Range"] = f"bytes {start}-{start + len(content) - 1}/{size}"
            await exchange.octets(content, media_type, 206, headers)

    def _read(
        self, catalogue: CatalogueView, path: dict[str, str], field: str | None, head: bool
    ) -> tuple[bytes, int, int | None]:
        """Octets, the size of the whole, and where a range begins in it."""
        series, _, pinned = path["series"].partition("@")
        arrays, key = self._layouts.of(catalogue, path["study"], series, pinned), path["key"]
        size = arrays.size(key)
        if size is None:
            raise NotFound("There is nothing under this key.")
        wanted = None if head else byte_range(field, size)
        octets = arrays.read(key) if wanted is None else arrays.read(key, wanted.offset, wanted.length)
        if octets is None:
            raise NotFound("There is nothing under this key.")
        return octets, size, None if wanted is None else wanted.offset


def array_routes(retriever: Retriever, pace: Pace, gate: Gate) -> list[Route]:
    """Routes below ``/zarr``."""
    handler = ZarrKey(Layouts(retriever))
    path = f"{ROOT}/studies/{{study}}/series/{{series}}/{{key:path}}"
    return [Route(path, Endpoint(handler, pace, gate, Action.RETRIEVE), methods=["GET"], name="zarr")]
