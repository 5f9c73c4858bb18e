"""The section ``packs``: settled series become one object each."""

from __future__ import annotations

from pydantic import Field

from vna_core.configuration.section import Section


class PackSettings(Section):
    """Packs: one object for a settled series."""

    seal: bool = Field(
        False, description="Workers seal series that have settled. Without it `vna pack seal` does, when it is called."
    )
    quiet: float = Field(3600.0, ge=0, description="Seconds without an arrival after which a series has settled.")
    minimum_instances: int = Field(2, ge=1, description="Series with fewer loose instances stay loose.")
    minimum_size: int = Field(0, ge=0, description="Series with fewer octets of loose instances stay loose.")
    maximum_size: int = Field(
        4 << 30,
        ge=1 << 20,
        description="Largest pack in octets; longer series become several. A larger instance stays an object of its own.",
    )
    compact_after: int = Field(4, ge=2, description="Packs of one series from which on workers make one of them.")
    removal_delay: float = Field(
        3600.0,
        ge=0,
        description="Seconds after which objects are removed whose content is in a pack: who began to read one can go on.",
    )
    poll: float = Field(60.0, gt=0, description="Seconds between looks for series that got instances.")
