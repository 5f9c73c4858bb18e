"""What another archive says when it refuses something, made fit for one line: its text is bounded, and may say anything.

It may name patients. So it is read only for whoever keeps it where patients may be named, and is no part of an error's message.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

READ: Final = 4096
"""Octets of an answer that are looked at."""
_LONGEST: Final = 300
"""Characters that are left of it."""
_MARKUP: Final = re.compile(r"<[^<>]*>")
_FAILURES: Final = ("00081198", "00081199")
_FAILURE_REASON: Final = "00081197"


def one_line(text: str) -> str:
    """A text of others without line ends and what a terminal would obey, and not too long."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def said(media_type: str, octets: bytes) -> str:
    """The reason in the body of an answer that refuses; empty where there is none.

    Of an archive like this one its message and code; of a failed STOW-RS its failure reasons (PS3.18 table I.2-2); of others the text.
    """
    kind = media_type.partition(";")[0].strip().lower()
    text = octets[:READ].decode("utf-8", "replace")
    if kind.endswith("json"):
        try:
            document = json.loads(octets)
        except (ValueError, RecursionError):
            document = None
        found = _of_document(document)
        if found:
            return one_line(found)
    elif not kind.startswith("text/"):
        return ""
    return one_line(_MARKUP.sub(" ", text) if kind in ("text/html", "text/xml") else text)


def _of_document(document: Any) -> str:
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return ""
    message, code = document.get("message"), document.get("code")
    if isinstance(message, str) and isinstance(code, str):
        return f"{message} [{code}]"
    for name in ("detail", "title", "Details", "Message", "message", "error"):
        if isinstance(document.get(name), str) and document[name]:
            return str(document[name])
    reasons = [f"{reason:04X}" for reason in _failure_reasons(document)]
    return f"failure reason {', '.join(sorted(set(reasons)))}" if reasons else ""


def _failure_reasons(document: dict[str, Any]) -> list[int]:
    found: list[int] = []
    for tag in _FAILURES:
        sequence = document.get(tag)
        items = sequence.get("Value") if isinstance(sequence, dict) else None
        for item in items if isinstance(items, list) else ():
            reason = item.get(_FAILURE_REASON) if isinstance(item, dict) else None
            values = reason.get("Value") if isinstance(reason, dict) else None
            found += [one for one in values if isinstance(one, int) and 0 <= one <= 0xFFFF] if isinstance(values, list) else []
    return found
