"""Each kind of change, read back by pydicom and dcmdump."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import pydicom
import pytest

from tests.unit.egress.egress_samples import CT, PIXELS, Receiver, image, octets_of, stored_octets
from tests.unit.ingest.small_archive import SmallArchive
from vna_core.domain.errors import NotAdaptable

MakeReceiver = Callable[..., Receiver]
IMPLICIT, LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


def test_text_of_every_level_goes_out_in_the_receivers_set(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(image()))
    octets = receiver(character_set="ISO_IR 100").octets(held)
    got = receiver(character_set="ISO_IR 100").receives(held)
    assert got.SpecificCharacterSet == "ISO_IR 100"
    assert got.PatientName == "Müller^Jörg" and "Müller^Jörg".encode("latin-1") in octets
    assert got.ReferencedImageSequence[0][0x00081080].value == "Entzündung"
    assert "Entzündung".encode("latin-1") in octets and "ü".encode() not in octets
    assert got.PixelData == PIXELS.tobytes()


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO 2022 IR 13\\ISO 2022 IR 87", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", "Müller^Люкceмбypг"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("GBK", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 166", "นามสกุล^ชื่อ"),
        ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ],
)
def test_names_survive_every_kind_of_set(archive: SmallArchive, receiver: MakeReceiver, character_set: str, name: str) -> None:
    plain = image(PatientName=name, InstitutionName="plain")
    del plain.ReferencedImageSequence
    held = archive.held(octets_of(plain))
    got = receiver(character_set=character_set).receives(held)
    assert str(got.PatientName) == name
    assert "ISO_IR 192" not in str(got.SpecificCharacterSet)


def test_a_japanese_name_is_encoded_as_the_standard_shows(archive: SmallArchive, receiver: MakeReceiver) -> None:
    # PS3.5 annex H.3.1
    plain = image(PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", InstitutionName="plain")
    del plain.ReferencedImageSequence
    octets = receiver(character_set="\\ISO 2022 IR 87").octets(archive.held(octets_of(plain)))
    assert b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B" in octets


@pytest.mark.parametrize(
    ("stored", "name"),
    [("ISO_IR 100", "Müller^Jörg"), ("\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎"), ("GB18030", "Wang=王^小东")],
)
def test_older_objects_carry_other_sets_and_become_utf_8(
    archive: SmallArchive, receiver: MakeReceiver, stored: str, name: str
) -> None:
    plain = image(stored, PatientName=name, InstitutionName="plain")
    del plain.ReferencedImageSequence
    got = receiver(character_set="ISO_IR 192").receives(archive.held(octets_of(plain)))
    assert got.SpecificCharacterSet == "ISO_IR 192" and str(got.PatientName) == name


def test_an_item_with_a_set_of_its_own_is_read_in_that_set(archive: SmallArchive, receiver: MakeReceiver) -> None:
    sample = image("ISO_IR 100")
    item = sample.ReferencedImageSequence[0]
    item.SpecificCharacterSet = "ISO_IR 144"
    item[0x00081080].value = "Воспаление"
    got = receiver(character_set="ISO_IR 192").receives(archive.held(octets_of(sample)))
    assert got.ReferencedImageSequence[0].get("SpecificCharacterSet", "ISO_IR 192") == "ISO_IR 192"
    assert "Воспаление" in str(got.ReferencedImageSequence[0][0x00081080].value)


def test_what_the_set_does_not_have_is_refused_by_its_tag_alone(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(image(PatientName="Ковалёв^Пётр")))
    with pytest.raises(NotAdaptable) as refused:
        receiver(character_set="ISO_IR 100").octets(held)
    assert refused.value.fields["tag"] == "00100010"
    assert refused.value.http_status == 406
    assert "Ковал" not in str(refused.value.as_dict())


def test_or_replaced_where_the_profile_says_so(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(image(PatientName="Ковалёв^Jörg")))
    got = receiver(character_set="ISO_IR 100", unmappable="replace").receives(held)
    assert got.PatientName == "???????^Jörg"


def test_the_default_repertoire_is_declared_by_no_value(archive: SmallArchive, receiver: MakeReceiver) -> None:
    got = receiver(character_set="ISO_IR 6", unmappable="replace").receives(archive.held(octets_of(image())))
    assert "SpecificCharacterSet" not in got and got.PatientName == "M?ller^J?rg"


def test_bad_uids_become_the_same_good_one_everywhere(archive: SmallArchive, receiver: MakeReceiver) -> None:
    sample = image(SOPInstanceUID="1.2.00.9")
    held = archive.held(octets_of(sample))
    got = receiver(uids="conformant").receives(held)
    expected = f"2.25.{uuid5(NAMESPACE_OID, '1.2.00.9').int}"
    assert got.SOPInstanceUID == got.file_meta.MediaStorageSOPInstanceUID == expected
    assert got.ReferencedImageSequence[0].ReferencedSOPInstanceUID == expected
    assert got.StudyInstanceUID == "1.2.3.4" and got.SOPClassUID == CT
    assert receiver(uids="conformant").outgoing(held).held.sop_instance_uid == expected
    assert pydicom.uid.UID(expected).is_valid


def test_an_ultrasound_of_a_retired_class_goes_out_as_a_current_one(archive: SmallArchive, receiver: MakeReceiver) -> None:
    retired, current = "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.6.1"
    held = archive.held(octets_of(image(SOPClassUID=retired, Modality="US")))
    got = receiver(sop_classes={retired: current}).receives(held)
    assert got.SOPClassUID == got.file_meta.MediaStorageSOPClassUID == current
    assert set(receiver(sop_classes={"retired": "current"}).profile.sop_classes_of(held)) == {retired, current}


def test_not_where_the_current_class_needs_what_is_not_there(archive: SmallArchive, receiver: MakeReceiver) -> None:
    retired = "1.2.840.10008.5.1.4.1.1.3"
    without = archive.held(octets_of(image(SOPClassUID=retired, Modality="US", NumberOfFrames=1)))
    increment = image(SOPClassUID=retired, SOPInstanceUID="1.2.3.9", NumberOfFrames=1, FrameIncrementPointer=0x00181063)
    pointed_at_nothing = archive.held(octets_of(increment))
    increment.SOPInstanceUID, increment.FrameTime = "1.2.3.10", "40"
    complete = archive.held(octets_of(increment))
    profile = receiver(sop_classes={"retired": "current"})
    assert profile.receives(without).SOPClassUID == retired
    assert profile.receives(pointed_at_nothing).SOPClassUID == retired
    assert profile.receives(complete).SOPClassUID == retired + ".1"


def test_long_text_is_cut_by_characters(archive: SmallArchive, receiver: MakeReceiver) -> None:
    long = image(AccessionNumber="0123456789ABCDEFGHIJ", InstitutionName="ü" * 80, StationName=["short", "x" * 17])
    got = receiver(clip_text=True).receives(archive.held(octets_of(long)))
    assert got.AccessionNumber == "0123456789ABCDEF"
    assert got.InstitutionName == "ü" * 64
    assert got.StationName == ["short", "x" * 16]


def test_values_are_set_prefixed_and_mapped(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(image()))
    changes = [
        {"tag": "(0008,0080)", "set": "Zentralarchiv Köln"},
        {"tag": "PatientID", "prefix": "KH1-"},
        {"tag": "00081030", "map": {"Thorax": "Chest"}},
        {"tag": "StationName", "set": "WS"},
        {"tag": "Modality", "map": {"MR": "XX"}},
    ]
    got = receiver(character_set="ISO_IR 100", values=changes).receives(held)
    assert (got.InstitutionName, got.PatientID, got.StudyDescription) == ("Zentralarchiv Köln", "KH1-P1", "Chest")
    assert (got.StationName, got.Modality) == ("WS", "CT")


def test_elements_and_private_ones_are_left_out_at_every_level(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(image()))
    got = receiver(remove=["(0008,1080)", "InstitutionName"], private="remove").receives(held)
    assert "InstitutionName" not in got and 0x00081080 not in got.ReferencedImageSequence[0]
    assert [element.tag for element in got.iterall() if element.tag.is_private] == []
    assert receiver().receives(held).private_block(0x0009, "EGRESS TEST")[1].value == "privat"


@pytest.mark.parametrize("syntax", [IMPLICIT, "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"])
def test_the_preferred_transfer_syntax_is_made_of_the_adapted_object(
    archive: SmallArchive, receiver: MakeReceiver, syntax: str
) -> None:
    held = archive.held(octets_of(image()))
    got = receiver(transfer_syntaxes=[syntax, LITTLE], character_set="ISO_IR 100", private="remove").receives(held)
    assert got.file_meta.TransferSyntaxUID == syntax
    assert (got.pixel_array == PIXELS).all()
    assert got.SpecificCharacterSet == "ISO_IR 100" and got.PatientName == "Müller^Jörg"


def test_what_can_be_made_in_no_allowed_transfer_syntax_is_refused(archive: SmallArchive, receiver: MakeReceiver) -> None:
    held = archive.held(octets_of(image()))
    with pytest.raises(NotAdaptable):
        receiver(transfer_syntaxes=["1.2.840.10008.1.2.4.50"]).octets(held)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO 2022 IR 100\\ISO 2022 IR 149", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO 2022 IR 100\\ISO 2022 IR 58", "Zhang^XiaoDong=张^小东"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", "Gorbatschow^Jörg=Горбачёв^Юрий"),
    ],
)
def test_dcmdump_reads_the_answer_without_complaint(
    archive: SmallArchive, receiver: MakeReceiver, tmp_path: Path, character_set: str, name: str
) -> None:
    held = archive.held(octets_of(image(PatientName=name)))
    changes = [{"tag": "InstitutionName", "set": "X"}]
    path = tmp_path / "out.dcm"
    sent = receiver(character_set=character_set, uids="conformant", values=changes, private="remove")
    path.write_bytes(sent.octets(held))
    done = subprocess.run(["dcmdump", "+U8", str(path)], capture_output=True, check=False)
    text = done.stdout.decode("utf-8")
    assert done.returncode == 0 and b"W:" not in done.stderr and b"E:" not in done.stderr
    assert f"[{name}]" in text and "Entzündung" in text


def test_the_stored_object_and_the_octets_as_received_stay(archive: SmallArchive, receiver: MakeReceiver) -> None:
    octets = octets_of(image(SOPInstanceUID="1.2.00.9"))
    held = archive.held(octets)
    before = stored_octets(archive, held)
    receiver(character_set="ISO_IR 100", uids="conformant", private="remove", clip_text=True).octets(held)
    assert stored_octets(archive, held) == before
    assert archive.original(held) == octets
