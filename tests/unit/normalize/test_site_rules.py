"""Site rules: when they apply, what they write, what they tell, and that they change nothing twice."""

from __future__ import annotations

import io
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import pydicom
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.normalize.handmade import (
    LIMITS,
    element,
    file,
    identification,
    item,
    noticed,
    original,
    received,
    rules,
    sequence,
    stored,
    uid,
)
from vna_core.configuration import Settings, load_settings
from vna_core.dicom.reverse_patch import rebuild
from vna_core.domain.errors import ConfigurationError, LimitExceeded, Unarchivable
from vna_core.domain.instance import CanonicalInstance
from vna_core.domain.octets import Source
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import RULE_SET, SiteRules, normalize
from vna_core.testing.quirks import quirk_files

WARD = Source("dimse", "CT_ICU", "10.0.0.5")


def site(*of: dict[str, object]) -> SiteRules:
    return SiteRules.of(Settings(site_rules=of))  # type: ignore[arg-type]


def made(octets: bytes, by: SiteRules, source: Source = WARD) -> CanonicalInstance:
    one = received(octets, source=source)
    return normalize(one, identify(one, LIMITS), LIMITS, site=by)


def served(canonical: CanonicalInstance) -> bytes:
    """The canonical object as it leaves the archive."""
    return b"".join(canonical.chunks())[: canonical.trailer_offset]


def read(canonical: CanonicalInstance) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(served(canonical)))


def text(tag: int, vr: str, value: str) -> bytes:
    raw = value.encode()
    return element(tag, vr, raw + b" " * (len(raw) & 1))


def patient(identifier: str = "000123", issuer: str = "") -> bytes:
    return text(0x00100020, "LO", identifier) + (text(0x00100021, "LO", issuer) if issuer else b"")


def instance(*elements: bytes) -> bytes:
    return file(identification(extra=b"".join(elements)))


def test_an_issuer_is_written_where_a_patient_id_has_none_and_told() -> None:
    canonical = made(instance(patient()), site({"id": "ward", "issuer": "HOSPITAL"}))
    data_set = read(canonical)
    assert (data_set.PatientID, data_set.IssuerOfPatientID) == ("000123", "HOSPITAL")
    told = data_set.OriginalAttributesSequence[0]
    assert told.ModifiedAttributesSequence[0]["IssuerOfPatientID"].is_empty
    assert told.ReasonForTheAttributeModification == "COERCE"
    assert rules(canonical) == ["site:ward"]
    assert b"".join(rebuild(lambda at, size: b"".join(canonical.chunks())[at : at + size], canonical.size)) == instance(patient())


def test_an_issuer_that_came_and_a_nameless_patient_stay() -> None:
    by = site({"id": "ward", "issuer": "HOSPITAL"})
    assert read(made(instance(patient("1", "OTHER")), by)).IssuerOfPatientID == "OTHER"
    assert "IssuerOfPatientID" not in read(made(instance(text(0x00100020, "LO", "")), by))


def test_the_issuer_of_the_source_is_a_finding_and_not_written() -> None:
    canonical = made(instance(patient()), SiteRules(), Source("dimse", "CT_ICU", "", "REGION"))
    assert "IssuerOfPatientID" not in read(canonical)
    found = next(one for one in canonical.findings if one.rule == "I09")
    assert "REGION" in found.message and "CT_ICU" in found.message


@pytest.mark.parametrize(
    ("when", "applies"),
    [
        ({}, True),
        ({"source": {"kind": "dimse"}}, True),
        ({"source": {"kind": "stow"}}, False),
        ({"source": {"name": "CT_*"}}, True),
        ({"source": {"name": ["MR", "CT_ICU"]}}, True),
        ({"source": {"name": "CT"}}, False),
        ({"modality": "CT"}, True),
        ({"modality": ["MR", "PT"]}, False),
        ({"manufacturer": "ACME*"}, True),
        ({"manufacturer": "ACME"}, False),
        ({"tags": {"StationName": ""}}, True),
        ({"tags": {"00081010": "X"}}, False),
        ({"modality": "CT", "tags": {"(0008,0070)": ["A*", "B*"]}}, True),
        ({"modality": "MR", "tags": {"Manufacturer": "A*"}}, False),
    ],
)
def test_a_rule_applies_when_all_it_asks_for_holds(when: dict[str, object], applies: bool) -> None:
    octets = instance(text(0x00080060, "CS", "CT"), text(0x00080070, "LO", "ACME Systems"))
    changed = rules(made(octets, site({"id": "one", "when": when, "institution": "HOSPITAL"})))
    assert changed == (["site:one"] if applies else [])


def test_values_are_set_mapped_copied_and_prefixed_in_that_order() -> None:
    by = site(
        {
            "id": "all",
            "copy": {"from": "StudyID", "to": "AccessionNumber"},
            "set": {"InstitutionalDepartmentName": "Radiology"},
            "map": [{"tag": "BodyPartExamined", "table": {"SKULL": "HEAD"}}],
            "prefix": {"tag": "AccessionNumber", "prefix": "N-"},
        }
    )
    octets = file(
        identification(extra=text(0x00080050, "SH", "") + text(0x00180015, "CS", "SKULL")) + text(0x00200010, "SH", "0042")
    )
    data_set = read(made(octets, by))
    assert (data_set.AccessionNumber, data_set.BodyPartExamined) == ("N-0042", "HEAD")
    assert (data_set.InstitutionalDepartmentName, data_set.StudyID) == ("Radiology", "0042")


def test_a_value_that_would_pass_its_length_stays_and_is_flagged() -> None:
    octets = instance(text(0x00080050, "SH", "1234567890123"))
    canonical = made(octets, site({"id": "long", "prefix": {"tag": "AccessionNumber", "prefix": "NORTH-"}}))
    assert read(canonical).AccessionNumber == "1234567890123"
    assert noticed(canonical) == ["site:long"]


def test_text_beyond_ascii_declares_utf_8_where_all_text_was_ascii() -> None:
    canonical = made(instance(text(0x00080080, "LO", "Clinic")), site({"id": "name", "institution": "Klinik Köln"}))
    assert read(canonical).InstitutionName == "Klinik Köln"
    assert read(canonical).SpecificCharacterSet == "ISO_IR 192"


def test_text_beyond_ascii_is_not_written_beside_text_nobody_can_read() -> None:
    octets = instance(element(0x00100010, "PN", "M\xfcller".encode("latin-1")))
    canonical = made(octets, site({"id": "name", "institution": "Klinik Köln"}))
    assert "InstitutionName" not in read(canonical) and noticed(canonical) == ["T02", "site:name"]


def test_the_site_says_which_character_set_its_source_means() -> None:
    octets = instance(element(0x00100010, "PN", "M\xfcller".encode("latin-1")))
    canonical = made(octets, site({"id": "latin", "character_set": "ISO_IR 100"}))
    assert str(read(canonical).PatientName) == "Müller" and "T02" in rules(canonical)


@pytest.mark.parametrize(
    ("declared", "name"),
    [("ISO_IR 127", "Иванов"), ("ISO_IR 100", "Иванов".encode("iso8859-5").decode("latin-1"))],
    ids=["which the declared one does not have", "which the declared one has"],
)
def test_the_site_is_asked_about_octets(declared: str, name: str) -> None:
    octets = instance(text(0x00080005, "CS", declared) + element(0x00100010, "PN", "Иванов".encode("iso8859-5")))
    canonical = made(octets, site({"id": "cyrillic", "character_set": "ISO_IR 144"}))
    assert str(read(canonical).PatientName) == name
    assert original(stored(canonical)) == octets


@pytest.mark.parametrize(("order", "date"), [("day-month", "19990403"), ("month-day", "19990304")])
def test_the_site_says_how_its_source_writes_dates(order: str, date: str) -> None:
    octets = instance(text(0x00080020, "DA", "03/04/1999"))
    assert read(made(octets, site({"id": "dates", "date_order": order}))).StudyDate == date
    assert noticed(made(octets, SiteRules())) == ["D02"]


def test_one_map_gives_every_uid_its_new_one_references_included() -> None:
    reference = item(uid(0x00081150, "1.2.840.10008.5.1.4.1.1.2") + uid(0x00081155, "1.2.3.9"))
    octets = file(identification(sop="1.2.3.4", extra=sequence(0x00081140, [reference])))
    other = file(identification(sop="1.2.3.9"), sop_instance="1.2.3.9")
    by = site({"id": "twice", "remap_uids": {"seed": "scanner 2"}})
    first, second = read(made(octets, by)), read(made(other, by))
    expected = f"2.25.{uuid5(uuid5(NAMESPACE_OID, 'scanner 2'), '1.2.3.9').int}"
    assert second.SOPInstanceUID == second.file_meta.MediaStorageSOPInstanceUID == expected
    assert first.ReferencedImageSequence[0].ReferencedSOPInstanceUID == expected
    assert first.ReferencedImageSequence[0].ReferencedSOPClassUID == first.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert first.StudyInstanceUID == second.StudyInstanceUID != "1.2.3.1"
    assert first.OriginalAttributesSequence[0].ModifiedAttributesSequence[0].SOPInstanceUID == "1.2.3.4"


def test_new_uids_begin_with_the_root_of_the_site() -> None:
    data_set = read(made(instance(), site({"id": "own", "remap_uids": {"seed": "a", "root": "1.2.276.0.99"}})))
    assert data_set.StudyInstanceUID.startswith("1.2.276.0.99.") and data_set.StudyInstanceUID.is_valid


CODES = st.sampled_from(["", "A", "B", "N-A", "C"])
RULE_PARTS = st.fixed_dictionaries(
    {},
    optional={
        "map": st.fixed_dictionaries(
            {"tag": st.sampled_from(["AccessionNumber", "StudyID"]), "table": st.dictionaries(CODES, CODES, min_size=1)}
        ),
        "prefix": st.fixed_dictionaries({"tag": st.sampled_from(["AccessionNumber", "StudyID"]), "prefix": st.just("N-")}),
        "copy": st.fixed_dictionaries({"from": st.just("StudyID"), "to": st.just("AccessionNumber"), "overwrite": st.booleans()}),
        "set": st.dictionaries(st.sampled_from(["StationName", "StudyID"]), CODES, max_size=1),
        "issuer": st.just("HOSPITAL"),
        "remap_uids": st.just({"seed": "again"}),
        "when": st.fixed_dictionaries({"tags": st.dictionaries(st.just("StudyID"), CODES)}),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(RULE_PARTS, min_size=1, max_size=3), CODES, CODES)
def test_what_comes_back_from_elsewhere_is_not_changed_again(parts: list[dict[str, object]], accession: str, study: str) -> None:
    by = site(*({"id": f"r{number}", **part} for number, part in enumerate(parts)))
    octets = file(identification(extra=text(0x00080050, "SH", accession) + patient()) + text(0x00200010, "SH", study))
    once = made(octets, by)
    again = made(served(once), by)
    assert served(again) == served(once)


def test_deviating_files_come_back_unchanged_and_bit_exact_under_site_rules() -> None:
    by = site(
        {"id": "all", "issuer": "HOSPITAL", "institution": "Köln", "prefix": {"tag": "AccessionNumber", "prefix": "N-"}},
        {"id": "uids", "remap_uids": {"seed": "again"}, "character_set": "ISO_IR 100", "date_order": "day-month"},
    )
    seen = 0
    for quirk in quirk_files():
        try:
            once = made(quirk.octets, by)
        except (Unarchivable, LimitExceeded):
            continue
        seen += 1
        assert original(stored(once)) == quirk.octets, quirk.name
        assert served(made(served(once), by)) == served(once), quirk.name
    assert seen > 250


def test_a_rule_set_with_site_rules_says_so() -> None:
    one, other = site({"id": "a", "issuer": "X"}), site({"id": "a", "issuer": "Y"})
    assert one.rule_set.startswith(f"{RULE_SET}+site.") and one.rule_set != other.rule_set
    assert made(instance(), one).rule_set == one.rule_set and made(instance(), SiteRules()).rule_set == RULE_SET


def test_rules_reach_the_processes_of_the_server_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "vna.yaml"
    path.write_text(
        "site_rules:\n- id: a\n  when: {source: {kind: dimse}, tags: {StationName: X*}}\n  copy: {from: StudyID, to: AccessionNumber}\n"
        "  date_order: day-month\n- {id: b, remap_uids: {seed: s}}\n"
    )
    told = load_settings(path, environment={})
    assert SiteRules.of(Settings.model_validate_json(told.model_dump_json(by_alias=True))) == SiteRules.of(told)


def test_the_rules_of_the_guide_are_right() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "how-to" / "site-rules.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in guide.split("```yaml\n")[1:] if block.startswith("# /etc/vna.yaml\nsite_rules")]
    found = SiteRules.of(Settings.model_validate(yaml.safe_load(blocks[0])))
    assert [rule.id for rule in found.rules][0] == "site:north-issuer" and len(found.rules) == 4


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("    isuer: X", "Did you mean 'issuer'?"),
        ("    set: {PatientIDD: X}", "no attribute of the standard"),
        ("    set: {Rows: '5'}", "cannot be changed"),
        ("    set: {StudyInstanceUID: '1.2'}", "cannot be changed"),
        ("    set: {StudyDate: tomorrow}", "not legal for DA"),
        ("    map: {tag: Modality, table: {CT: ct}}", "not legal for CS"),
        ("    prefix: {tag: StudyDate, prefix: '19'}", "cannot get a beginning"),
        ("    character_set: KLINGON", "no character set"),
        ("    when: {tags: {Nothing: X}}", "no attribute of the standard"),
        ("    remap_uids: {seed: a, root: '1.02'}", "root"),
        ("    institution: 5", "string"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "vna.yaml"
    path.write_text(f"site_rules:\n  - id: good\n    issuer: X\n  - id: bad\n    version: 2\n{line}\n")
    with pytest.raises(ConfigurationError) as raised:
        SiteRules.of(load_settings(path, environment={}))
    assert f"{path}:6" in raised.value.message and told in raised.value.message
