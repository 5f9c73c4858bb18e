"""Lists of values become questions of one value each; too many are refused, as what is not asked must not look like what is not held."""

from __future__ import annotations

import pytest

from vna_core.dicom.answers import LISTS, single_questions
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Equals, Level, Query

PATIENT_ID, ACCESSION, STUDY = 0x00100020, 0x00080050, 0x0020000D


def test_every_combination_is_asked_and_lists_of_uids_stay_lists() -> None:
    uids = Equals(STUDY, ("1", "2", "3"))
    query = Query(Level.STUDY, (Equals(PATIENT_ID, ("a", "b")), uids, Equals(ACCESSION, ("x", "y"))))
    asked = [one.conditions for one in single_questions(query)]
    assert len(asked) == 4
    assert {(one[0].values[0], one[2].values[0]) for one in asked} == {("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")}  # type: ignore[union-attr]
    assert all(one[1] == uids for one in asked)


def test_too_many_combinations_are_refused_before_any_is_asked() -> None:
    many = tuple(map(str, range(LISTS + 1)))
    with pytest.raises(InvalidRequest):
        next(single_questions(Query(Level.STUDY, (Equals(PATIENT_ID, many),))))
