"""An archive with a few instances whose values sites like to change, and another look at what it holds."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom

from tests.unit.normalize.handmade import description, element, file, identification
from vna_core.bootstrap import Archive, open_archive, renormalizer
from vna_core.configuration import CatalogueSettings, Settings
from vna_core.domain.octets import Source
from vna_core.domain.outcome import IngestResult
from vna_core.ingest.normalize import SiteRules
from vna_core.stewardship.rebuild import rebuild
from vna_core.stewardship.renormalize import Renormalizer

NORTH = Source("dimse", "CT_NORTH", "10.0.0.1")
SOUTH = Source("stow", "south", "10.0.0.2")
Place = tuple[CatalogueSettings, Path]


def text(tag: int, vr: str, value: str) -> bytes:
    raw = value.encode()
    return element(tag, vr, raw + b" " * (len(raw) & 1))


def instance(
    number: int, *, study: str = "1.2.3.1", series: str = "1.2.3.2", patient: str = "0042", pixels: bytes = b""
) -> bytes:
    """A small CT; Study Description is in the first of a study only, so that it stands for the study."""
    described = text(0x00081030, "LO", "ABDOMEN") if number == 1 else b""
    extra = (
        text(0x00080020, "DA", "20260102")
        + text(0x00080050, "SH", f"A{study[-1]}")
        + text(0x00080060, "CS", "CT")
        + text(0x00080070, "LO", "ACME")
        + described
        + text(0x00100010, "PN", "DOE^JANE")
        + text(0x00100020, "LO", patient)
    )
    sop = f"{series}.{number}"
    image = description(4, 4) + element(0x7FE00010, "OW", pixels or bytes(range(32)))
    return file(identification(study=study, series=series, sop=sop, extra=extra) + image, sop_instance=sop)


OFFERED: tuple[tuple[bytes, Source], ...] = (
    *((instance(number), NORTH) for number in (1, 2, 3)),
    *((instance(number, series="1.2.3.3"), NORTH) for number in (1, 2)),
    (instance(1, study="1.2.4.2", series="1.2.4.3", patient="0042"), SOUTH),
    (instance(2, pixels=bytes(32)), SOUTH),  # the second version of an instance: a conflict
    (instance(1, study="1.2.5.9", series="1.2.5.8", patient=""), SOUTH),
)


@contextmanager
def opened(place: Place, *rules: Mapping[str, Any], data: Path | None = None) -> Iterator[Archive]:
    settings, folder = place
    with open_archive(Settings(data=data or folder, catalogue=settings, site_rules=rules)) as archive:  # type: ignore[arg-type]
        yield archive


def offer(archive: Archive, octets: bytes, source: Source) -> IngestResult:
    with archive.pipeline.reception(source) as reception:
        reception.write(octets)
        return archive.pipeline.offer(reception.finish())


def fill(archive: Archive) -> None:
    for octets, source in OFFERED:
        assert offer(archive, octets, source).outcome.acknowledged


def worker(archive: Archive, *rules: Mapping[str, Any], after_step: Callable[[str], object] = lambda _: None) -> Renormalizer:
    made = renormalizer(archive, SiteRules.of(Settings(site_rules=rules)) if rules else None)  # type: ignore[arg-type]
    made._after_step = after_step
    return made


def served(archive: Archive) -> dict[tuple[str, int], pydicom.Dataset]:
    """What every version is served as, read by another library."""
    held = archive.catalogue.instances(all_versions=True)
    return {
        (one.original_sha256, one.version): pydicom.dcmread(io.BytesIO(b"".join(archive.retriever.part10(one)))) for one in held
    }


def originals(archive: Archive) -> set[bytes]:
    return {b"".join(archive.retriever.original(one)) for one in archive.catalogue.instances(all_versions=True)}


def rebuilt_fingerprint(archive: Archive, place: Place) -> dict[str, Any]:
    """The fingerprint of a catalogue made anew from the stores."""
    settings = replace_data(archive.settings, place)
    with open_archive(settings) as other:
        assert rebuild(archive.stores, other.catalogue).damaged == []
        return other.catalogue.fingerprint()


def replace_data(settings: Settings, place: Place) -> Settings:
    return settings.model_copy(update={"data": place[1], "catalogue": place[0]})
