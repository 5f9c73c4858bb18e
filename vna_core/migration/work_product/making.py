"""Standard objects made of what was found, beside the untouched images: offered to the rooms of ingest like any other instance.

Made again of the same findings they have the same UIDs, and are not made twice. If the process dies here, the next run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from vna_core.catalogue import Catalogue
from vna_core.catalogue.source_headers import SourceHeader
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.migration import WORK_PRODUCT
from vna_core.domain.octets import Source
from vna_core.domain.outcome import Outcome
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.migration.work_product.documents import institution
from vna_core.migration.work_product.finding import Document, Finding, WorkProducts
from vna_core.migration.work_product.key_objects import TITLES, key_object_selection
from vna_core.migration.work_product.presentation_states import Window, presentation_state, window_of
from vna_core.migration.work_product.residues import KEY_OBJECT, STATE

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """One object. `outcome` is that of the ingest, or ``there`` for one that is held already; `images`: how many it is about."""

    what: str
    residue: str
    study_instance_uid: str
    sop_instance_uid: str
    images: int
    outcome: str


@dataclass(slots=True)
class _Study:
    """What was found in the images of one patient, study and institution: those of others are not told of together with them."""

    uid: str
    patient: PatientKey
    flagged: dict[str, list[SourceHeader]]
    windows: dict[tuple[object, ...], list[tuple[SourceHeader, Window]]]
    documents: dict[str, Document]


class Maker:
    """Makes objects of one source's residues.

    Parameters
    ----------
    source
        Name of the campaign, in whose name what is made comes in, as its images did.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        pipeline: IngestPipeline,
        source: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._catalogue, self._pipeline, self._source, self._clock = catalogue, pipeline, source, clock

    def make(self) -> Iterator[Made]:
        """Make everything that can be made, study by study."""
        studies: dict[tuple[str, ...], _Study] = {}
        now: tuple[str, PatientKey] | None = None
        for found, document in WorkProducts(self._catalogue, self._source):
            uid, patient = found[0].header.study_instance_uid, found[0].header.patient
            if now != (uid, patient):
                yield from self._of_all(studies)
                now, studies = (uid, patient), {}
            self._take(studies.setdefault(institution(document), _Study(uid, patient, {}, {}, {})), found, document)
        yield from self._of_all(studies)

    def _of_all(self, studies: Mapping[tuple[str, ...], _Study]) -> Iterator[Made]:
        for study in studies.values():
            yield from self._of(study)

    @staticmethod
    def _take(study: _Study, found: list[Finding], document: Document) -> None:
        for one in found:
            name = one.residue.name
            if one.residue.made == KEY_OBJECT and one.values[one.residue.elements[0]] == "1":
                study.flagged.setdefault(name, []).append(one.header)
                study.documents.setdefault(name, document)
            elif one.residue.made == STATE and (window := window_of(one, document)) is not None:
                key = (name, one.header.series_instance_uid, *window.display)
                study.windows.setdefault(key, []).append((one.header, window))
                study.documents.setdefault(name, document)

    def _of(self, study: _Study) -> Iterator[Made]:
        at = self._clock()
        for flag, images in study.flagged.items():
            if flag in TITLES:
                sop, octets = key_object_selection(flag, images, study.documents[flag], at)
                yield self._offered(KEY_OBJECT, flag, study, sop, octets, len(images))
        for key, windows in study.windows.items():
            residue = str(key[0])
            sop, octets = presentation_state(residue, windows, study.documents[residue], at)
            yield self._offered(STATE, residue, study, sop, octets, len(windows))

    def _offered(self, what: str, residue: str, study: _Study, sop: str, octets: bytes, images: int) -> Made:
        if self._catalogue.versions(sop):
            return Made(what, residue, study.uid, sop, images, "there")
        source = Source("migration", self._source, WORK_PRODUCT, study.patient.issuer)  # the images name no issuer themselves
        with self._pipeline.reception(source) as reception:
            reception.write(octets)
            result = self._pipeline.offer(reception.finish())
        if result.outcome is not Outcome.HELD:
            _log.warning("work-product-not-held", sop_instance_uid=sop, outcome=result.outcome.value)
        return Made(what, residue, study.uid, sop, images, result.outcome.value)
