"""A certificate holds for the ledger it was made of, and names every row that was altered, removed or added."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.migration.listed_source import ListedSource, Study
from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_rows import InstanceEnd
from vna_core.configuration import CatalogueSettings
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.migration import InstanceState
from vna_core.migration.certificate import check, issue
from vna_core.migration.inventory import InventoryTaker
from vna_core.migration.merkle import EMPTY, MerkleTree, leaf

pytest.importorskip("cryptography")
ROWS = 23
OPEN = 1200
"""Entries of the worklist; more than the certificate itself names."""


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("evidence")
    with Catalogue.open(CatalogueSettings(), folder / "data") as catalogue:
        catalogue.campaigns.save(Campaign("c", "x://c"))
        source = ListedSource([Study("1.2", instances=tuple(f"1.2.1.{number}" for number in range(ROWS)))])
        InventoryTaker("c", source, source.probe(), catalogue, "test").take(1)
        study = catalogue.ledger_reader.study_by_uid("c", "1.2")
        assert study is not None
        instances = catalogue.ledger_reader.instances(study.pk)
        ends = [InstanceEnd(one, InstanceState.STORED, "held", "", "ab" * 32, 7, one.sop_instance_uid) for one in instances[1:]]
        catalogue.ledger.end_instances(study, ends, "test")
        with catalogue.ledger.writing("c", "test") as writing:
            writing.except_("not-delivered", study.pk, instances[0].pk, "lost", instances[0].sop_instance_uid)
            for number in range(OPEN):
                writing.except_("stale-header", study.pk + 1 + number, detail=f"number {number}")
            writing.except_("quarantined", study.pk, instances[1].pk, "cut short")
        (empty,) = catalogue.ledger_reader.exceptions("c", reason="quarantined")
        catalogue.ledger.close_exceptions("c", [empty.pk], "accepted", "somebody", "was empty in the old PACS too")
        document = issue(catalogue, "c", folder / "certificate", folder / "keys" / "key.pem", "rules-1")
    assert document["totals"]["held"] == ROWS - 1 and document["totals"]["missing"] == 1
    told = document["exceptions"]
    assert told["named"][0]["reason"] == "not-delivered"
    assert [(one["note"], one["closed_by"]) for one in told["named"] if one["state"] == "accepted"] == [
        ("was empty in the old PACS too", "somebody")
    ]
    assert (told["rows"], len(told["named"]) + told["not_named"]) == (OPEN + 2, OPEN + 2)
    assert (folder / "keys" / "key.pem").stat().st_mode & 0o077 == 0
    yield folder / "certificate", document["public_key"]


def rows_of(folder: Path, name: str = "ledger") -> list[bytes]:
    with (folder / f"{name}.jsonl.zst").open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file).read().splitlines()


def with_rows(evidence: Path, rows: list[bytes], folder: Path, name: str = "ledger") -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(evidence, folder)
    (folder / f"{name}.jsonl.zst").write_bytes(zstandard.compress(b"".join(row + b"\n" for row in rows)))
    return folder


def test_an_untouched_ledger_holds(evidence: tuple[Path, str]) -> None:
    found = check(*evidence)
    assert found.holds and found.checked == ROWS + OPEN + 2


def test_an_altered_or_removed_exception_is_named(evidence: tuple[Path, str], tmp_path: Path) -> None:
    """Also one that the certificate itself does not name."""
    rows = rows_of(evidence[0], "exceptions")
    assert b"number 1100" in rows[1101]
    changed = [*rows[:1101], rows[1101].replace(b"open", b"solved"), *rows[1102:]]
    found = check(with_rows(evidence[0], changed, tmp_path / "a", "exceptions"), evidence[1])
    assert (found.exceptions, found.rows, found.holds, found.totals) == ((1102,), (), False, False)
    found = check(with_rows(evidence[0], rows[:-1], tmp_path / "b", "exceptions"), evidence[1])
    assert found.exceptions == (OPEN + 2,) and not found.holds


@settings(max_examples=60, deadline=None)
@given(number=st.integers(0, ROWS - 1), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_altered_row_is_named(
    evidence: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory, number: int, at: int, bit: int
) -> None:
    rows = rows_of(evidence[0])
    row = bytearray(rows[number])
    row[at % len(row)] ^= 1 << bit
    if b"\n" in row:
        row[at % len(row)] = ord("?")
    rows[number] = bytes(row)
    found = check(with_rows(evidence[0], rows, tmp_path_factory.getbasetemp() / "altered"), evidence[1])
    assert found.rows == (number + 1,) and not found.holds


def test_removed_added_and_exchanged_rows_are_named(evidence: tuple[Path, str], tmp_path: Path) -> None:
    rows = rows_of(evidence[0])
    assert check(with_rows(evidence[0], rows[:-1], tmp_path / "a")).rows == (ROWS,)
    assert check(with_rows(evidence[0], [*rows, rows[0]], tmp_path / "b")).rows == (ROWS + 1,)
    exchanged = [rows[1], rows[0], *rows[2:]]
    assert check(with_rows(evidence[0], exchanged, tmp_path / "c")).rows == (1, 2)


def test_leaves_made_to_fit_altered_rows_do_not_fit_the_signed_root(evidence: tuple[Path, str], tmp_path: Path) -> None:
    rows = rows_of(evidence[0])
    rows[3] = rows[3].replace(b"held", b"none")
    folder = with_rows(evidence[0], rows, tmp_path / "a")
    (folder / "ledger.leaves").write_bytes(b"".join(map(leaf, rows)))
    found = check(folder, evidence[1])
    assert not found.root and not found.totals and not found.holds


def test_an_altered_certificate_and_a_foreign_key_do_not_hold(evidence: tuple[Path, str], tmp_path: Path) -> None:
    folder = with_rows(evidence[0], rows_of(evidence[0]), tmp_path / "a")
    document = json.loads((folder / "certificate.json").read_text())
    assert not check(folder, "00" * 32).signature
    document["totals"]["missing"] = 0
    (folder / "certificate.json").write_text(json.dumps(document))
    assert not check(folder, evidence[1]).signature
    (folder / "certificate.json").write_text("{}")
    with pytest.raises(InvalidRequest):
        check(folder)


def test_a_name_that_stands_twice_does_not_hold(evidence: tuple[Path, str], tmp_path: Path) -> None:
    """A reader may take the first of two totals, and the check the second."""
    folder = with_rows(evidence[0], rows_of(evidence[0]), tmp_path / "a")
    text = (folder / "certificate.json").read_text()
    for named, false in (('"totals": {', '"totals": {"missing": 0},\n '), ('"missing": ', '"missing": 0, ')):
        (folder / "certificate.json").write_text(text.replace(named, false + named, 1))
        with pytest.raises(InvalidRequest, match="twice"):
            check(folder, evidence[1])


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_nested_without_end_is_an_altered_row(evidence: tuple[Path, str], tmp_path: Path, deep: bytes) -> None:
    for name in ("ledger", "exceptions"):
        rows = rows_of(evidence[0], name)
        found = check(with_rows(evidence[0], [deep, *rows[1:]], tmp_path / name, name), evidence[1])
        assert (found.rows or found.exceptions) == (1,) and not found.holds
    folder = with_rows(evidence[0], rows_of(evidence[0]), tmp_path / "a")
    (folder / "certificate.json").write_bytes(deep)
    with pytest.raises(InvalidRequest, match="no JSON object"):
        check(folder)


@pytest.mark.parametrize(
    "behind", [b"\x50\x2a\x4d\x18\x04\x00\x00\x00more", zstandard.compress(b""), b"x", zstandard.compress(b"row\n")]
)
def test_whatever_stands_behind_the_rows_is_said(evidence: tuple[Path, str], tmp_path: Path, behind: bytes) -> None:
    for name in ("ledger", "exceptions"):
        folder = with_rows(evidence[0], rows_of(evidence[0]), tmp_path / name)
        path = folder / f"{name}.jsonl.zst"
        path.write_bytes(path.read_bytes() + behind)
        found = check(folder, evidence[1])
        assert found.files == (name,) and not found.holds
        assert found.signature and found.root, "what was signed is all there"
    path.write_bytes(path.read_bytes()[: -len(behind) - 1])
    assert "exceptions" in check(folder, evidence[1]).files, "and so is what is cut short"


def root_of(leaves: list[bytes]) -> bytes:
    tree = MerkleTree()
    for one in leaves:
        tree.add(one)
    return tree.root()


def test_roots_differ_for_different_rows() -> None:
    assert root_of([]) == EMPTY
    leaves = [leaf(bytes([number])) for number in range(9)]
    roots = {root_of(leaves[:count]) for count in range(10)} | {root_of(leaves[::-1])}
    assert len(roots) == 11
