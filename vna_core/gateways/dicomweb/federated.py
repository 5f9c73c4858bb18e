"""DICOMweb over the whole federation, below ``/federated/dicom-web``: the same services, answered by every member who may be asked."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import zstandard
from pydantic_core import PydanticSerializationError, to_json
from starlette.routing import Route

from vna_core.access.gate import Gate
from vna_core.catalogue import Catalogue
from vna_core.dicom.codestream import EXPLICIT_LITTLE
from vna_core.dicom.json_header import encode_attributes
from vna_core.domain.access import Action
from vna_core.domain.errors import NotFound, PeerError
from vna_core.domain.query import Level
from vna_core.federation.bringing import Retrieval, Takes
from vna_core.federation.federation import WEB_ROOT, Federation
from vna_core.federation.kept import PassedInstance
from vna_core.federation.members import MemberReport, Outcome
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.brought import Brought, asked_by_federation, note_missing, refuse_nothing
from vna_core.gateways.dicomweb.bulkdata import BulkData
from vna_core.gateways.dicomweb.capabilities import Capabilities
from vna_core.gateways.dicomweb.federated_pictures import FederatedRendered, FederatedThumbnail
from vna_core.gateways.dicomweb.frames import Frames
from vna_core.gateways.dicomweb.held import instance_url
from vna_core.gateways.dicomweb.media_types import DICOM, choose_json, parse_accept
from vna_core.gateways.dicomweb.member_states import MemberStates
from vna_core.gateways.dicomweb.metadata import Metadata
from vna_core.gateways.dicomweb.multipart_answer import MultipartAnswer, Part
from vna_core.gateways.dicomweb.negotiation import object_form
from vna_core.gateways.dicomweb.qido_columns import required_of
from vna_core.gateways.dicomweb.qido_query import SearchRequest, parse_search
from vna_core.gateways.dicomweb.wado import Retrieve
from vna_core.gateways.dicomweb.warning_field import WARNING, warning
from vna_core.gateways.federated_rows import described, path_of
from vna_core.gateways.web.exchange import Exchange, Pace
from vna_core.gateways.web.protection import Endpoint, Handler

ROOT: Final = WEB_ROOT
TOKEN: Final = "consistencytoken"
"""Query parameter with the token of an answer whose further pages are wanted."""

BASE: Final = "\t"
"""Stands in a kept row for the address under which whoever asks knows this service; JSON writes no character of a value like this."""
_URL: Final = "00081190"
_UIDS: Final = {"study": 0x0020000D, "series": 0x0020000E, "instance": 0x00080018}
_STUDY: Final = f"{ROOT}/studies/{{study}}"
_SERIES: Final = _STUDY + "/series/{series}"
_INSTANCE: Final = _SERIES + "/instances/{instance}"
_FRAMES: Final = _INSTANCE + "/frames/{frames}"


class FederatedSearch:
    """QIDO-RS of studies, series or instances, asked of every member."""

    def __init__(self, federation: Federation, catalogue: Catalogue, level: Level, page_limit: int) -> None:
        self._federation = federation
        self._answers = catalogue.federated_answers
        self._level = level
        self._page_limit = page_limit

    async def __call__(self, exchange: Exchange) -> None:
        media_type = choose_json(parse_accept((exchange.parameter("accept"), exchange.header(b"accept"))))
        fixed = [(_UIDS[name], str(uid)) for name, uid in exchange.path_parameters.items()]
        parameters = [one for one in exchange.query if one[0] != TOKEN]
        request = parse_search(self._level, parameters, fixed, self._page_limit)
        token = exchange.parameter(TOKEN) or ""
        token, rows, head = await exchange.blocking(self._answer, exchange, request, token)
        reports = head["reports"]
        offset, limit = request.query.offset, request.query.limit
        page = rows[offset:] if limit is None else rows[offset : offset + limit]
        base = json.dumps(exchange.base + ROOT)[1:-1]
        body = f"[{','.join(row.replace(BASE, base, 1) for row in page)}]"
        missing = [MemberReport(**{**one, "outcome": Outcome(one["outcome"])}) for one in reports]
        sentences = [f"The member {one.sentence}." for one in missing if not one.outcome.is_whole]
        if request.ignored or request.unknown:
            sentences.append(f"Ignored: {', '.join((*request.ignored, *request.unknown)[:32])}.")
        if head["unmatched"]:
            sentences.append(f"Not matched on every row: {', '.join(head['unmatched'][:32])}.")
        headers = {"VNA-Members": json.dumps(reports, separators=(",", ":"))}
        if token:
            headers["VNA-Consistency-Token"] = token
        if sentences:
            headers[WARNING] = warning(sentences)
        await exchange.octets(body.encode(), media_type, headers=headers)

    def _answer(self, exchange: Exchange, request: SearchRequest, token: str) -> tuple[str, list[str], dict[str, Any]]:
        """Token (none: there are no further pages), rows, and reports with what was not matched: of an answer that was given, where a further page of it is wanted, else of a new one.

        Rows are written once, however many pages are cut from them.
        """
        question = self._question(exchange, request)
        seconds = self._federation.settings.snapshot
        if token or request.query.offset:
            known = self._answers.find(question, seconds, token)
            if known is not None:
                head, *rows = zstandard.decompress(known[1], 1 << 30).decode().split("\n")
                return known[0], rows, json.loads(head)
            if token:
                raise NotFound("This answer is not kept any more: ask again from the first page.")
        exchange.catalogue.notes.queried(request.query)
        answer = self._federation.query(
            request.query,
            tuple(sorted(request.include)),
            scope=exchange.catalogue.scope,
            local_only=asked_by_federation(exchange),
        )
        empty = encode_attributes(dict.fromkeys(required_of(self._level, len(exchange.path_parameters)), ()))
        rows = [written(empty | described(row, self._federation.settings.aet), self._level) for row in answer.rows]
        told = {
            "reports": [report.as_dict() for report in answer.reports],
            "unmatched": [f"{tag:08X}" for tag in answer.unmatched],
        }
        token, limit = "", request.query.limit
        if limit is not None and len(rows) > limit:
            token = secrets.token_urlsafe(18)
            content = "\n".join((json.dumps(told), *rows)).encode()
            self._answers.keep(token, question, zstandard.compress(content, 3), seconds)
        return token, rows, told

    def _question(self, exchange: Exchange, request: SearchRequest) -> str:
        """What makes an answer that of another question or of somebody else."""
        asked = (
            "told lines",
            exchange.asker.kind,
            exchange.principal,
            exchange.catalogue.scope.text,
            asked_by_federation(exchange),
        )
        query = replace(request.query, limit=None, offset=0)
        return hashlib.sha256(repr((asked, query, sorted(request.include))).encode("utf-8", "surrogatepass")).hexdigest()


def written(row: dict[str, Any], level: Level) -> str:
    """A row in one line, in the order of its tags (PS3.18 F.2.2), whose Retrieve URL begins with `BASE`."""
    url = f'"{_URL}":{{"vr":"UR","Value":["{BASE}{path_of(row, level)}"]}}'
    tags = sorted(row)
    before = _members({tag: row[tag] for tag in tags if tag < _URL})
    after = _members({tag: row[tag] for tag in tags if tag > _URL})
    return "{" + ",".join(filter(None, (before, url, after))) + "}"


def _members(row: dict[str, Any]) -> str:
    """An object as JSON, without its braces."""
    try:
        return to_json(row).decode()[1:-1]
    except PydanticSerializationError:  # half a surrogate pair, which only an escape sequence can say
        return json.dumps(row, separators=(",", ":"))[1:-1]


class FederatedRetrieve(Brought):
    """WADO-RS of a study or series: parts go out as members deliver them."""

    def __init__(self, federation: Federation, archive: WebArchive) -> None:
        super().__init__(federation, Retrieve(archive))
        self._archive = archive

    async def __call__(self, exchange: Exchange) -> None:
        accept = parse_accept((exchange.parameter("accept"), exchange.header(b"accept")))
        packaging, acceptable = object_form(accept, ("multipart", "zip"))
        if packaging == "zip" or self._archive.profile_of(exchange) is not None:
            await super().__call__(exchange)
            return
        retrieval = await exchange.blocking(self._begin, exchange, _takes(acceptable))
        try:
            note_missing(exchange, retrieval, retrieval.unheard)
            retrieve = Retrieve(self._archive)
            answer = MultipartAnswer(DICOM)
            parts = self._parts(retrieval, retrieve, acceptable, exchange.base + ROOT)
            await exchange.stream(answer.body(parts), answer.content_type, None)
        finally:
            if retrieval.begun is not None:
                await exchange.blocking(retrieval.close)

    def _parts(self, retrieval: Retrieval, retrieve: Retrieve, acceptable: Sequence[str], base: str) -> Iterator[Part]:
        """Parts as their instances are at hand. An end that is not whole breaks the answer off, so that nobody takes it for whole."""
        for one in self._federation.bringing.passed_on(retrieval):
            if isinstance(one, PassedInstance):
                media_type = f"{DICOM}; transfer-syntax={one.transfer_syntax_uid}"
                yield Part(media_type, one.size, one.pieces, instance_url(base, one))
            else:
                yield retrieve.part(one, acceptable, base)
        refuse_nothing(retrieval)
        if retrieval.outcome.missing:
            raise PeerError(" ".join(retrieval.warnings), missing=len(retrieval.outcome.missing))


def _takes(acceptable: Sequence[str]) -> Takes:
    """Whether an instance goes out as a member gave it, by the transfer syntaxes that are accepted."""

    def takes(one: PassedInstance) -> bool:
        return not {"*", one.transfer_syntax_uid}.isdisjoint(acceptable) or (
            "" in acceptable and one.transfer_syntax_uid == EXPLICIT_LITTLE
        )

    return takes


def federated_routes(federation: Federation, archive: WebArchive, catalogue: Catalogue, pace: Pace, gate: Gate) -> list[Route]:
    """Every route below ``/federated``; `archive` reads what is held here and what was brought."""
    routes: list[Route] = []

    def add(path: str, name: str, needs: Action | None, handler: Handler) -> None:
        routes.append(Route(path, Endpoint(handler, pace, gate, needs), methods=["GET"], name=f"federated-{name}"))

    bring = partial(Brought, federation)
    limit = archive.settings.http.page_limit
    studies, series, instances = (
        FederatedSearch(federation, catalogue, one, limit) for one in (Level.STUDY, Level.SERIES, Level.IMAGE)
    )
    metadata, retrieve = bring(Metadata(archive)), FederatedRetrieve(federation, archive)
    rendered, thumbnail = FederatedRendered(federation, archive), FederatedThumbnail(federation, archive)
    add(f"{ROOT}/studies", "search-studies", Action.QUERY, studies)
    add(f"{ROOT}/series", "search-series", Action.QUERY, series)
    add(f"{ROOT}/instances", "search-instances", Action.QUERY, instances)
    add(_STUDY + "/series", "search-study-series", Action.QUERY, series)
    add(_STUDY + "/instances", "search-study-instances", Action.QUERY, instances)
    add(_SERIES + "/instances", "search-series-instances", Action.QUERY, instances)
    add(_STUDY, "retrieve-study", Action.RETRIEVE, retrieve)
    add(_SERIES, "retrieve-series", Action.RETRIEVE, retrieve)
    add(_INSTANCE, "retrieve-instance", Action.RETRIEVE, bring(Retrieve(archive)))
    add(_FRAMES, "retrieve-frames", Action.RETRIEVE, bring(Frames(archive)))
    for path, name in ((_STUDY, "study"), (_SERIES, "series"), (_INSTANCE, "instance")):
        add(path + "/metadata", f"{name}-metadata", Action.RETRIEVE, metadata)
        add(path + "/rendered", f"{name}-rendered", Action.RETRIEVE, rendered)
        add(path + "/thumbnail", f"{name}-thumbnail", Action.RETRIEVE, thumbnail)
    add(_FRAMES + "/rendered", "frame-rendered", Action.RETRIEVE, rendered)
    add(_FRAMES + "/thumbnail", "frame-thumbnail", Action.RETRIEVE, thumbnail)
    add(_INSTANCE + "/bulkdata/{element:path}", "bulkdata", Action.RETRIEVE, bring(BulkData(archive)))
    add(f"{ROOT}/capabilities", "capabilities", None, Capabilities(routes, ROOT))
    add("/federated/members", "members", Action.MONITOR, MemberStates(federation.members, archive.meter.run))
    return routes
