"""Who asks, for what, and how much of the archive the answer may come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Action(StrEnum):
    """What somebody may be allowed to do. The first five are done to instances, the others to the archive."""

    QUERY = "query"
    RETRIEVE = "retrieve"
    STORE = "store"
    CORRECT = "correct"
    DELETE = "delete"
    ADMINISTER = "administer"
    MONITOR = "monitor"


class PrincipalKind(StrEnum):
    """How somebody was recognized. The name of a principal means something only together with it."""

    TOKEN = "token"
    AE_TITLE = "ae-title"
    ANONYMOUS = "anonymous"
    LOCAL = "local"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who asks.

    Attributes
    ----------
    kind
        What proved who it is: a bearer token or a certificate in its stead, an AE title together with its address, the local command line, nothing, or the
        subject of an identity provider.
    address
        Network address it came from; empty for the local command line.
    """

    kind: PrincipalKind
    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the archive that an answer may come from.

    Attributes
    ----------
    labels
        Departments and collections, of which an instance must have at least one; None: everything, also what has none.
    """

    labels: frozenset[str] | None

    @property
    def is_everything(self) -> bool:
        return self.labels is None

    @property
    def is_nothing(self) -> bool:
        return self.labels is not None and not self.labels

    def __or__(self, other: Scope) -> Scope:
        """What an instance must fulfil for one of them."""
        if self.labels is None or other.labels is None:
            return EVERYTHING
        return Scope(self.labels | other.labels)

    @property
    def text(self) -> str:
        """The labels between semicolons, in order; none of them contains one."""
        return f";{';'.join(sorted(self.labels or ()))};"


EVERYTHING: Final = Scope(None)
NOTHING: Final = Scope(frozenset())

ANONYMOUS: Final = "anonymous"
"""Name of whoever asks over HTTP while no tokens are configured."""
