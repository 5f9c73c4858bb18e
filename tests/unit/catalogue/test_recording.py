"""What record() decides, and what the catalogue answers afterwards."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import pytest

from tests.unit.catalogue.catalogue_entries import changed, entry, found, values
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import NotFound, VnaError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.outcome import Outcome
from vna_core.domain.query import Equals, Level, Wildcard
from vna_core.domain.transformation import Confidence, Finding, Transformation


def test_a_recorded_entry_comes_back_whole(catalogue: Catalogue) -> None:
    one = entry(patient_name="Doe^Jane", rows="512", image_type=("ORIGINAL", "PRIMARY"))
    recorded = catalogue.record(one)
    (held,) = catalogue.instances(sop=one.sop_instance_uid)
    assert recorded.outcome is Outcome.HELD
    assert (held.pk, held.version, held.current) == (recorded.held.pk, 1, True)
    for field in (
        "patient",
        "study_instance_uid",
        "series_instance_uid",
        "sop_instance_uid",
        "sop_class_uid",
        "transfer_syntax_uid",
    ):
        assert getattr(held, field) == getattr(one, field)
    for field in ("sha256", "size", "data_set_offset", "trailer_offset", "pixel_data", "original_sha256", "original_size"):
        assert getattr(held, field) == getattr(one, field)
    assert held.locations == (one.location,)
    assert held.attributes[0x00080008] == ("ORIGINAL", "PRIMARY")


def test_the_same_octets_again_are_a_duplicate_and_not_recorded(catalogue: Catalogue) -> None:
    first = catalogue.record(entry())
    again = catalogue.record(entry(second=5))
    assert again.outcome is Outcome.DUPLICATE
    assert again.held.pk == first.held.pk
    assert not catalogue.is_new("1.2.3.1.1")
    assert catalogue.is_new("1.2.3.1.2")
    assert catalogue.statistics().versions == 1


@pytest.mark.parametrize("classification", ["header", "pixel"])
def test_other_octets_under_the_same_uid_are_a_version_and_a_conflict(catalogue: Catalogue, classification: str) -> None:
    first = catalogue.record(entry())
    second = catalogue.record(entry(content="changed", second=1), lambda held: {one.pk: classification for one in held})
    assert second.outcome is Outcome.CONFLICT
    assert [(held.version, held.current) for held in catalogue.versions("1.2.3.1.1")] == [(1, True), (2, False)]
    (conflict,) = catalogue.conflicts()
    assert (conflict.classification, conflict.first.pk, conflict.second.pk) == (classification, first.held.pk, second.held.pk)
    statistics = catalogue.statistics()
    assert (statistics.instances, statistics.versions, statistics.conflicts, statistics.bytes) == (1, 2, 1, 2000)


def test_another_encoding_of_the_same_content_is_kept_and_not_listed(catalogue: Catalogue) -> None:
    catalogue.record(entry())
    assert (
        catalogue.record(entry(content="deflated", second=1), lambda held: {one.pk: "encoding" for one in held}).outcome
        is Outcome.DUPLICATE
    )
    assert len(catalogue.versions("1.2.3.1.1")) == 2
    assert catalogue.conflicts() == []


def test_what_was_recorded_meanwhile_is_compared_before_a_version_is_recorded(catalogue: Catalogue) -> None:
    """Three versions in one call: each was compared before any was recorded."""
    asked = list[list[str]]()

    def compare(held: Sequence[HeldInstance]) -> dict[int, str]:
        asked.append([one.original_sha256 for one in held])
        return {one.pk: "encoding" if one.original_sha256 == second.original_sha256 else "header" for one in held}

    first, second, third = (entry(content=f"version {number}", second=number) for number in range(3))
    recorded = catalogue.record_all([(one, {}, compare) for one in (first, second, third)])
    outcomes = [one.outcome for one in recorded if not isinstance(one, VnaError)]
    assert outcomes == [Outcome.HELD, Outcome.CONFLICT, Outcome.DUPLICATE]
    assert [one.classification for one in catalogue.conflicts()] == ["header"]
    assert asked[-1] == [first.original_sha256, second.original_sha256]


def test_the_same_uid_in_another_study_is_current_there_and_a_conflict(catalogue: Catalogue) -> None:
    catalogue.record(entry())
    moved = catalogue.record(entry(study="9", series="9.1", content="moved", second=1))
    assert moved.outcome is Outcome.CONFLICT
    assert [held.current for held in catalogue.versions("1.2.3.1.1")] == [True, True]
    assert catalogue.conflicts()[0].classification == "other-parent"


def test_two_patients_are_never_merged_by_a_study_uid_or_an_id(catalogue: Catalogue) -> None:
    catalogue.record(entry("1", patient="P", issuer="A"))
    catalogue.record(entry("2", patient="P", issuer="B"))
    assert catalogue.statistics().patients == 2
    assert len(found(catalogue, Level.STUDY, Equals(0x0020000D, ("1.2.3",)))) == 2
    (held,) = catalogue.instances(patient=PatientKey("B", "P"))
    assert held.sop_instance_uid == "2"


def test_patients_without_an_id_are_told_apart_by_study(catalogue: Catalogue) -> None:
    catalogue.record(entry("1", patient="", study="1", series="1.1", patient_name="A"))
    catalogue.record(entry("2", patient="", study="2", series="2.1", patient_name="B"))
    assert values(found(catalogue, Level.PATIENT), "patient_name") == {"A", "B"}


def test_the_first_value_that_is_not_empty_wins_and_gaps_are_filled(catalogue: Catalogue) -> None:
    catalogue.record(entry("1", study_description="Head", second=0))
    catalogue.record(entry("2", study_description="Chest", accession_number="A7", modality="", second=1))
    (study,) = found(catalogue, Level.STUDY)
    assert study.attributes[0x00081030] == ("Head",)
    assert study.attributes[0x00080050] == ("A7",)


def test_a_name_that_comes_later_is_found(catalogue: Catalogue) -> None:
    catalogue.record(entry("1"))
    catalogue.record(entry("2", patient_name="Doe^Jane", second=1))
    assert len(found(catalogue, Level.PATIENT, Wildcard(0x00100010, "*jane"))) == 1


def test_the_order_of_recording_does_not_matter(new_catalogue, tmp_path) -> None:  # type: ignore[no-untyped-def]
    entries = [
        entry("1", study_description="Head", second=1, patient_name="Doe^Jane"),
        entry("1", content="other", second=2, study_description="Chest"),
        entry("2", second=3, accession_number="A", patient_name="Roe"),
        entry("2", second=4, study="8", series="8.1", content="elsewhere"),
        entry("3", second=5, series="1.2.3.2", modality="MR", series_description="T1"),
        entry("3", second=5, series="1.2.3.2", modality="US", content="same moment"),
    ]
    prints = []
    for number, order in enumerate(itertools.islice(itertools.permutations(entries), 0, 720, 90)):
        with Catalogue.open(*new_catalogue(f"order{number}")) as catalogue:
            for one in order:
                catalogue.record(one)
            assert [held.current for held in catalogue.versions("1")] == [True, False]
            prints.append(catalogue.fingerprint())
    assert all(one == prints[0] for one in prints[1:])


def test_a_value_between_the_earliest_instance_and_the_one_recorded_first_counts(new_catalogue) -> None:  # type: ignore[no-untyped-def]
    """The earliest has no description: of the others the earlier one describes the study, in whatever order they are recorded."""
    entries = [
        entry("1", second=1, patient_name="Doe^Jane", accession_number="A"),
        entry("2", second=2, study_description="Head", accession_number="A"),
        entry("3", second=3, study_description="Chest", accession_number="A"),
    ]
    prints = []
    for number, order in enumerate(itertools.permutations(entries)):
        with Catalogue.open(*new_catalogue(f"order{number}")) as catalogue:
            for one in order:
                catalogue.record(one)
            (study,) = found(catalogue, Level.STUDY)
            assert study.attributes[0x00081030] == ("Head",)
            prints.append(catalogue.fingerprint())
    assert all(one == prints[0] for one in prints[1:])


def test_statistics_and_counts_follow_current_versions(catalogue: Catalogue) -> None:
    for number in range(3):
        catalogue.record(entry(f"1.{number}"))
    catalogue.record(entry("2.1", series="1.2.3.2", modality="MR"))
    catalogue.record(entry("1.0", content="version"))
    (study,) = found(catalogue, Level.STUDY)
    assert study.attributes[0x00201206] == ("2",)
    assert study.attributes[0x00201208] == ("4",)
    assert study.attributes[0x00080061] == ("CT", "MR")
    (patient,) = found(catalogue, Level.PATIENT)
    assert [patient.attributes[tag] for tag in (0x00201200, 0x00201202, 0x00201204)] == [("1",), ("2",), ("4",)]
    assert sorted(match.attributes[0x00201209] for match in found(catalogue, Level.SERIES)) == [("1",), ("3",)]
    assert len(found(catalogue, Level.IMAGE)) == 4


@pytest.mark.parametrize(
    "odd", ["a%b", "a_b", "a\\b", "a^b", "a*b", "a?b", "a\x00b", "ä漢", "a'b\"; --", "\udc80", "\U0010fffe", "x" * 5000]
)
def test_identifiers_of_any_content_come_back_and_are_found(catalogue: Catalogue, odd: str) -> None:
    catalogue.record(entry("1.9", patient="plain"))
    recorded = catalogue.record(entry(odd, patient=odd, study=odd, series=odd))
    (held,) = catalogue.instances(patient=PatientKey("", odd), study=odd, series=odd, sop=odd)
    assert held.pk == recorded.held.pk
    if len(odd) < 500:
        assert (held.sop_instance_uid, held.patient.patient_id) == (odd, odd)
    assert len(found(catalogue, Level.PATIENT, Equals(0x00100020, (odd,)))) == 1
    assert [one.pk for one in catalogue.instances_by_uid_list([odd, "unknown"])] == [recorded.held.pk]


def test_padding_of_identifiers_means_nothing(catalogue: Catalogue) -> None:
    one = entry("1.1")
    catalogue.record(changed(one, patient=PatientKey("", "P1 ")))
    again = changed(one, sop_instance_uid="1.1\x00", study_instance_uid="1.2.3 ", original_sha256="0" * 64)
    assert catalogue.record(again, lambda held: {one.pk: "header" for one in held}).held.version == 2
    assert len(catalogue.instances(sop="1.1 ")) == 1


def test_headers_come_back_in_order_of_recording(catalogue: Catalogue) -> None:
    for number in (3, 1, 2):
        catalogue.record(changed(entry(f"1.{number}"), json_header=f'{{"n":{number}}}'.encode()))
    assert [(held.sop_instance_uid, header) for held, header in catalogue.headers(study="1.2.3")] == [
        ("1.3", b'{"n":3}'),
        ("1.1", b'{"n":1}'),
        ("1.2", b'{"n":2}'),
    ]
    assert [header.json for header in catalogue.metadata(study="1.2.3", sop="1.1")] == [b'{"n":1}']
    assert list(catalogue.metadata(study="unknown")) == []
    of_series = [header.json for header in catalogue.metadata(study="1.2.3", series="1.2.3.1")]
    assert of_series == [b'{"n":3}', b'{"n":1}', b'{"n":2}']


def test_an_explanation_names_source_and_every_change(catalogue: Catalogue) -> None:
    change = Transformation("E21", Confidence.PROVEN, "00100010", "PatientName", "a ", "a", 3, "padding")
    one = changed(entry(), transformations=(change,), findings=(Finding("E99", "odd"),))
    explanation = catalogue.explanation(catalogue.record(one).held.pk)
    assert explanation.source == one.source
    assert explanation.received_at == one.received_at
    assert explanation.transformations == (change,)
    assert explanation.findings == (Finding("E99", "odd"),)
    assert explanation.rule_set == "2026.11.0"
    with pytest.raises(NotFound):
        catalogue.explanation(10**9)


def test_a_bad_copy_is_replaced(catalogue: Catalogue) -> None:
    one = entry()
    held = catalogue.record(one).held
    catalogue.set_location_state(held.pk, one.location, "bad")
    healed = catalogue.replace_copy(held.pk, changed(one, location=Location("landing", "elsewhere", 0, 1000)))
    assert [location.key for location in healed.locations] == ["elsewhere"]
    again = catalogue.replace_copy(
        held.pk, changed(one, location=Location("landing", "third", 0, 900), size=900, sha256="f" * 64)
    )
    assert [location.key for location in again.locations] == ["third"]
    assert catalogue.statistics().bytes == 900
    with pytest.raises(NotFound):
        catalogue.replace_copy(10**9, one)


def test_many_threads_share_transactions_and_lose_nothing(catalogue: Catalogue) -> None:
    outcomes: list[Outcome] = []

    def work(thread: int) -> None:
        for number in range(20):
            outcomes.append(
                catalogue.record(entry(f"1.{thread}.{number}", patient=f"P{number % 3}", study=f"9.{number % 3}")).outcome
            )
            outcomes.append(catalogue.record(entry(f"2.{number}", series="2")).outcome)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Outcome.HELD) == 8 * 20 + 20
    assert outcomes.count(Outcome.DUPLICATE) == 7 * 20
    assert catalogue.statistics().instances == 180
    assert catalogue.statistics().series == 4


def test_a_bad_entry_does_not_fail_its_neighbours(catalogue: Catalogue) -> None:
    failed: list[Exception] = []
    bad = changed(entry("bad", series="8", study="8", patient="new"), size=1 << 70)

    def offer(number: int) -> None:
        try:
            catalogue.record(bad if number == 5 else entry(f"1.{number}", patient="new"))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=offer, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) == 1
    assert catalogue.statistics().instances == 11
    assert catalogue.record(entry("1.99", patient="new", study="8", series="8")).outcome is Outcome.HELD
