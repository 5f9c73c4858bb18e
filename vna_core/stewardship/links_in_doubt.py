"""Links that a rule made of demographics which are not equal any more: listed for somebody to look at, and in force until they are taken back.

A later message of patient administration may correct a name as well as tell that two IDs were never one person. Which of the two it is, no rule can tell, and images that vanish from a patient's list
without anybody having decided that are worse than a link that is looked at late.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vna_core.catalogue import Catalogue
from vna_core.domain.identity import LinkOrigin, PatientLink

FIELDS: Final = ("name", "birth-date", "sex")
_EQUAL: Final = "equal "


@dataclass(frozen=True, slots=True)
class LinkInDoubt:
    """A link in force, and in which of the demographics it was made of its two IDs differ now (`FIELDS`)."""

    link: PatientLink
    differs: tuple[str, ...]


def basis_text(fields: Sequence[str]) -> str:
    """The reason that a rule gives for a link."""
    return f"{_EQUAL}{', '.join(fields)}"


def _basis_of(link: PatientLink) -> tuple[str, ...]:
    """The inverse of `basis_text`; empty for what no rule linked."""
    if link.origin is not LinkOrigin.RULE or not link.reason.startswith(_EQUAL):
        return ()
    said = link.reason.removeprefix(_EQUAL).split(", ")
    return tuple(name for name in FIELDS if name in said)


def doubtful(catalogue: Catalogue, links: Iterable[PatientLink]) -> Iterator[LinkInDoubt]:
    """Those of some links that are in force and whose basis has changed. Where nothing is known of an ID any more, nothing has."""
    for link in links:
        fields = _basis_of(link) if link.in_force else ()
        differs = catalogue.identity.differing(link.first, link.second, fields) if fields else ()
        if differs:
            yield LinkInDoubt(link, differs)


def links_in_doubt(catalogue: Catalogue) -> Iterator[LinkInDoubt]:
    """All of them, in the order in which they were made."""
    after = 0
    while page := catalogue.identity.listed(after=after):
        after = page[-1].id
        yield from doubtful(catalogue, page)
