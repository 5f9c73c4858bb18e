"""One SOP Instance UID in two series and two studies of a real archive: through every adapter, each instance comes as its own."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from tests.peers.archive import served_archive
from tests.peers.orthanc import orthanc
from vna_core.bootstrap import open_archive
from vna_core.bootstrap_federation import open_federation
from vna_core.cli.options import operator
from vna_core.configuration import Settings
from vna_core.domain.access import Action
from vna_core.domain.query import Equals, Level, Query
from vna_core.federation.rows import uids
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

pytestmark = pytest.mark.xdist_group("shared-uids")
SOP, OTHER = phantoms.uid(81, 7), phantoms.uid(81, 8)


def study_uid(number: int) -> str:
    return phantoms.uid(81, number)


def series_uid(study: int, series: int) -> str:
    return f"{study_uid(study)}.{series}"


PLACES = [(1, 1, SOP), (1, 1, OTHER), (1, 2, SOP), (2, 1, SOP)]
"""Study, series and instance, each with pixels of its own."""
FILES = {
    (study_uid(study), series_uid(study, series), sop): phantoms.ct(
        8100 + seed,
        32,
        32,
        StudyInstanceUID=study_uid(study),
        SeriesInstanceUID=series_uid(study, series),
        SOPInstanceUID=sop,
        PatientID="4711",
    )
    for seed, (study, series, sop) in enumerate(PLACES)
}


@dataclass(frozen=True)
class Peers:
    """Where the two archives are that hold everything."""

    web: str
    dimse: int
    orthanc_web: str
    orthanc_dimse: int

    def url(self, kind: str) -> str:
        return {
            "our DICOMweb": f"dicomweb+{self.web}/dicom-web",
            "our DIMSE": f"dimse://VNA@127.0.0.1:{self.dimse}",
            "Orthanc's DICOMweb": f"dicomweb+{self.orthanc_web}/dicom-web",
            "Orthanc's DIMSE": f"dimse://ORTHANC@127.0.0.1:{self.orthanc_dimse}",
            "Orthanc": f"orthanc+{self.orthanc_web}",
        }[kind]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    folder = tmp_path_factory.mktemp("shared")
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(served_archive(folder / "ours"))
        theirs = stack.enter_context(orthanc(folder / "theirs"))
        for aet, port in (("VNA", ours.dimse_port), ("ORTHANC", theirs.dimse_port)):
            assert fill("127.0.0.1", port, aet, list(FILES.values())).accepted == len(FILES)
        yield Peers(ours.web, ours.dimse_port, theirs.web, theirs.dimse_port)


@pytest.mark.parametrize("kind", ["our DICOMweb", "our DIMSE", "Orthanc's DICOMweb", "Orthanc's DIMSE", "Orthanc"])
def test_each_comes_as_its_own_through_every_adapter(kind: str, peers: Peers, tmp_path: Path) -> None:
    members = {"peer": {"url": peers.url(kind), "issuer": "THERE"}}
    settings = Settings.model_validate({"data": tmp_path, "federation": {"members": members, "deadline": 60}})
    with contextlib.ExitStack() as stack:
        archive = stack.enter_context(open_archive(settings))
        federation = open_federation(archive)
        assert federation is not None
        stack.callback(federation.close)
        permit = archive.gate.enter(operator(), Action.RETRIEVE)

        def found(level: Level, study: str) -> set[tuple[str, ...]]:
            answer = federation.query(Query(level, (Equals(0x0020000D, (study,)),)))
            assert not answer.missing
            keys = [uids(row.attributes, level) for row in answer.rows]
            assert len(keys) == len(set(keys))
            return set(keys)

        def brought(study: str, series: str | None, sops: tuple[str, ...]) -> dict[tuple[str, str, str], bytes]:
            retrieval = federation.bringing.begin(permit, study, series, sops)
            got = list(federation.bringing.instances(retrieval))
            if (
                not retrieval.outcome.is_complete
            ):  # it answers 404 for an instance whose SOP Instance UID it has twice, and that is told
                assert kind == "Orthanc's DICOMweb" and sops and not got and "HTTP 404" in " ".join(retrieval.warnings)
            pixels = {
                (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid): pydicom.dcmread(
                    io.BytesIO(b"".join(federation.retriever.part10(one)))
                ).PixelData
                for one in got
            }
            assert len(pixels) == len(got)
            return pixels

        for study in (study_uid(1), study_uid(2)):
            expected = {key: pydicom.dcmread(io.BytesIO(octets)).PixelData for key, octets in FILES.items() if key[0] == study}
            assert found(Level.IMAGE, study) == expected.keys()
            assert found(Level.SERIES, study) == {key[:2] for key in expected}
            for series in {key[1] for key in expected}:
                own = {key: one for key, one in expected.items() if key[1] == series}
                alone = brought(study, series, (SOP,))
                assert alone == {key: one for key, one in own.items() if key[2] == SOP} or (
                    kind == "Orthanc's DICOMweb" and not alone
                )
                assert brought(study, series, ()) == own
            assert brought(study, None, ()) == expected
