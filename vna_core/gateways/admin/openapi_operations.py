"""What each operation of the OpenAPI description says beside its path: its sentence, parameters, body and answers, by the name of its route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

JSON: Final = ("application/json",)
DICOM_JSON: Final = ("application/dicom+json", "application/json")
OCTETS: Final = ("application/octet-stream",)
MULTIPART: Final = ("multipart/related",)
PICTURES: Final = ("image/jpeg", "image/png")
FRAMES: Final = ("multipart/related", "application/octet-stream", "image/*", "video/*")
WADL: Final = ("application/vnd.sun.wadl+xml",)

Types = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a route.

    Attributes
    ----------
    summary
        Empty: the first sentence of the handler's own description.
    answers
        Media types of answers that are no errors, by status.
    errors
        Statuses of errors that whoever asks has to expect, beside those that every route may have.
    query
        Query parameters with what they say; all may be left out, but those in `needed`.
    body
        Media types of the request's body; none: it has no body.
    ranges
        Whether a Range field is heeded.
    """

    summary: str = ""
    answers: Mapping[int, Types] = field(default_factory=lambda: {200: JSON})
    errors: tuple[int, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    body: Types = ()
    ranges: bool = False


EVERYWHERE: Final[Mapping[int, str]] = {
    400: "The request cannot be meant.",
    401: "It is not known who asks.",
    403: "Whoever asks may not do this.",
    503: "Not now: ask again after `Retry-After` seconds.",
}
"""Errors that every route may have."""
MEANINGS: Final[Mapping[int, str]] = {
    **EVERYWHERE,
    200: "The answer.",
    201: "It is in force.",
    202: "Accepted, not all of it.",
    206: "The range that was asked for.",
    404: "Nothing of it is held.",
    406: "None of the acceptable media types can be made, or the image cannot be decoded for them.",
    408: "The body came too slowly.",
    409: "It conflicts with what is held.",
    410: "It was deleted.",
    413: "A limit was hit: `limit` and `maximum` say which.",
    415: "The body is of a media type that is not taken.",
    416: "The range lies outside the value.",
    500: "A stored copy cannot be read.",
    502: "Another archive did not deliver everything.",
    504: "Another archive does not answer.",
}

_ACCEPT: Final = {"accept": "Acceptable media types; goes before the Accept field (PS3.18 8.3.3.1)."}
_DIGEST: Final = {"sha256": "Digest, or its first 8 digits or more, of one of several instances or versions under the UIDs."}
GLASS: Final = {"break-glass": "Reason for opening all departments in an emergency."}
_PAGE: Final = {"limit": "Most entries of the page, 1 to 1000.", "after": "`next` of the page before."}
_SEARCH: Final = {
    **_ACCEPT,
    "limit": "Most rows of the page.",
    "offset": "Rows before the page.",
    "includefield": "Keywords or tags to return, or `all`; may be repeated.",
    "fuzzymatching": "`true`: names match by how they sound.",
    "emptyvaluematching": '`true`: `""` matches empty values.',
    "multiplevaluematching": "`true`: values between backslashes match any of them.",
    "{attribute}": "Any keyword or tag, or a path through sequences with dots between: what it has to match.",
}
_RENDERING: Final = {
    **_ACCEPT,
    "window": "center,width,function with linear, linear-exact or sigmoid.",
    "viewport": "width,height or width,height,x,y,width,height.",
    "quality": "1 to 100, of JPEG.",
    **_DIGEST,
}
_VERSION: Final = {
    "version": "Number of the version, from 1.",
    "study": "Study Instance UID, where the UID is in several.",
    "sha256": "Digest of the canonical object or as received, or its first 8 digits or more.",
}
_REASON: Final = {"reason": "Why; it is recorded."}

_SEARCHING: Final = Operation(answers={200: DICOM_JSON}, errors=(406,), query=_SEARCH)
_WADO: Final = Operation(errors=(404, 406, 500, 502, 504), query=_ACCEPT | _DIGEST)
_STORING: Final = Operation(
    answers={200: DICOM_JSON[:1], 202: DICOM_JSON[:1], 409: DICOM_JSON[:1]},
    errors=(406, 408, 413, 415),
    query=_ACCEPT,
    body=("multipart/related", "application/dicom"),
)
_METADATA: Final = replace(_WADO, summary="WADO-RS: metadata of a study, series or instance.", answers={200: DICOM_JSON})
_OBJECTS: Final = replace(
    _WADO,
    summary="WADO-RS: objects of a study or series, as multipart or ZIP.",
    answers={200: ("multipart/related", "application/zip")},
)
_RENDERED: Final = replace(
    _WADO,
    summary="WADO-RS: a picture of a study, series, instance or frames, or several as parts of a multipart answer.",
    answers={200: (*MULTIPART, *PICTURES)},
    errors=(*_WADO.errors, 413),
    query=_RENDERING,
)
_THUMBNAIL: Final = replace(
    _WADO,
    summary="WADO-RS: one small picture; of a study or series that of the image in its middle.",
    answers={200: PICTURES},
    query=_RENDERING,
)
_CAPABILITIES: Final = Operation("Capabilities of the DICOMweb service (WADL).", {200: WADL})
_DELETING: Final = Operation(errors=(404, 409), query=_REASON, needed=frozenset(_REASON))
_REJECTING: Final = Operation(
    errors=(404, 409),
    query=_REASON | {"title": "`quality`, `patient-safety`, `worklist` or `retention` (PS3.16 CID 7011)."},
    needed=frozenset(("reason", "title")),
)

OPERATIONS: Final[Mapping[str, Operation]] = {
    "search-studies": replace(_SEARCHING, summary="QIDO-RS: studies."),
    "search-series": replace(_SEARCHING, summary="QIDO-RS: series of all studies."),
    "search-instances": replace(_SEARCHING, summary="QIDO-RS: instances of all studies."),
    "search-study-series": replace(_SEARCHING, summary="QIDO-RS: series of a study."),
    "search-study-instances": replace(_SEARCHING, summary="QIDO-RS: instances of a study."),
    "search-series-instances": replace(_SEARCHING, summary="QIDO-RS: instances of a series."),
    "store": replace(_STORING, summary="STOW-RS: store instances of any study."),
    "store-in-study": replace(_STORING, summary="STOW-RS: store instances of this study; others fail."),
    "retrieve-study": _OBJECTS,
    "retrieve-series": _OBJECTS,
    "retrieve-instance": replace(
        _WADO,
        summary="WADO-RS: one object, as multipart or the file itself.",
        answers={200: ("multipart/related", "application/dicom")},
    ),
    "retrieve-frames": replace(
        _WADO, summary="WADO-RS: frames of an instance, as multipart or a single one by itself.", answers={200: FRAMES}
    ),
    "bulkdata": replace(
        _WADO,
        summary="WADO-RS: the value of one element, with Range.",
        answers={200: FRAMES, 206: OCTETS},
        errors=(*_WADO.errors, 416),
        ranges=True,
    ),
    **{f"{level}-metadata": _METADATA for level in ("study", "series", "instance")},
    **{f"{level}-rendered": _RENDERED for level in ("study", "series", "instance", "frame")},
    **{f"{level}-thumbnail": _THUMBNAIL for level in ("study", "series", "instance", "frame")},
    "capabilities": _CAPABILITIES,
    "options": _CAPABILITIES,
    "options-root": _CAPABILITIES,
    "zarr": Operation(answers={200: (*JSON, *OCTETS), 206: (*JSON, *OCTETS)}, errors=(404, 416, 500), ranges=True),
    "health": Operation(),
    "readiness": Operation(answers={200: JSON, 503: JSON}),
    "metrics": Operation("Metrics of all processes of this run in the text format of Prometheus.", {200: ("text/plain",)}),
    "statistics": Operation("Patients, studies, series, instances, versions, conflicts, quarantined items and octets."),
    "instance": Operation(
        "Where an instance came from, every change with its rule, warnings, locations, versions.",
        errors=(404, 500),
        query=_VERSION | {"elements": "`true`: also every element that is not as it was received."},
    ),
    "instance-original": Operation(answers={200: OCTETS}, errors=(404, 500), query=_VERSION),
    "instance-versions": Operation("Every version held under a SOP Instance UID.", errors=(404,)),
    "quarantine": Operation(query=_PAGE),
    "quarantine-entry": Operation("One quarantined item: when, from whom, why.", errors=(404,)),
    "quarantine-original": Operation(answers={200: OCTETS}, errors=(404, 500)),
    "placement": Operation(),
    "study-recall": Operation(answers={200: JSON, 202: JSON}, errors=(404,)),
    "conflicts": Operation(query=_PAGE),
    "patient-links-in-doubt": Operation(query=_PAGE),
    **{f"delete-{level}": _DELETING for level in ("study", "series", "instance")},
    **{f"reject-{level}": _REJECTING for level in ("study", "series", "instance")},
    "keep-instance": Operation(errors=(404,), query=_REASON | _VERSION, needed=frozenset(_REASON)),
    "keep-study": Operation(
        errors=(404,),
        query=_REASON | {"which": "`latest` or `first`: of each instance with several versions, the one that came so."},
        needed=frozenset(("reason", "which")),
    ),
    "deletions": Operation(query=_PAGE | {"state": "`hidden`: those that can be taken back."}),
    "deletion": Operation(errors=(404,)),
    "undelete": Operation(errors=(404, 409)),
    "purge": Operation(errors=(404, 409)),
    "holds": Operation(query={"all": "`true`: also those that were released."}),
    "set-hold": Operation(answers={201: JSON}, errors=(404, 408, 413), body=JSON),
    "release-hold": Operation(errors=(404,)),
    "findings": Operation(query=_PAGE),
    "apply-correction": Operation(errors=(404, 408, 409, 413), body=JSON),
    "corrections": Operation(
        query=_PAGE | {"waiting": "`true`: those that somebody has not applied.", "member": "Those of this member."}
    ),
    "correction": Operation(errors=(404,)),
    "retry-correction": Operation(errors=(404,)),
    "openapi": Operation("This interface as an OpenAPI 3.1 document."),
    "federated-members": Operation(),
}
"""By the name of the route; routes of the federation that are not here do the same as those of this archive, for all members."""

_FEDERATED: Final = "federated-"
_TOKEN: Final = {"consistencytoken": "`VNA-Consistency-Token` of the answer whose further pages are wanted."}


def operation_of(name: str) -> Operation:
    """The operation of a route. Raises KeyError for one that is not described."""
    found = OPERATIONS.get(name)
    if found is not None:
        return found
    same = OPERATIONS[name.removeprefix(_FEDERATED)] if name.startswith(_FEDERATED) else OPERATIONS[name]
    said = {**same.query, **_TOKEN} if "offset" in same.query else same.query
    errors = tuple(sorted({*same.errors, *((404, 502) if same.query else ())}))
    return replace(same, summary=f"{same.summary.rstrip('.')}; of all members.", query=said, errors=errors)
