"""The section ``federation``: archives that are asked together with this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator

from vna_core.configuration.section import AeTitle, Section
from vna_core.domain.corrections import CorrectionKind

_NOTES: Final = frozenset((CorrectionKind.REJECT, CorrectionKind.DELETE, CorrectionKind.EXPIRE))
TOLD_BY: Final[Mapping[str, frozenset[CorrectionKind]]] = {
    "vna+http": frozenset(CorrectionKind),
    "vna+https": frozenset(CorrectionKind),
    "mllp": frozenset((CorrectionKind.MERGE,)),
    "mllps": frozenset((CorrectionKind.MERGE,)),
    "dimse": _NOTES,
    "dimses": _NOTES,
    "dicomweb+http": _NOTES,
    "dicomweb+https": _NOTES,
}
"""What can be told by which kind of address."""


def told_at(corrections: Mapping[Any, str], kind: CorrectionKind) -> SplitResult | None:
    """Where corrections of a kind are told; None: nowhere. Raises ValueError for an address that is none, or takes no such corrections."""
    url = corrections.get(kind.value, "")
    if not url and kind is not CorrectionKind.EXPIRE:
        url = corrections.get("all", "")
    if not url:
        return None
    try:
        address = urlsplit(url)
        port = address.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no address") from error
    kinds = TOLD_BY.get(address.scheme)
    if kinds is None:
        raise ValueError(
            f"{url!r}: corrections are told to an address that begins with {', '.join(f'{one}:' for one in TOLD_BY)}"
        )
    if kind not in kinds:
        raise ValueError(f"{kind.value} cannot be told to {url!r}: {address.scheme} takes {', '.join(sorted(kinds))}")
    if not address.hostname or (port is None and address.scheme in ("mllp", "mllps", "dimse", "dimses")):
        raise ValueError(f"{url!r} names no {'port' if address.hostname else 'host'}")
    return address


class MemberSettings(Section):
    """One archive that takes part."""

    url: str = Field(
        description="Where it is, as for a migration: `dicomweb+http://HOST/dicom-web`, `dimse://TITLE@HOST:PORT`, `orthanc+http://HOST`; with TLS `dicomweb+https`, `dimses`, `orthanc+https`."
    )
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the adapter.")
    department: str = Field("", description="Department it belongs to; shown, and decided on by departments' rights.")
    issuer: str = Field("", description="Assigning authority of Patient IDs that it answers without one.")
    only_issuer: bool = Field(
        False,
        description="It holds nothing of other issuers: questions about their Patient IDs are not sent to it.",
    )
    aet: str = Field(
        "",
        description="Title under which it calls us: what it asks is answered from here alone, so that no question goes in circles.",
    )
    deadline: float = Field(0.0, ge=0, description="Seconds it may take for a query; 0: as long as the whole answer may take.")
    priority: int = Field(50, ge=0, le=1000, description="Smaller is preferred when several hold the same.")
    allow: tuple[Literal["query", "retrieve"], ...] = Field(("query", "retrieve"), description="What it may be asked for.")
    corrections: dict[Literal["all", "merge", "move", "reject", "delete", "expire"], str] = Field(
        default_factory=dict,
        description="Kind of correction to where it is told: `vna+http://HOST:PORT` (another of these archives, any kind), `mllp://HOST:PORT` (merge), `dimse://TITLE@HOST:PORT` or `dicomweb+http://HOST/ROOT` (reject, delete, expire, as rejection notes); with TLS `vna+https`, `mllps`, `dimses` and `dicomweb+https`, by the section `tls`. `all` stands for every kind but `expire`.",
    )
    corrections_token: str = Field("", description="Bearer token for `vna+http` and `dicomweb+http` addresses of corrections.")
    concurrency: int = Field(
        4, ge=1, le=64, description="Questions and retrievals at once per process; further ones are not sent."
    )
    rows: int = Field(
        5000, ge=1, description="Most answers taken from it for one query; what is more is told as a partial answer."
    )

    @field_validator("corrections")
    @classmethod
    def _can_be_told(cls, corrections: dict[str, str]) -> dict[str, str]:
        for kind in CorrectionKind:
            told_at(corrections, kind)
        return corrections


def told_kinds(members: Mapping[str, MemberSettings]) -> dict[str, frozenset[CorrectionKind]]:
    """Members that are told corrections, each with the kinds that it takes."""
    every = frozenset(CorrectionKind) - {CorrectionKind.EXPIRE}
    return {
        name: frozenset(CorrectionKind(kind) for kind in one.corrections if kind != "all")
        | (every if "all" in one.corrections else frozenset())
        for name, one in members.items()
        if one.corrections
    }


def departments_by_issuer(members: Mapping[str, MemberSettings]) -> dict[str, frozenset[str]]:
    """Issuer to the departments of the members whose IDs are of it."""
    found: dict[str, frozenset[str]] = {}
    for one in members.values():
        found[one.issuer] = found.get(one.issuer, frozenset()) | {one.department}
    return found


class FederationSettings(Section):
    """Archives that are asked together with this one."""

    members: dict[str, MemberSettings] = Field(default_factory=dict, description="Name to member.")
    aet: AeTitle = Field("FEDERATED", description="Called AE title under which DIMSE questions go to all members.")
    deadline: float = Field(5.0, gt=0, description="Seconds after which a query is answered with what has come.")
    retrieve_deadline: float = Field(600.0, gt=0, description="Seconds a retrieval may take.")
    stall: float = Field(3.0, gt=0, description="Seconds without an instance after which a second member is asked for the rest.")
    write_through: bool = Field(False, description="Keep what is retrieved from members in this archive for good.")
    keep: float = Field(3600.0, ge=60, description="Seconds for which it is kept otherwise, to be served again without asking.")
    negative: float = Field(
        30.0, ge=0, description="Seconds for which a member's answer that it does not hold a study is believed."
    )
    snapshot: float = Field(600.0, ge=10, description="Seconds for which the pages of one answer stay the same.")
    failures: int = Field(3, ge=1, description="Failures in a row after which a member is left alone for a while.")
    pause: float = Field(30.0, gt=0, description="Seconds for which it is left alone; then one question tries it again.")
