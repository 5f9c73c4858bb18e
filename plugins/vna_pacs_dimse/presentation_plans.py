"""Which presentation contexts to offer for C-GET: at most 128 an association, and a source sends only what it finds offered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from vna_core.domain.data_dictionary import UIDS
from vna_pacs_dimse.transfer_syntaxes import NATIVE, PROPOSED

Context = tuple[str, tuple[str, ...]]
ROOM: Final = 127
"""Contexts for storage classes in one association; the last one is for C-GET itself."""

_LIKELY: Final = {
    "CT": ("CT Image", "Enhanced CT Image"),
    "MR": ("MR Image", "Enhanced MR Image", "MR Spectroscopy"),
    "US": ("Ultrasound Image", "Ultrasound Multi-frame Image", "Enhanced US Volume"),
    "XA": ("X-Ray Angiographic Image", "Enhanced XA Image"),
    "RF": ("X-Ray Radiofluoroscopic Image", "Enhanced XRF Image"),
    "CR": ("Computed Radiography Image", "Digital X-Ray Image Storage - For Presentation"),
    "DX": ("Digital X-Ray Image Storage - For Presentation", "Digital X-Ray Image Storage - For Processing"),
    "MG": ("Digital Mammography X-Ray Image Storage - For Presentation", "Breast Tomosynthesis"),
    "NM": ("Nuclear Medicine Image",),
    "PT": ("Positron Emission Tomography Image", "Enhanced PET"),
    "SM": ("VL Whole Slide Microscopy Image",),
    "ES": ("VL Endoscopic Image", "Video Endoscopic"),
    "XC": ("VL Photographic Image", "Video Photographic"),
    "GM": ("VL Microscopic Image",),
    "OP": ("Ophthalmic Photography",),
    "IVUS": ("Ultrasound Multi-frame Image",),
}
_ALWAYS: Final = (
    "Secondary Capture Image",
    "Multi-frame True Color Secondary Capture",
    "Multi-frame Grayscale Byte Secondary Capture",
    "Multi-frame Grayscale Word Secondary Capture",
    "Ultrasound Multi-frame Image",
    "Ultrasound Image",
)
_COMPRESSED: Final = tuple(uid for uid in PROPOSED if uid not in NATIVE)
_COMMON: Final = tuple("1.2.840.10008.1.2.4." + end for end in ("50", "51", "57", "70", "80", "81", "90", "91")) + (
    "1.2.840.10008.1.2.5",
)


@lru_cache(maxsize=1)
def storage_classes() -> dict[str, str]:
    """Storage SOP classes of the standard by UID, current ones first."""
    found = {
        uid: (entry[0], bool(entry[3]))
        for uid, entry in UIDS.items()
        if entry[1] == "SOP Class" and "Storage" in entry[0] and not entry[0].startswith("Storage Commitment")
    }
    return {uid: name for uid, (name, _) in sorted(found.items(), key=lambda one: (one[1][1], one[0]))}


def known_plans(classes: Sequence[str]) -> list[list[Context]]:
    """For classes the source has named: every transfer syntax in a context of its own, so that nothing has to be converted."""
    room = ROOM // len(PROPOSED)
    groups = [classes[at : at + room] for at in range(0, len(classes), room)]
    return [[(uid, (syntax,)) for uid in group for syntax in PROPOSED] for group in groups]


def unknown_plans(modalities: Sequence[str]) -> Iterator[list[Context]]:
    """For sources that do not name classes: every class once, then compressed syntaxes for the likely classes, then for all."""
    classes = list(storage_classes())
    for at in range(0, len(classes), ROOM):
        yield [(uid, PROPOSED) for uid in classes[at : at + ROOM]]
    likely = _named([*(name for modality in modalities for name in _LIKELY.get(modality, ())), *_ALWAYS])
    yield from _compressed(likely, _COMMON)
    yield from _compressed([uid for uid in classes if uid not in likely], _COMMON)
    yield from _compressed(classes, tuple(uid for uid in _COMPRESSED if uid not in _COMMON))


def _named(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(uid for wanted in names for uid, name in storage_classes().items() if name.startswith(wanted)))


def _compressed(classes: Sequence[str], syntaxes: Sequence[str]) -> Iterator[list[Context]]:
    contexts: list[Context] = [(uid, (syntax,)) for uid in classes for syntax in syntaxes]
    for at in range(0, len(contexts), ROOM):
        yield contexts[at : at + ROOM]
