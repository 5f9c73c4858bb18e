"""Metadata of whole series, joined once: a series that is asked for again and did not change is answered with the same octets.

The key is what the catalogue just listed for the series (versions, digests, rules), so nothing here can be out of date.
"""

from __future__ import annotations

import threading
from typing import Final

from vna_core.access.view import CatalogueView
from vna_core.catalogue import ListedHeader
from vna_core.gateways.dicomweb.held import Selectors, selected
from vna_core.gateways.resource_paths import quoted

KEPT: Final = 32 << 20
"""Octets that one process keeps."""
LARGEST: Final = 4 << 20
"""Octets of one series; larger ones are streamed and not kept."""
_LARGEST_LIST: Final = 2000

_RELATIVE: Final = b'"BulkDataURI":"@/'
_MARK: Final = b"\xff"
_MARKED: Final = b'"BulkDataURI":"' + _MARK

Listed = tuple[ListedHeader, ...]


class PreparedSeries:
    """The answers of series, cut where the service's root URL belongs; the one unused for longest goes first."""

    def __init__(self, kept: int = KEPT) -> None:
        self._limit = kept
        self._size = 0
        self._changing = threading.Lock()
        self._known: dict[Listed, tuple[bytes, ...]] = {}

    def known(self, catalogue: CatalogueView, study: str, series: str, base: bytes) -> tuple[Listed, bytes | None]:
        """What the series consists of now, and the answer if it is kept."""
        listed = catalogue.listed_headers(study, series)
        with self._changing:
            pieces = self._known.pop(listed, None)
            if pieces is None:
                return listed, None
            self._known[listed] = pieces
        return listed, base.join(pieces)

    def make(self, catalogue: CatalogueView, study: str, series: str, listed: Listed, base: bytes) -> bytes | None:
        """The answer for what was listed; None when it is too large to be made in one go."""
        if len(listed) > _LARGEST_LIST:
            return None
        objects, size = [], 0
        path = f"/studies/{quoted(study)}/series/{quoted(series)}/instances/"
        selectors = Selectors()
        for (_, *_, sha256, _), header in zip(listed, catalogue.metadata_of(listed), strict=True):
            marked = _MARKED + f"{path}{quoted(header.sop_instance_uid)}/".encode("ascii")
            selector = selectors.of(study, series, header.sop_instance_uid, sha256)
            described = selected(header.json, selector.encode("ascii")) if selector else header.json
            objects.append(described.replace(_RELATIVE, marked))
            size += len(objects[-1])
            if size > LARGEST:
                return None
        # No UTF-8 text holds the mark, so that it is nowhere but where it was put.
        pieces = tuple((b"[" + b",".join(objects) + b"]").split(_MARK))
        self._keep(catalogue, study, series, listed, pieces)
        return base.join(pieces)

    def _keep(self, catalogue: CatalogueView, study: str, series: str, listed: Listed, pieces: tuple[bytes, ...]) -> None:
        if catalogue.listed_headers(study, series) != listed:
            return  # changed while it was read: the headers may be newer than the list
        with self._changing:
            if listed in self._known:
                return
            self._known[listed] = pieces
            self._size += sum(map(len, pieces))
            while self._size > self._limit:
                self._size -= sum(map(len, self._known.pop(next(iter(self._known)))))
