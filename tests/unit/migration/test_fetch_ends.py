"""What is said of an instance that was stored and was fetched once more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_ledger import FETCH_AGAIN
from vna_core.catalogue.migration_rows import InstanceEnd, LedgerInstance
from vna_core.configuration import CatalogueSettings
from vna_core.domain.migration import InstanceState
from vna_core.migration.fetch_ends import HELD, OTHER, SAME, as_came, settle


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(CatalogueSettings(), tmp_path) as opened:
        opened.campaigns.save(Campaign("c", "x://c"))
        yield opened


def came(known: str, digest: str, outcome: str, pk: int = 1) -> InstanceEnd:
    one = LedgerInstance(
        pk, "1.1", "1.1.1", "", "CT", "", InstanceState.INVENTORIED, "held", FETCH_AGAIN, known, 100, "1.1.1", "", 1, ""
    )
    return as_came(InstanceEnd(one, InstanceState.STORED, outcome, "", digest, 100, "1.1.1"))


@pytest.mark.parametrize(
    ("known", "digest", "outcome", "detail", "said"),
    [
        ("aa", "aa", "duplicate", SAME, "held"),
        ("", "aa", "duplicate", SAME, "held"),
        ("aa", "bb", "duplicate", HELD, "duplicate"),
        ("aa", "bb", "conflict", OTHER, "conflict"),
        ("", "bb", "conflict", OTHER, "conflict"),
    ],
)
def test_the_same_are_octets_with_the_same_digest(known: str, digest: str, outcome: str, detail: str, said: str) -> None:
    end = came(known, digest, outcome)
    assert (end.detail, end.outcome, end.received_sha256) == (detail, said, digest)


@pytest.mark.parametrize("outcome", ["conflict", "duplicate"])
def test_other_octets_solve_of_the_study_what_was_asked_for_again_and_nothing_else(catalogue: Catalogue, outcome: str) -> None:
    with catalogue.ledger.writing("c", "w") as writing:
        for study in (7, 8):
            writing.except_("source-changed", study)
            writing.except_("content-differs", study, study)
    entries = catalogue.ledger_reader.exceptions("c")
    asked = [one.pk for one in entries if one.study == 8 or one.reason == "content-differs"]
    with catalogue.ledger.writing("c", "w") as writing:
        writing.retried(asked, "asked for again")
        for study in (7, 8):
            settle(writing, study, [came("aa", "bb", outcome, study)], [])
    left = [(one.study, one.reason, one.state) for one in catalogue.ledger_reader.exceptions("c", state=None)]
    assert sorted(one for one in left if one[2] != "solved") == [(7, "source-changed", "open")]
