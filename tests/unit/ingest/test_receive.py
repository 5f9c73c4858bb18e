"""Room `receive` counts, hashes, spools and keeps within its budget."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.unit.ingest.small_archive import SOURCE
from vna_core.configuration import IngestSettings
from vna_core.domain.errors import LimitExceeded, OutOfResources
from vna_core.domain.octets import Source
from vna_core.ingest.receive import ByteBudget, Reception

MIB = 1 << 20


def reception(folder: Path, budget: ByteBudget | None = None, **settings: int | str) -> Reception:
    limits = IngestSettings.model_validate({"spool_threshold": MIB, **settings})
    return Reception(SOURCE, limits, folder / "spool", budget or ByteBudget(8 * MIB), "1.2.840.10008.1.2", "1.2", "1.2.3")


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])
def test_the_octets_are_all_there_with_length_and_digest(tmp_path: Path, size: int) -> None:
    octets = os.urandom(size)
    with reception(tmp_path) as receiving:
        for at in range(0, size, 77_777):
            receiving.write(memoryview(octets)[at : at + 77_777])
        received = receiving.finish()
    assert (received.octets.size, received.octets.sha256) == (size, hashlib.sha256(octets).hexdigest())
    assert b"".join(received.octets.chunks()) == octets
    assert received.octets.spooled == (size > MIB)
    assert (received.transfer_syntax_uid, received.sop_class_uid, received.sop_instance_uid) == (
        "1.2.840.10008.1.2",
        "1.2",
        "1.2.3",
    )
    received.octets.close()


def test_a_digest_that_was_left_for_later_is_the_same(tmp_path: Path) -> None:
    octets = os.urandom(MIB - 1)
    limits = IngestSettings(spool_threshold=MIB)
    with Reception(SOURCE, limits, tmp_path / "spool", ByteBudget(8 * MIB), digest_later=True) as receiving:
        for at in range(0, len(octets), 300_000):
            receiving.write(octets[at : at + 300_000])
        received = receiving.finish()
    assert received.octets.digest == ""
    assert received.octets.sha256 == hashlib.sha256(octets).hexdigest()
    received.octets.close()


def test_a_spool_has_no_name_and_is_gone_with_its_octets(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with reception(tmp_path) as receiving:
        receiving.write(bytes(2 * MIB))
        received = receiving.finish()
    assert list((tmp_path / "spool").iterdir()) == []
    received.octets.close()
    with reception(tmp_path) as receiving:
        receiving.write(bytes(2 * MIB))
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_spooled_instance_takes_nothing_of_the_memory_budget(tmp_path: Path) -> None:
    budget = ByteBudget(2 * MIB)
    receptions = [reception(tmp_path, budget) for _ in range(5)]
    for one in receptions:
        one.write(bytes(MIB))
        one.write(bytes(MIB))
    for one in receptions:
        one.abort()
    budget.take(2 * MIB)


def test_an_exhausted_budget_is_told_at_once_and_names_its_setting(tmp_path: Path) -> None:
    budget = ByteBudget(2 * MIB)
    first, second, third = (reception(tmp_path, budget) for _ in range(3))
    first.write(b"x")
    second.write(b"x")
    with pytest.raises(OutOfResources) as raised, third:
        third.write(b"x")
    assert raised.value.fields["limit"] == "ingest.memory_budget"
    assert raised.value.transient
    first.abort()
    third = reception(tmp_path, budget)
    third.write(b"x")
    received = third.finish()
    with pytest.raises(OutOfResources):
        budget.take(MIB)
    budget.take(MIB - 1)  # what is whole takes what it has, and no more
    budget.give_back(MIB - 1)
    received.octets.close()
    received.octets.close()
    second.abort()
    second.abort()
    budget.take(2 * MIB)


def test_an_instance_larger_than_allowed_is_refused_with_the_name_of_the_limit(tmp_path: Path) -> None:
    with reception(tmp_path, max_instance=MIB) as receiving:
        receiving.write(bytes(MIB))
        with pytest.raises(LimitExceeded) as raised:
            receiving.write(b"x")
    assert raised.value.fields == {"limit": "ingest.max_instance", "maximum": MIB}


def test_a_spool_folder_that_cannot_be_written_is_out_of_resources(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(b"")
    with reception(tmp_path) as receiving, pytest.raises(OutOfResources):
        receiving.write(bytes(2 * MIB))


def test_a_source_without_an_issuer_gets_that_of_the_settings(tmp_path: Path) -> None:
    limits = IngestSettings(issuer="HOSPITAL")
    for source, issuer in ((SOURCE, "HOSPITAL"), (Source("dimse", "X", "", "RADIOLOGY"), "RADIOLOGY")):
        with Reception(source, limits, tmp_path, ByteBudget(MIB)) as receiving:
            assert receiving.finish().source.issuer == issuer


def test_what_can_do_without_leaves_a_quarter_of_the_budget_to_what_arrives() -> None:
    budget = ByteBudget(8 * MIB)
    budget.take(MIB)
    with pytest.raises(OutOfResources):
        budget.take_for_help(5 * MIB + 1)
    budget.take_for_help(5 * MIB)
    budget.take(2 * MIB)
    assert budget.free == 0
