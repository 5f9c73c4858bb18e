"""The section ``corrections``: what is done about rejection notes that arrive."""

from __future__ import annotations

from pydantic import Field

from vna_core.configuration.section import Section


class CorrectionsSettings(Section):
    """Rejection notes (IHE IOCM) that arrive."""

    rejection_notes: bool = Field(
        True,
        description="An arriving rejection note hides what it names, as far as its sender may correct; false: it is stored like any other object.",
    )
    show_quality: bool = Field(
        False,
        description="What is rejected for quality reasons stays visible, as IHE IOCM allows; the other reasons always hide.",
    )
