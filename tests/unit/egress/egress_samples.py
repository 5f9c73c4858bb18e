"""Objects with what receivers stumble over, written by pydicom, and a profile's answer read back by it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from tests.unit.ingest.small_archive import SmallArchive
from vna_core.access.egress.outgoing import Egress, Outgoing
from vna_core.access.egress.profiles import EgressProfile
from vna_core.access.transcode import Transcoder
from vna_core.configuration import DecodeSettings
from vna_core.configuration.egress import EgressSettings
from vna_core.domain.instance import HeldInstance

CT = "1.2.840.10008.5.1.4.1.1.2"
PIXELS = np.arange(64 * 64, dtype="<u2").reshape(64, 64)


def image(character_set: str = "ISO_IR 192", syntax: str = ExplicitVRLittleEndian, **values: Any) -> Dataset:
    """A small image with text at two levels, a private block and references."""
    data_set = Dataset()
    data_set.SpecificCharacterSet = character_set.split("\\")
    data_set.ImageType = ["ORIGINAL", "PRIMARY"]
    data_set.SOPClassUID, data_set.SOPInstanceUID = CT, "1.2.3.4.1"
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.0.1"
    data_set.Modality, data_set.PatientID, data_set.PatientName = "CT", "P1", "Müller^Jörg"
    data_set.InstitutionName, data_set.StudyDescription, data_set.AccessionNumber = "Städtisches Klinikum", "Thorax", "A1"
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, "1.2.00.9"
    item.add_new(0x00081080, "LO", "Entzündung")
    data_set.ReferencedImageSequence = Sequence([item])
    block = data_set.private_block(0x0009, "EGRESS TEST", create=True)
    block.add_new(1, "LO", "privat")
    data_set.Rows = data_set.Columns = 64
    data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 16, 16, 15, 0
    data_set.PixelData = PIXELS.tobytes()
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    return data_set


def encapsulated(codestreams: list[bytes], syntax: str, **values: Any) -> Dataset:
    """An image of 8 bits with these codestreams as they are."""
    data_set = image(syntax=syntax, BitsAllocated=8, BitsStored=8, HighBit=7, NumberOfFrames=len(codestreams), **values)
    data_set.PixelData = encapsulate(codestreams)
    data_set["PixelData"].is_undefined_length = True
    return data_set


def octets_of(data_set: Dataset) -> bytes:
    file = io.BytesIO()
    pydicom.dcmwrite(file, data_set, enforce_file_format=True)
    return file.getvalue()


class Receiver:
    """One receiver with a profile, as YAML would give it."""

    def __init__(self, archive: SmallArchive, **profile: Any) -> None:
        settings = EgressSettings.model_validate({"profiles": {"receiver": profile}})
        self.transcoder = Transcoder(DecodeSettings(processes=1))
        self.egress = Egress(settings, archive.retriever, self.transcoder)

    @property
    def profile(self) -> EgressProfile:
        return self.egress.profiles.named("receiver")

    def outgoing(self, held: HeldInstance) -> Outgoing:
        return self.egress.outgoing(held, self.profile)

    def octets(self, held: HeldInstance, syntax: str = "") -> bytes:
        syntax = syntax or next(iter(self.egress.transfer_syntaxes(held, self.profile)), held.transfer_syntax_uid)
        return b"".join(self.outgoing(held).part10(syntax))

    def receives(self, held: HeldInstance, syntax: str = "") -> Dataset:
        """What pydicom reads of the file that goes out."""
        return pydicom.dcmread(io.BytesIO(self.octets(held, syntax)))


def stored_octets(archive: SmallArchive, held: HeldInstance) -> bytes:
    return (archive.data / "store" / held.locations[0].key).read_bytes()
