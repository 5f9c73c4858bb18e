"""Settings of the audit trail."""

from __future__ import annotations

from pydantic import Field

from vna_core.configuration.section import Section


class AuditSettings(Section):
    """The audit trail: who did what (PS3.15 A.5), in the folder `audit` of the data folder."""

    enabled: bool = Field(True, description="Whether events are recorded.")
    site: str = Field("", description="Audit Enterprise Site ID in the records.")
    segment_size: int = Field(
        64 << 20, ge=1 << 12, description="Octets after which a new file begins; the full one is copied to the store."
    )
    anchor_interval: float = Field(
        600.0, gt=0, description="Seconds between the notes in the store by which truncation is found."
    )
