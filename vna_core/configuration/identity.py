"""Settings of patient identity and of the HL7 feed from patient administration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vna_core.configuration.section import Section


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class IdentitySettings(Section):
    """Cross-reference of issuer-qualified Patient IDs."""

    expand_queries: bool = Field(
        False,
        description="A Patient ID also finds the patients linked with it, and merged ones are shown under the ID that stays, in questions to this archive alone; the federation always does so for IDs with issuer.",
    )
    match: Annotated[tuple[Literal["name", "birth-date", "sex"], ...], BeforeValidator(_listed)] = Field(
        (),
        description="Demographics that must be equal and present for `vna patient match` and the feed to link IDs of two issuers; empty: no rule.",
    )


class Hl7Settings(Section):
    """HL7 v2 ADT feed over MLLP: A01, A04, A08 (update), A40 (merge), A47 (change of ID)."""

    host: str = Field("127.0.0.1", description="Address to listen on. Other than loopback needs `senders`.")
    port: int | None = Field(None, ge=0, le=65535, description="Port to listen on; absent: no listener.")
    senders: tuple[str, ...] = Field((), description="Addresses that may send; empty: any that reaches the port.")
    issuers: dict[str, str] = Field(
        default_factory=dict, description="Assigning authority in messages (PID-3.4) to issuer of Patient ID in the archive."
    )
    issuer: str = Field("", description="Issuer of Patient IDs in messages that name none.")
    max_message: int = Field(1 << 20, ge=1 << 10, le=64 << 20, description="Largest message in octets.")
    max_connections: int = Field(16, ge=1, le=1024, description="Connections at once.")
    idle_timeout: float = Field(3600.0, gt=0, description="Seconds a connection may be silent.")
