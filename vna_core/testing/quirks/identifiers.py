"""Identifiers that are missing, illegal, or not the only ones (I01 to I15)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from vna_core.testing.quirks.octets import Fields, file_meta, part10
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile
from vna_core.testing.quirks.sheet import CT, PIXEL_DATA, Sheet, gradient, image, octets_of, sheet

SOP_CLASS, SOP_INSTANCE, STUDY, SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
PATIENT_ID, ISSUER = 0x00100020, 0x00100021
REFERENCED_CLASS, REFERENCED_INSTANCE, SOURCE_IMAGES = 0x00081150, 0x00081155, 0x00082112


def leading_zero() -> Iterator[QuirkFile]:
    for label, tag in (("instance", SOP_INSTANCE), ("study", STUDY)):
        yield image(f"I01-leading-zero-{label}").keep(tag, "UI", f"1.2.00.04.{tag & 0xFF}").file()


def illegal_uids() -> Iterator[QuirkFile]:
    for label, value in (
        ("over-long", "2.25." + "1234567890" * 7),
        ("letters", "1.2.ACME.17"),
        ("negative", "1.2.-3.17"),
        ("trailing-dot", "1.2.3.17."),
    ):
        yield image(f"I02-{label}").keep(SOP_INSTANCE, "UI", value).file()


def padded_with_space() -> Iterator[QuirkFile]:
    for label, tag, vr_value in (("instance", SOP_INSTANCE, "2.25.4711.1031 "), ("study", STUDY, "2.25.4711.1032 ")):
        raw = vr_value.encode() + b" " * (len(vr_value) & 1)
        yield image(f"I03-space-padded-{label}").odd(tag, "UI", raw, (vr_value.strip(),)).file()


def missing_uids() -> Iterator[QuirkFile]:
    for label, tag in (("study", STUDY), ("series", SERIES)):
        yield image(f"I04-{label}-missing").without(tag).file()
        yield image(f"I04-{label}-empty").put(tag, "UI", "").unsure(tag).file()
    start = image("I04-instance-only-in-file-meta")
    told = start.text(SOP_INSTANCE)
    headless = start.without(SOP_INSTANCE).must({"00080018": (told,)})
    yield headless.file(part10(file_meta(start.meta()), headless.body()))


def two_tellings() -> Iterator[QuirkFile]:
    start = image("I05-file-meta-names-another-instance")
    meta = tuple((tag, vr, "1.2.3.999" if tag == 0x00020003 else value) for tag, vr, value in start.meta())
    right = start.must({"00020003": (start.text(SOP_INSTANCE),)})
    yield right.file(part10(file_meta(meta), start.body()))
    start = image("I05-file-meta-names-another-class")
    meta = tuple((tag, vr, "1.2.840.10008.5.1.4.1.1.4" if tag == 0x00020002 else value) for tag, vr, value in start.meta())
    yield start.must({"00020002": (CT,)}).file(part10(file_meta(meta), start.body()))


def class_missing() -> Iterator[QuirkFile]:
    start = image("I06-class-only-in-file-meta")
    headless = start.without(SOP_CLASS).must({"00080016": (CT,)})
    yield headless.file(part10(file_meta(start.meta()), headless.body()))


def same_uid_other_octets() -> Iterator[QuirkFile]:
    first = image("I07-same-uid-first")
    same = first.text(SOP_INSTANCE), first.text(STUDY), first.text(SERIES)
    yield first.file()
    pixels = gradient()[:, ::-1].copy()
    second = replace(
        image("I07-same-uid-other-pixels"), fields=first.put(PIXEL_DATA, "OW", octets_of(pixels)).fields, pixels=pixels
    )
    assert (second.text(SOP_INSTANCE), second.text(STUDY), second.text(SERIES)) == same
    yield second.file()
    header = first.put(0x00081030, "LO", "Thorax, corrected")
    yield replace(header, name="I07-same-uid-other-header").file()


def same_uid_other_parents() -> Iterator[QuirkFile]:
    first = image("I08-same-uid-one-patient")
    yield first.file()
    yield (
        image("I08-same-uid-other-patient")
        .put(SOP_INSTANCE, "UI", first.text(SOP_INSTANCE))
        .put(PATIENT_ID, "LO", "OTHER")
        .file()
    )


def without_issuer() -> Iterator[QuirkFile]:
    yield image("I09-no-issuer").must({"00100021": None}).file()


def padded_patient_ids() -> Iterator[QuirkFile]:
    for label, raw, shown in (
        ("nul-padded", b"000123\0\0", "000123"),
        ("blanks-around", b"  000123", "000123"),
        ("control-character", b"00\x020123\x03", "000123"),
        ("leading-zeros", b"000123", "000123"),
    ):
        yield image(f"I10-patient-id-{label}").odd(PATIENT_ID, "LO", raw, (shown,)).file()


def empty_identification() -> Iterator[QuirkFile]:
    yield image("I11-patient-id-empty").odd(PATIENT_ID, "LO", "", ()).file()
    yield image("I11-patient-id-missing").without(PATIENT_ID).must({"00100020": None}).file()
    yield image("I11-manufacturer-and-modality-empty").put(0x00080070, "LO", "").put(0x00080060, "CS", "").file()


def same_study_id() -> Iterator[QuirkFile]:
    for label in ("one", "other"):
        yield (
            image(f"I12-reused-study-id-{label}")
            .put(0x00200010, "SH", "1")
            .put(0x00080050, "SH", "")
            .put(PATIENT_ID, "LO", "Q-I12")
            .file()
        )


def opaque(name: str, sop_class: str) -> Sheet:
    """An instance of a class whose content is the vendor's: no image, private elements only."""
    return (
        sheet(name, sop_class)
        .put(0x00290010, "LO", "ACME VOLUME")
        .keep(0x00291010, "OB", b"\x00\x01VOLUME\xff\xfe")
        .keep(SOP_CLASS, "UI", sop_class)
        .must({"00020002": (sop_class,)})
    )


def private_classes() -> Iterator[QuirkFile]:
    for label, sop_class in (
        ("siemens-csa", "1.3.12.2.1107.5.9.1"),
        ("philips", "1.3.46.670589.11.0.0.12.1"),
        ("tomtec", "1.2.276.0.19.1.1.1.1"),
        ("ge", "1.2.840.113619.4.27"),
    ):
        yield opaque(f"I13-private-class-{label}", sop_class).file()


def retired_classes() -> Iterator[QuirkFile]:
    for label, sop_class in (
        ("ultrasound", "1.2.840.10008.5.1.4.1.1.6"),
        ("ultrasound-multi-frame", "1.2.840.10008.5.1.4.1.1.3"),
        ("nuclear-medicine", "1.2.840.10008.5.1.4.1.1.5"),
    ):
        yield image(f"I14-retired-{label}", sop_class=sop_class).keep(SOP_CLASS, "UI", sop_class).file()
    for label, sop_class in (
        ("text-sr-trial", "1.2.840.10008.5.1.4.1.1.88.1"),
        ("standalone-overlay", "1.2.840.10008.5.1.4.1.1.8"),
        ("standalone-curve", "1.2.840.10008.5.1.4.1.1.9"),
    ):
        yield opaque(f"I14-retired-{label}", sop_class).file()


def references_to_renamed() -> Iterator[QuirkFile]:
    """References to a UID that strict peers do not take: kept alike everywhere, so that one map can rename all."""
    odd = "1.2.ACME.15"
    start = image("I15-references-to-an-illegal-uid").keep(SOP_INSTANCE, "UI", odd).keep(0x00200052, "UI", odd + ".1")
    reference: Fields = ((REFERENCED_CLASS, "UI", CT), (REFERENCED_INSTANCE, "UI", odd))
    tree: Fields = ((0x0040A010, "CS", "CONTAINS"), (0x0040A040, "CS", "IMAGE"), (0x00081199, "SQ", [reference]))
    raw = odd.encode() + b"\0" * (len(odd) & 1)
    yield (
        start.put(SOURCE_IMAGES, "SQ", [reference])
        .put(0x0040A730, "SQ", [tree])
        .keep_at("00082112[0].00081155", raw)
        .keep_at("0040A730[0].00081199[0].00081155", raw)
        .file()
    )


ENTRIES: Final[Mapping[str, Maker]] = {
    "I01": leading_zero,
    "I02": illegal_uids,
    "I03": padded_with_space,
    "I04": missing_uids,
    "I05": two_tellings,
    "I06": class_missing,
    "I07": same_uid_other_octets,
    "I08": same_uid_other_parents,
    "I09": without_issuer,
    "I10": padded_patient_ids,
    "I11": empty_identification,
    "I12": same_study_id,
    "I13": private_classes,
    "I14": retired_classes,
    "I15": references_to_renamed,
}
"""Catalogue entry to the function that makes its files."""
