"""The section ``cutover``: answering for a source whose studies are still being moved."""

from __future__ import annotations

from pydantic import Field

from vna_core.configuration.section import Section


class CutOverSettings(Section):
    """Answering for a source whose studies are still being moved."""

    automatic: bool = Field(
        True,
        description="Answer for a campaign's whole source from the end of its first inventory on, unless `vna migrate cutover` "
        "says otherwise for it.",
    )
    wait_dimse: float = Field(
        900.0, ge=0, description="Seconds that C-MOVE and C-GET wait for a study to be fetched before what is missing fails."
    )
    wait_web: float = Field(
        60.0, ge=0, description="Seconds that WADO-RS waits for a study to be fetched before it answers 503 with Retry-After."
    )
    retry_after: int = Field(10, ge=1, description="Seconds after which a web client is asked to come again.")
    rest: float = Field(
        300.0, ge=0, description="Seconds in which a study that the source could not deliver whole is not asked for again."
    )
    studies: int = Field(500, ge=1, description="Most studies that one retrieval may have fetched.")
