"""Which stored or converted form of an instance answers what a client accepts (PS3.18 section 8.7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vna_core.access.transcode import Transcoder
from vna_core.dicom.codestream import EXPLICIT_LITTLE
from vna_core.domain.errors import UnsupportedMediaType
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dicomweb.media_types import DICOM, MediaRange, Wanted, wanted_forms


def object_form(accept: Sequence[MediaRange], packagings: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Packaging and acceptable transfer syntaxes, best first, for whole objects.

    Raises UnsupportedMediaType when no acceptable form is one of `packagings` holding ``application/dicom``.
    """
    usable = [form for form in wanted_forms(accept) if form.packaging in packagings and form.media_type in (DICOM, "*/*")]
    if not usable:
        raise UnsupportedMediaType("Objects are served as application/dicom.", offered=_offered(packagings))
    packaging = usable[0].packaging
    return packaging, tuple(dict.fromkeys(form.transfer_syntax_uid for form in usable if form.packaging == packaging))


def _offered(packagings: Sequence[str]) -> list[str]:
    names = {"multipart": 'multipart/related; type="application/dicom"', "single": DICOM, "zip": "application/zip"}
    return [names[packaging] for packaging in packagings]


def transfer_syntax_of(held: HeldInstance, acceptable: Iterable[str], transcoder: Transcoder) -> str:
    """The transfer syntax in which an instance is served.

    The stored one wherever it is acceptable. A range without the parameter means Explicit VR Little Endian, and the stored
    form for what cannot be converted to that (video, private codecs).

    Raises UnsupportedMediaType when no acceptable transfer syntax can be made.
    """
    acceptable = tuple(acceptable)
    if "*" in acceptable or held.transfer_syntax_uid in acceptable:
        return held.transfer_syntax_uid
    for syntax in acceptable:
        target = syntax or EXPLICIT_LITTLE
        if transcoder.can(held, target):
            return target
        if not syntax:
            return held.transfer_syntax_uid
    raise UnsupportedMediaType(
        "The instance cannot be converted to an acceptable transfer syntax.", stored=held.transfer_syntax_uid
    )


def adapted_transfer_syntax(held: HeldInstance, acceptable: Sequence[str], allowed: Sequence[str]) -> str:
    """The transfer syntax for a receiver whose profile allows some: the first allowed one that is acceptable.

    A range without the parameter means Explicit VR Little Endian where that is allowed, else whatever the profile says.

    Raises UnsupportedMediaType when nothing allowed is acceptable.
    """
    for syntax in acceptable:
        if syntax == "" and EXPLICIT_LITTLE in allowed:
            return EXPLICIT_LITTLE
        found = next((one for one in allowed if syntax in ("", "*", one)), None)
        if found is not None:
            return found
    raise UnsupportedMediaType(
        "No acceptable transfer syntax is one that the client's egress profile allows.", stored=held.transfer_syntax_uid
    )


def frame_forms(accept: Sequence[MediaRange], packagings: Sequence[str]) -> list[Wanted]:
    """Acceptable forms of frames, best first. Raises UnsupportedMediaType when there is none of `packagings`."""
    forms = [form for form in wanted_forms(accept) if form.packaging in packagings]
    if not forms:
        raise UnsupportedMediaType("Frames are served as multipart/related.")
    return forms
