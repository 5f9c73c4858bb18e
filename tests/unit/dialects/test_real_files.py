"""The same on real files, compared with pydicom's reading of them."""

from __future__ import annotations

from pathlib import Path

import numpy
import pydicom
import pytest

from tests.unit.dialects.instances import CORPUS, read, seen
from tests.unit.dialects.test_elscint import one_by_one
from vna_core.dicom.instance_facts import InstanceFacts

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus folder is not here (set VNA_CORPUS)")
ORTHANC, FO = CORPUS / "orthanc-tests" / "Database", CORPUS / "fo-dicom" / "Tests" / "FO-DICOM.Tests" / "Test_Data"


def present(path: Path) -> bytes:
    if not path.is_file():
        pytest.skip(f"{path.name} is not in the corpus")
    return path.read_bytes()


def test_a_ct_slice_that_has_its_pixels_in_a_private_element() -> None:
    path = ORTHANC / "2020-09-12-ELSCINT1-PMSCT_RLE1.dcm"
    told = seen(present(path))
    data_set = pydicom.dcmread(path)
    assert "PixelData" not in data_set
    derived = told.derived
    assert derived is not None
    assert (derived.rows, derived.columns, derived.bits_stored, derived.high_bit) == (512, 512, 12, 11)
    assert derived.samples == one_by_one(data_set[0x07A1, 0x100A].value, 512 * 512)
    samples = numpy.frombuffer(derived.samples, "<u2").reshape(512, 512).astype(int)
    assert samples.max() < 4096, "more than the 12 bits that are stored"
    assert numpy.median(numpy.abs(numpy.diff(samples))) < 12, "no picture: neighbours have nothing to do with each other"
    assert samples[:40, :40].mean() < 100 and samples[280:330, 160:200].mean() > 700, "air is not dark or the patient not bright"


def test_its_sibling_that_was_decoded_already() -> None:
    told = seen(present(ORTHANC / "2020-09-11-Christopher-ELSCINT1-Raw.dcm"))
    assert told.derived is None
    assert told.messages("P20") == ["Compression type PMSCT_RLE1 is told, but there is Pixel Data: nothing is decoded."]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_pair_before_and_after_an_agfa_archive(number: int) -> None:
    before, after = (CORPUS / "dcm_qa_agfa" / folder / f"011-000{number}.img" for folder in ("Siemens", "Agfa"))
    assert "agfa" not in seen(present(before)).recognized
    told = seen(present(after))
    assert {"agfa", "siemens"} == set(told.recognized)
    assert told.paths("E31") == ["52009230[0].00210010"]


def test_that_pair_is_equal_when_addressed_by_creator() -> None:
    folder = CORPUS / "dcm_qa_agfa"
    one, other = (InstanceFacts(*read(present(folder / name / "011-0001.img"))) for name in ("Siemens", "Agfa"))
    compared = 0
    for frame in range(one.length("52009230")):
        paths = [facts.private("SIEMENS MR SDI 02", 0xFE, group=0x21, within=f"52009230[{frame}]") for facts in (one, other)]
        assert paths == [f"52009230[{frame}].002111FE", f"52009230[{frame}].002110FE"]
        for low in range(0x100):
            left, right = (
                facts.private("SIEMENS MR SDI 02", low, group=0x21, within=f"{path}[0]")
                for facts, path in zip((one, other), paths, strict=True)
            )
            assert bool(left) == bool(right)
            assert one.values(left) == other.values(right)
            compared += bool(left)
    assert compared > 100


@pytest.mark.parametrize("name", ["12bitUnsigned.dcm", "12bitUnsigned_0x0F0F.dcm", "12bitSigned_0x0F0F.dcm"])
def test_siemens_mosaics(name: str) -> None:
    told = seen(present(CORPUS / "dcm_qa_12bit" / "In" / name))
    assert told.messages("P29")[0] == "Mosaic: 35 slices of 64 rows and 64 columns in a grid of 6 by 6. Kept as one image."
    assert told.paths("P29") == ["00080008", "00291010", "00291020"]


def test_philips_scalings() -> None:
    path = CORPUS / "dcm_qa_enh" / "In" / "Philips" / "IM_0027_fMAP.dcm"
    told = seen(present(path))
    named = told.messages("V02")[0]
    for frame in pydicom.dcmread(path, stop_before_pixels=True).PerFrameFunctionalGroupsSequence:
        private = frame[0x2005, 0x140F].value[0]
        assert str(private[0x2005, 0x100E].value) in named
        assert str(frame.PixelValueTransformationSequence[0].RescaleSlope) in named
    assert told.paths("P31") == ["52009230[0].2005140F[0].00200032"]


def test_an_acr_nema_object() -> None:
    told = seen(present(FO / "GH340.dcm"))
    assert told.recognized["acr-nema"].certainty > 0.98
    assert "Samples of 12 bits are packed across octets: kept as they are." in told.messages("F05")


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (ORTHANC / "SignedCT.dcm", "ge"),
        (FO / "GH184.dcm", "agfa"),
        (ORTHANC / "Issue19.dcm", "ultrasound"),
        (ORTHANC / "Issue16.dcm", "ultrasound"),
        (ORTHANC / "TransferSyntaxes" / "1.2.840.10008.1.2.4.51.dcm", "canon"),
        (ORTHANC / "Issue22-NoPixelData.dcm", "philips"),
        (FO / "GH223.dcm", "elscint"),
        (ORTHANC / "TransferSyntaxes" / "1.2.840.10008.1.2.dcm", "siemens"),
    ],
    ids=lambda one: one.name if isinstance(one, Path) else one,
)
def test_products_are_recognized(path: Path, dialect: str) -> None:
    assert dialect in seen(present(path)).recognized


@pytest.mark.parametrize("name", ["GH355.dcm", "GH220.dcm"])
def test_private_sop_classes(name: str) -> None:
    folder = FO if (FO / name).is_file() else CORPUS / "fo-dicom" / "Tests" / "FO-DICOM.Benchmark" / "Data"
    told = seen(present(folder / name))
    assert told.paths("I13") == ["00080016"]
    assert "philips" in told.recognized


def test_nobody_is_taken_for_what_he_is_not() -> None:
    for path in sorted(CORPUS.rglob("*")):
        if "Canon Inc." in (manufacturer := _manufacturer(path)):
            assert "canon" not in seen(path.read_bytes()).recognized
        if manufacturer.startswith(("FUJI", "HITACHI", "KONICA", "Acme", "MINDRAY", "HOLOGIC")):
            assert seen(path.read_bytes()).recognized == {}, path.name


def _manufacturer(path: Path) -> str:
    try:
        return str(pydicom.dcmread(path, specific_tags=["Manufacturer"]).get("Manufacturer", ""))
    except Exception:  # noqa: BLE001 - what pydicom cannot read is not this test's business
        return ""
