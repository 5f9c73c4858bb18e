"""QIDO-RS, the Search transaction of the Studies Service (PS3.18 section 10.6)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from vna_core.access.view import CatalogueView
from vna_core.catalogue import Match
from vna_core.dicom.answers import in_order, sequence_members, without_bulk_data
from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.query import Equals, InSequence, Level
from vna_core.domain.sequence_levels import level_of_sequence
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.media_types import choose_json, parse_accept
from vna_core.gateways.dicomweb.qido_columns import Columns, columns_of
from vna_core.gateways.dicomweb.qido_query import SearchRequest, parse_search
from vna_core.gateways.dicomweb.qido_rows import EncodedRows, octets, row_of, uid_of
from vna_core.gateways.resource_paths import INSTANCE, SERIES, STUDY
from vna_core.gateways.web.exchange import Exchange

_UIDS: Final = {"study": STUDY, "series": SERIES, "instance": INSTANCE}

_REQUESTED: Final = {0x00400275: frozenset(("00400009", "00401001"))}
"""Sequences that rows of series have without being asked for, and what of their items (PS3.18 table 10.6.3-4)."""
_KEYS: Final = frozenset((0x00100020, 0x00080050, STUDY, SERIES))
LAST_PAGE: Final = "VNA-Last-Page"
"""Field of an answer behind which there is none: whoever pages need not ask for an empty one."""
ANSWER_LIMIT: Final = 64 << 20
"""Octets of rows in one answer; a page that has more ends there, and says so."""
NARROW: Final = 100
"""Rows of a page that is read at once."""


class Search:
    """GET of studies, series or instances, at the root or below a study or series."""

    def __init__(self, archive: WebArchive, level: Level) -> None:
        self._archive = archive
        self._level = level
        self._rows = EncodedRows()

    async def __call__(self, exchange: Exchange) -> None:
        media_type = choose_json(parse_accept((exchange.parameter("accept"), exchange.header(b"accept"))))
        fixed = [(_UIDS[name], str(uid)) for name, uid in exchange.path_parameters.items()]
        request = parse_search(self._level, exchange.query, fixed, self._archive.settings.http.page_limit)
        ask = exchange.short if self._level is Level.STUDY and _is_narrow(request) else exchange.blocking
        content, warnings, is_last = await ask(
            self._answer, exchange.catalogue, request, exchange.base + self._archive.root, len(fixed)
        )
        headers = {"Warning": f'299 vna "{" ".join(warnings)}"'} if warnings else {}
        if is_last:
            headers[LAST_PAGE] = "true"
        await exchange.octets(content, media_type, headers=headers)

    def _answer(
        self, catalogue: CatalogueView, request: SearchRequest, base: str, given_levels: int
    ) -> tuple[bytes, list[str], bool]:
        """The body, what the client has to be warned of, and whether nothing comes behind it."""
        if request.query.limit == 0:
            return b"[]", [], False
        answer = catalogue.search(request.query)
        found = self._archive.availability.of_matches(self._level, list(answer.matches))
        rows, is_cut = _page(self._encoded(catalogue, found, request, base, given_levels))
        warnings = []
        ignored = [*request.ignored, *(f"{tag:08X}" for tag in answer.unmatched)]
        if ignored:
            warnings.append(
                f"These parameters are not matched on and were ignored: {', '.join(_plain(name) for name in ignored[:32])}."
            )
        if request.unknown:
            unknown = ", ".join(_plain(name) for name in request.unknown[:32])
            warnings.append(f"These names of includefield are no attributes and were passed over: {unknown}.")
        if is_cut or (answer.cursor and request.query.limit == self._archive.settings.http.page_limit):
            warnings.append(
                "The number of results exceeded the maximum supported by the server. Additional results can be requested."
            )
        return b"[" + b",".join(rows) + b"]", warnings, not (answer.cursor or is_cut)

    def _encoded(
        self,
        catalogue: CatalogueView,
        found: Sequence[tuple[Match, str]],
        request: SearchRequest,
        base: str,
        given_levels: int,
    ) -> Iterator[bytes]:
        columns = columns_of(self._level, None if request.everything else request.include, given_levels)
        if self._level is Level.IMAGE:
            for match, available in found:
                yield octets(_instance(catalogue, match, columns, request, base, available))
            return
        root = base.encode("ascii")
        sequences = _sequences(catalogue, self._level, [match for match, _ in found], request)
        for (match, available), below in zip(found, sequences, strict=True):
            if below:
                yield octets(in_order(row_of(match, columns, base, available) | below))
            else:
                yield self._rows.encoded(match, columns, root, available)


def _page(rows: Iterator[bytes]) -> tuple[list[bytes], bool]:
    """Rows as far as one answer goes, at least one, and whether there are more: each may have long sequences."""
    page: list[bytes] = []
    size = 0
    for row in rows:
        size += len(row)
        if page and size > ANSWER_LIMIT:
            return page, True
        page.append(row)
    return page, False


def _sequences(
    catalogue: CatalogueView, level: Level, matches: Sequence[Match], request: SearchRequest
) -> Iterator[dict[str, Any]]:
    """Members of each row for sequences: whole where they are asked for, else as far as the level has them.

    What is asked of a sequence is shown by it: it is that of the first header that fulfils it.
    """
    always = _REQUESTED if level is Level.SERIES else {}
    asked = {tag for tag in request.include if level_of_sequence(tag) is not None}
    if not (asked or always) or not matches:
        yield from ({} for _ in matches)
        return
    conditions = {one.tag: one for one in request.query.conditions if isinstance(one, InSequence)}
    wanted = {tag: conditions.get(tag) for tag in sorted(asked | always.keys())}
    for _, told in catalogue.sequences(matches, wanted, whole=True):
        yield sequence_members(
            {tag: items if tag in asked else [_of_those(item, always[tag]) for item in items] for tag, items in told.items()}
        )


def _of_those(item: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Those attributes of an item that are named."""
    return {name: element for name, element in item.items() if name in names}


def _instance(
    catalogue: CatalogueView, match: Match, columns: Columns, request: SearchRequest, base: str, available: str
) -> dict[str, Any]:
    row = row_of(match, columns, base, available)
    _from_header(catalogue, row, match, request)
    return in_order(row)


def _from_header(catalogue: CatalogueView, row: dict[str, Any], match: Match, request: SearchRequest) -> None:
    """Attributes that are not indexed come from the instance's own header."""
    missing = [tag for tag in request.include if tag not in INDEXED and f"{tag:08X}" not in row]
    if not missing and not request.everything:
        return
    attributes = match.told(frozenset((STUDY, SERIES, INSTANCE)))
    study, series, sop = (uid_of(attributes, tag) for tag in (STUDY, SERIES, INSTANCE))
    for held, header in catalogue.headers(study=study, series=series, sop=sop):
        if held.pk != match.pk:
            continue
        whole: dict[str, Any] = json.loads(header)
        wanted = whole if request.everything else {f"{tag:08X}" for tag in missing}
        row.update(without_bulk_data({key: whole[key] for key in wanted if key in whole}))


def _is_narrow(request: SearchRequest) -> bool:
    """Whether so few rows are to be read that handing the work to a thread would cost more."""
    query = request.query
    if any(isinstance(one, InSequence) for one in query.conditions) or any(map(level_of_sequence, request.include)):
        return False
    if query.limit is not None and query.limit <= NARROW and not query.conditions:
        return query.offset <= NARROW * 50
    return any(isinstance(one, Equals) and one.tag in _KEYS and len(one.values) == 1 for one in query.conditions)


def _plain(name: str) -> str:
    """A parameter's name as a header field may carry it: keywords and tags as they are, steps through sequences included."""
    return "".join(one if one.isascii() and (one.isalnum() or one == ".") else "?" for one in name[:129])
