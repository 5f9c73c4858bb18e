"""STOW-RS, the Store transaction of the Studies Service (PS3.18 section 10.5).

The body is taken apart while it arrives; each part goes through the rooms of the way in as soon as it is whole, and a few
of them at once, so that they share flushes. A part is acknowledged only after its end was seen and the archive holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from vna_core.dicom.multipart import Event, MultipartReader, PartBegins, PartEnds, PartOctets
from vna_core.domain.errors import InvalidRequest, LimitExceeded, Truncated, UnsupportedMediaType, VnaError
from vna_core.domain.octets import ReceivedInstance, Source
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.media_types import DICOM, DICOM_JSON, MULTIPART, MediaRange, choose_json, parse, parse_accept
from vna_core.gateways.dicomweb.stow_answer import PartOutcome, answer
from vna_core.gateways.dicomweb.stow_offers import Offers
from vna_core.gateways.web.exchange import ClientGone, Exchange
from vna_core.ingest.counting import count_refused
from vna_core.ingest.receive import Reception
from vna_core.ingest.sharing import Colleague

MOST_PARTS: Final = 100_000
"""Parts of one request: the outcome of each is kept until the answer."""
_SHARE: Final = 4
"""One request may have this part of the process's memory budget."""


class UnsupportedBody(UnsupportedMediaType):
    """The request's body, or a part of it, is of a type that is not taken."""

    http_status = 415


class _Whole:
    """The reader of a body that is one instance, with the interface of `MultipartReader`."""

    def __init__(self) -> None:
        self._begun = False
        self.finished = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        if not self._begun:
            self._begun = True
            yield PartBegins({"content-type": DICOM})
        yield PartOctets(memoryview(chunk))

    def close(self) -> Iterator[Event]:
        self.finished = True
        if self._begun:
            yield PartEnds()


class StoreRequest:
    """One store request on its way: the part being received, and the outcomes so far in the order of the parts."""

    def __init__(self, archive: WebArchive, source: Source, study_instance_uid: str | None) -> None:
        self._archive = archive
        self._source = source
        self._study = study_instance_uid or ""
        self._reception: Reception | None = None
        self._failure: PartOutcome | None = None
        self._whole: list[ReceivedInstance | PartOutcome] = []
        self._parts = 0

    def take(self, events: Iterator[Event]) -> list[ReceivedInstance | PartOutcome]:
        """Consume events; blocking. Returns what became whole (or failed) meanwhile. Raises LimitExceeded for too many parts."""
        for event in events:
            match event:
                case PartOctets(octets):
                    self._write(octets)
                case PartBegins(headers):
                    self._begin(parse(headers.get("content-type", DICOM)))
                case PartEnds():
                    self._end()
        return self.whole()

    def whole(self) -> list[ReceivedInstance | PartOutcome]:
        """What became whole (or failed) and was not told yet."""
        whole, self._whole = self._whole, []
        return whole

    def _begin(self, media_type: MediaRange) -> None:
        self._failure = None
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise LimitExceeded("The body has too many parts.", limit="parts", maximum=MOST_PARTS)
        if media_type.name != DICOM:
            self._failure = PartOutcome(
                error=UnsupportedBody("A part is not application/dicom.", media_type=media_type.name[:64])
            )
            return
        syntax = media_type.parameters.get("transfer-syntax", "")
        self._reception = self._archive.pipeline.reception(self._source, transfer_syntax_uid=syntax, digest_later=True)

    def _write(self, octets: memoryview) -> None:
        if self._reception is None:
            return
        maximum = self._archive.settings.http.max_part
        try:
            if self._reception.size + len(octets) > maximum:
                raise LimitExceeded("A part is larger than the limit.", limit="http.max_part", maximum=maximum)
            self._reception.write(octets)
        except VnaError as error:
            self.drop()
            self._failure = PartOutcome(error=error)

    def _end(self) -> None:
        if self._failure is not None:
            self._whole.append(self._failure)
        elif self._reception is not None:
            self._whole.append(replace(self._reception.finish(), addressed_study=self._study))
        self._reception = self._failure = None

    def cut(self) -> ReceivedInstance | PartOutcome | None:
        """What there is of a part whose end was not seen."""
        reception, self._reception = self._reception, None
        if reception is not None and reception.size:
            return reception.finish()
        return self._failure

    def drop(self) -> None:
        """Forget the part being received."""
        if self._reception is not None:
            self._reception.abort()
            self._reception = None

    def offer(
        self, received: Sequence[ReceivedInstance], cut_short: bool = False, colleague: Colleague | None = None
    ) -> list[PartOutcome]:
        """Instances through the rooms, so that they share flushes; blocking. The outcomes in order.

        Parameters
        ----------
        colleague
            Another process that does it.
        """
        pipeline = self._archive.pipeline
        if not cut_short:
            return [
                PartOutcome(error=result) if isinstance(result, VnaError) else PartOutcome(result)
                for result in (colleague or pipeline).offer_all(received)
            ]
        outcomes = []
        for one in received:
            try:
                outcomes.append(PartOutcome(pipeline.offer(one, cut_short=True)))
            except VnaError as error:
                outcomes.append(PartOutcome(error=error))
        return outcomes


def _reader(exchange: Exchange, maximum: int) -> MultipartReader | _Whole:
    encoding = exchange.header(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise UnsupportedBody("The body must not have a content encoding.")
    length = exchange.header(b"content-length")
    if length is not None and length.isdigit() and int(length) > maximum:
        raise LimitExceeded("The body is larger than the limit.", limit="http.max_body", maximum=maximum)
    content_type = parse(exchange.header(b"content-type") or "")
    if content_type.name == DICOM:
        return _Whole()
    if content_type.name != MULTIPART:
        raise UnsupportedBody("The body must be multipart/related with parts of type application/dicom.")
    if content_type.parameters.get("type", DICOM).lower() != DICOM:
        raise UnsupportedBody("Only parts of type application/dicom are taken.")
    return MultipartReader(content_type.parameters.get("boundary", ""))


class Store:
    """POST ``/studies`` and ``/studies/{study}``."""

    def __init__(self, archive: WebArchive) -> None:
        self._archive = archive

    async def __call__(self, exchange: Exchange) -> None:
        choose_json(parse_accept((exchange.parameter("accept"), exchange.header(b"accept"))))
        reader = _reader(exchange, self._archive.settings.http.max_body)
        client = exchange.scope.get("client") or ("", 0)
        source = Source(
            "stow", exchange.principal, str(client[0]), self._archive.settings.http.issuers.get(exchange.principal, "")
        )
        request = StoreRequest(self._archive, source, exchange.path_parameters.get("study"))
        with self._archive.colleagues.occupied():
            outcomes = await self._receive(exchange, reader, request)
        for outcome in outcomes:
            if outcome.error is not None and outcome.result is None:  # what the pipeline never had
                count_refused(self._archive.meter, source.kind, outcome.error)
        if not outcomes:
            raise InvalidRequest("The body holds no part.")
        if all(isinstance(outcome.error, UnsupportedBody) for outcome in outcomes):
            raise UnsupportedBody("Only parts of type application/dicom are taken.")
        status, module = answer(outcomes, exchange.base + self._archive.root)
        headers = {"Retry-After": "5"} if status == 503 else None
        await exchange.json(module, status, DICOM_JSON, headers)

    async def _receive(self, exchange: Exchange, reader: MultipartReader | _Whole, request: StoreRequest) -> list[PartOutcome]:
        archive = self._archive
        offers = Offers(request.offer, archive.ingest_threads, archive.colleagues, archive.pipeline.budget.maximum // _SHARE)
        try:
            async for chunk in exchange.body():
                await offers.take(await exchange.short(request.take, reader.feed(chunk)), last=reader.finished)
            await offers.take(await exchange.short(request.take, reader.close()), last=True)
            if not reader.finished and offers.begun:
                cut = request.cut() or PartOutcome(error=Truncated("The body ends before its closing boundary."))
                await offers.take([cut], cut_short=True)
            elif not reader.finished and (begun := request.cut()) is not None:
                await offers.take([begun], cut_short=True)
            return await offers.outcomes()
        except (ClientGone, VnaError):
            # What was whole is held or quarantined and says so when asked; the cut part is kept, never acknowledged.
            await offers.take(request.whole(), last=True)
            rest = request.cut()
            if isinstance(rest, ReceivedInstance):
                await offers.take([rest], cut_short=True)
            await offers.outcomes()
            raise
        finally:
            request.drop()
            offers.all_came()
