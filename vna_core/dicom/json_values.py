"""Values as they stand in DICOM JSON (PS3.18 annex F.2), as text."""

from __future__ import annotations

from typing import Final

COMPONENT_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
"""Members of a person's name, in the order in which its text has them (PS3.5 section 6.2)."""


def value_text(value: object) -> str:
    """One value as text: a person's name as its component groups joined with ``=``, null as an empty text.

    >>> value_text({"Alphabetic": "Yamada^Tarou", "Phonetic": "やまだ^たろう"}), value_text(None), value_text(512)
    ('Yamada^Tarou==やまだ^たろう', '', '512')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "=".join(str(value.get(group, "")) for group in COMPONENT_GROUPS).rstrip("=")
    return "" if value is None else str(value)
