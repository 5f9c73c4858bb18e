"""What the source does to the octets of an instance on their way out."""

from __future__ import annotations

import random

from vna_core.testing import phantom_writer as write
from vna_core.testing import phantoms
from vna_core.testing.hostile_pacs.population import HostileInstance, HostileStudy


def altered(study: HostileStudy, one: HostileInstance, fault: str, dice: random.Random) -> tuple[bytes, str, str]:
    """Data set, SOP Instance UID said in the command, and what was done."""
    octets, said = study.data_set(one), one.sop_instance_uid
    if fault == "W1":
        fresh = f"2.25.{dice.getrandbits(100)}"
        return _with_uid(octets, said, fresh), fresh, f"now {fresh}"
    if fault == "W14":
        return _illegal(octets), said, "CodeString too long, date no date, no Modality"
    if fault == "W15":
        return _implicit(study, one), said, "implicit in a context that says explicit"
    if fault == "W20":
        flipped = bytearray(octets)
        places = [len(flipped) - 1 - dice.randrange(100) for _ in range(3)]
        for place in places:
            flipped[place] ^= 1 << dice.randrange(8)
        return bytes(flipped), said, f"bits at {sorted(set(places))}"
    return octets, said, ""


def _with_uid(octets: bytes, old: str, new: str) -> bytes:
    before = write.element(0x00080018, "UI", old)
    private = write.element(0x00090010, "LO", "PHANTOM PRIVATE 01") + write.element(0x00091000, "LO", "private 0")
    first = write.element(0x00091001, "LO", "private 1")
    return octets.replace(before, write.element(0x00080018, "UI", new), 1).replace(
        private + first, private + write.element(0x00091001, "LO", old), 1
    )


def _illegal(octets: bytes) -> bytes:
    replaced = {
        write.element(0x00180015, "CS", "CHEST"): write.element(0x00180015, "CS", "CHEST AND ABDOMEN AND HEAD"),
        write.element(0x00080021, "DA", "20260401"): write.element(0x00080021, "DA", "1.4.2026"),
        write.element(0x00080060, "CS", "CT"): b"",
    }
    for before, after in replaced.items():
        octets = octets.replace(before, after, 1)
    return octets


def _implicit(study: HostileStudy, one: HostileInstance) -> bytes:
    named = {
        "SOPInstanceUID": one.sop_instance_uid,
        "SeriesInstanceUID": one.series_instance_uid,
        "StudyInstanceUID": study.study_instance_uid,
        "StudyDate": study.date,
        "PatientID": study.patient_id,
        "PatientName": study.patient_name,
        "AccessionNumber": study.accession,
    }
    elements = phantoms.ct_elements(one.number, 8, 8, **named)
    form = write.Form(explicit=False)
    return write.data_set([*elements, (0x7FE00010, "OW", phantoms.pixels(one.number, 8, 8))], form)
