"""Every real file of the corpus ends held or quarantined with its octets, and what is served can be read by other tools."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings
from vna_core.domain.octets import Source
from vna_core.domain.outcome import IngestResult, Outcome

PROJECT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("VNA_CORPUS", PROJECT.parent / "shared" / "corpus"))

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus folder is not here (set VNA_CORPUS)")


@dataclass(frozen=True)
class Offered:
    path: Path
    octets: bytes
    result: IngestResult

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.octets).hexdigest()


def corpus_files() -> list[Path]:
    return sorted(p for p in CORPUS.rglob("*") if p.is_file() and p.parent != CORPUS and p.stat().st_size > 0)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    opened = open_archive(Settings(data=tmp_path_factory.mktemp("corpus")))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def offered(archive: Archive) -> list[Offered]:
    everything = []
    for path in corpus_files():
        octets = path.read_bytes()
        with archive.pipeline.reception(Source("file", "corpus", str(path.relative_to(CORPUS)))) as reception:
            reception.write(octets)
            received = reception.finish()
        everything.append(Offered(path, octets, archive.pipeline.offer(received)))
    return everything


def test_every_file_is_held_or_quarantined(offered: list[Offered]) -> None:
    refused = [one.path for one in offered if one.result.outcome is Outcome.REFUSED]
    assert refused == []
    assert len(offered) == len(corpus_files())


def test_most_of_the_corpus_is_held(offered: list[Offered]) -> None:
    held = [one for one in offered if one.result.outcome.acknowledged]
    assert len(held) > 0.9 * len([one for one in offered if one.octets[128:132] == b"DICM"])


def test_the_octets_of_every_acknowledged_file_come_back_bit_exact(archive: Archive, offered: list[Offered]) -> None:
    lost = []
    for one in offered:
        if not one.result.outcome.acknowledged:
            continue
        versions = archive.catalogue.versions(one.result.sop_instance_uid)
        matching = [held for held in versions if held.original_sha256 == one.sha256]
        if not matching or b"".join(archive.retriever.original(matching[0])) != one.octets:
            lost.append(one.path)
    assert lost == []


def test_the_octets_of_every_quarantined_file_are_kept(archive: Archive, offered: list[Offered]) -> None:
    lost = [
        one.path
        for one in offered
        if one.result.outcome is Outcome.QUARANTINED
        and b"".join(archive.pipeline.quarantine.octets(one.result.quarantine_id or "")) != one.octets
    ]
    assert lost == []


def served(archive: Archive, offered: list[Offered], folder: Path) -> Iterator[tuple[Path, Path]]:
    for number, one in enumerate(offered):
        if one.result.outcome.acknowledged:
            held = next(v for v in archive.catalogue.versions(one.result.sop_instance_uid) if v.original_sha256 == one.sha256)
            target = folder / f"{number}.dcm"
            target.write_bytes(b"".join(archive.retriever.part10(held)))
            yield one.path, target


def test_pydicom_reads_every_element_of_every_canonical_object(archive: Archive, offered: list[Offered], tmp_path: Path) -> None:
    unreadable = []
    for path, target in served(archive, offered, tmp_path):
        try:
            data_set = pydicom.dcmread(target)
            for element in data_set.iterall():
                _ = element.tag
        except Exception as error:  # noqa: BLE001 - whatever another reader raises is the finding
            unreadable.append((path.name, repr(error)[:120]))
        target.unlink()
    assert unreadable == []


@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmdump (Debian package dcmtk) is not installed")
def test_dcmdump_reads_every_canonical_object(archive: Archive, offered: list[Offered], tmp_path: Path) -> None:
    unreadable = []
    for path, target in served(archive, offered, tmp_path):
        run = subprocess.run(["dcmdump", "-q", "+fo", str(target)], capture_output=True, text=True, errors="replace", timeout=60)
        if run.returncode != 0 or "E:" in run.stderr:
            unreadable.append((path.name, run.stderr[-200:]))
        target.unlink()
    assert unreadable == []


def test_a_canonical_object_offered_again_is_not_changed(archive: Archive, offered: list[Offered], tmp_path: Path) -> None:
    from vna_core.configuration import IngestSettings
    from vna_core.ingest.identify import identify
    from vna_core.ingest.normalize import normalize

    changed = []
    for path, target in served(archive, offered, tmp_path):
        octets = target.read_bytes()
        with archive.pipeline.reception(Source("file", "again")) as reception:
            reception.write(octets)
            received = reception.finish()
        canonical = normalize(received, identify(received, IngestSettings()), IngestSettings())
        again = b"".join(canonical.chunks())[: canonical.trailer_offset]
        if again[canonical.data_set_offset :] != octets[len(octets) - (canonical.trailer_offset - canonical.data_set_offset) :]:
            changed.append(path.name)
        target.unlink()
    assert changed == []
