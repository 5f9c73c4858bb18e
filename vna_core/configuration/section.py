"""What every section of the configuration has in common."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

_LONGEST_TITLE: Final = 16


def _ae_title(text: str) -> str:
    is_text = text.isascii() and text.isprintable() and "\\" not in text
    if not is_text or not 1 <= len(text) <= _LONGEST_TITLE or text != text.strip():
        raise ValueError("an AE title has 1 to 16 characters of ASCII, no backslash, and no spaces around it")
    return text


AeTitle = Annotated[str, AfterValidator(_ae_title)]
"""An application entity title (PS3.5 table 6.2-1)."""


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
