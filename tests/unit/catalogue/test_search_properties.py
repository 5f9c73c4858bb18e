"""search() answers exactly what plain matching over the same attributes answers, whatever the identifiers and keys hold."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.catalogue.catalogue_entries import TAGS, changed, entry
from tests.unit.catalogue.naive_matching import matches
from vna_core.catalogue import Catalogue
from vna_core.domain.query import Between, Empty, Equals, Level, OfValues, Query, Wildcard

ODD = "aAbB1%_\\^*?[]'\"|~- é漢\x00\U0010fffe"
NAMES = "aAbBéÉ^^= "
text = st.text(ODD, min_size=0, max_size=5)
identifiers = text.map(lambda value: value.strip(" ").rstrip("\x00 "))
names = st.text(NAMES, max_size=8).map(lambda value: "=".join(value.split("=")[:3]).replace(" ^", "^").replace("^ ", "^"))
dates = st.sampled_from(["", "20250101", "20250115", "20250201", "20251231", "20260101"])
times = st.sampled_from(["", "00", "1230", "123000", "123000.5", "235959"])

studies = st.fixed_dictionaries(
    {
        "patient_id": identifiers,
        "patient_name": names,
        "study_date": dates,
        "study_time": times,
        "study_description": text,
        "referring_physician_name": names,
        "modality": st.sampled_from(["", "CT", "MR", "C_"]),
        "other_patient_ids": st.lists(identifiers.filter(lambda value: bool(value) and "\\" not in value), max_size=2),
    }
)
EMPTIED = (
    *("patient_id", "patient_name", "study_date", "study_time", "study_description", "referring_physician_name"),
    *("other_patient_ids", "accession_number"),
)
keys = st.text(ODD + "**??", max_size=5)
name_keys = st.text(NAMES + "**??", max_size=6).map(
    lambda value: "=".join(value.split("=")[:3]).replace(" ^", "^").replace("^ ", "^")
)


def _plain(name: str) -> st.SearchStrategy[OfValues]:
    tag = TAGS[name]
    return st.one_of(
        st.builds(
            Equals,
            st.just(tag),
            st.lists(text.filter(lambda value: not value.rstrip(" ").endswith("\x00")), max_size=2).map(tuple),
        ),
        st.builds(Wildcard, st.just(tag), keys),
    )


def _name(name: str) -> st.SearchStrategy[OfValues]:
    tag = TAGS[name]
    return st.one_of(
        st.builds(Equals, st.just(tag), st.lists(names, max_size=2).map(tuple)), st.builds(Wildcard, st.just(tag), name_keys)
    )


conditions = st.one_of(
    _plain("patient_id"),
    _plain("study_description"),
    _plain("other_patient_ids").filter(lambda condition: "\\" not in repr(condition)),
    _name("patient_name"),
    _name("referring_physician_name"),
    st.builds(Between, st.just(TAGS["study_date"]), dates, dates),
    st.builds(Equals, st.just(TAGS["study_date"]), st.lists(dates, max_size=2).map(tuple)),
    st.builds(Between, st.just(TAGS["study_time"]), times, times),
    st.builds(Equals, st.just(TAGS["study_time"]), st.lists(times, max_size=2).map(tuple)),
    st.builds(Equals, st.just(0x00080061), st.lists(st.sampled_from(["CT", "MR", "C_", "C"]), max_size=2).map(tuple)),
    st.builds(Wildcard, st.just(0x00080061), st.sampled_from(["C*", "?R", "M?", "*"])),
)
empty = st.sampled_from([*(TAGS[name] for name in EMPTIED), 0x00080061]).map(Empty)
_numbers = itertools.count()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(studies, min_size=1, max_size=5),
    st.lists(st.lists(st.one_of(conditions, empty), max_size=3), min_size=1, max_size=12),
)
def test_search_agrees_with_plain_matching(
    catalogue: Catalogue, held: list[dict[str, object]], asked: list[list[OfValues]]
) -> None:
    mark = f"run{next(_numbers)}"
    plain: dict[str, dict[int, tuple[str, ...]]] = {}
    for number, attributes in enumerate(held):
        uid = f"{mark}.{number}"
        values = {TAGS[name]: (value,) if isinstance(value, str) else tuple(value) for name, value in attributes.items()}  # type: ignore[arg-type]
        patient = str(attributes["patient_id"])
        one = entry(uid, series=uid, study=uid, patient=patient, issuer=uid)
        catalogue.record(changed(one, attributes=values))
        plain[uid] = values | {0x00080061: values[TAGS["modality"]]}
    issuers = Equals(TAGS["issuer_of_patient_id"], tuple(plain))
    for query in asked:
        expected = {uid for uid, attributes in plain.items() if all(matches(condition, attributes) for condition in query)}
        for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
            answer = catalogue.search(Query(level, (*query, issuers)))
            assert sorted(match.patient.issuer for match in answer.matches) == sorted(expected), (level, query)
            assert answer.unmatched == ()
