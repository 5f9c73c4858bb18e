"""WADO-RS (PS3.18 section 10.4): the parts of an answer become spooled instances while they arrive."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import Message
from functools import lru_cache

from vna_core.dicom.multipart import Event, MultipartReader, PartBegins, PartEnds, PartOctets
from vna_core.dicom.network.web_client import Answer
from vna_core.domain.errors import InvalidRequest, LimitExceeded, PeerError, PeerUnavailable
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.domain.spool import IN_MEMORY, Spool
from vna_core.ports.pacs import Deliver
from vna_pacs_dicomweb.declared_parts import DeclaredParts

_DICOM = "application/dicom"


def delivered_parts(answer: Answer, source: Source, sop_instance_uid: str, deliver: Deliver) -> int:
    """Hand every instance of an answer to `deliver`; their number.

    Raises
    ------
    PeerUnavailable
        The body was cut short; what was whole before is delivered, a part that was not is dropped.
    PeerError
        The answer is no multipart body, or not of instances.
    """
    kind, parameters = content_type(answer.header("Content-Type"))
    if kind == _DICOM:
        return _single(answer, source, parameters.get("transfer-syntax", ""), sop_instance_uid, deliver)
    if kind != "multipart/related":
        raise PeerError("The source answered a retrieval with something else than DICOM instances.")
    try:
        return _Parts(parameters.get("boundary", ""), source, sop_instance_uid, deliver).run(answer)
    except (InvalidRequest, LimitExceeded) as error:
        raise PeerError(f"The multipart body of the source is malformed: {error.message}") from error


class _Parts:
    def __init__(self, boundary: str, source: Source, sop_instance_uid: str, deliver: Deliver) -> None:
        self._boundary, self._source, self._sop, self._deliver = boundary, source, sop_instance_uid, deliver
        self._reader = MultipartReader(boundary)
        self._spool: Spool | None = None
        self._delivered = 0

    def run(self, answer: Answer) -> int:
        if answer.tells_length and self._declared(answer):
            return self._delivered
        try:
            for piece in answer.pieces():
                self._take(piece)
            for event in self._reader.close():
                self._event(event)
        finally:
            if self._spool is not None:
                self._spool.discard()
        if not self._reader.finished:
            raise PeerUnavailable("The source cut its answer short.")
        return self._delivered

    def _declared(self, answer: Answer) -> bool:
        """Take the parts that tell their length; whether that was all of them."""
        parts = DeclaredParts(answer, self._boundary, IN_MEMORY)
        for headers, content in parts:
            octets = Octets(len(content), "", memory=content)
            self._deliver(ReceivedInstance(octets, self._source, datetime.now(UTC), _syntax(headers), "", self._sop))
            self._delivered += 1
        if not parts.finished:
            self._take(parts.rest)
        return parts.finished

    def _take(self, piece: bytes) -> None:
        for event in self._reader.feed(piece):
            self._event(event)

    def _event(self, event: Event) -> None:
        if isinstance(event, PartBegins):
            self._spool = Spool(self._source, _syntax(event.headers), "", self._sop)
        elif isinstance(event, PartOctets) and self._spool is not None:
            self._spool.write(event.octets)
        elif isinstance(event, PartEnds) and self._spool is not None:
            spool, self._spool = self._spool, None
            if spool.size:
                self._deliver(spool.finish())
                self._delivered += 1


def _single(answer: Answer, source: Source, transfer_syntax_uid: str, sop: str, deliver: Deliver) -> int:
    spool = Spool(source, transfer_syntax_uid, "", sop)
    try:
        for piece in answer.pieces():
            spool.write(piece)
        deliver(spool.finish())
    finally:
        spool.discard()
    return 1


def _syntax(headers: Mapping[str, str]) -> str:
    """The transfer syntax that a part's header names; empty where it names none. Raises PeerError for what is no instance."""
    kind, syntax = _part_type(headers.get("content-type", _DICOM))
    if kind != _DICOM:
        raise PeerError("A part of the source's answer is no DICOM instance.")
    return syntax


@lru_cache(64)  # the parts of an answer say the same
def _part_type(text: str) -> tuple[str, str]:
    kind, parameters = content_type(text)
    return kind, parameters.get("transfer-syntax", "")


def content_type(text: str) -> tuple[str, dict[str, str]]:
    """Media type in lower case, and its parameters (RFC 2045 section 5.1)."""
    message = Message()
    message["Content-Type"] = text.replace("\r", " ").replace("\n", " ")
    pairs = message.get_params(failobj=[], unquote=True) or []
    return message.get_content_type(), {name.lower(): value for name, value in pairs[1:]}
