"""Which of the instances and versions under one UID is meant: by version, study, or digest.

A SOP Instance UID is unique by the standard and not in practice. Two departments, or a study that was copied, have it twice, and
both are held; the digest is what tells any two apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.instance import HeldInstance
from vna_core.domain.numbers import whole_number

_DIGEST: Final = re.compile(r"[0-9a-f]{8,64}")
_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Choice:
    """What is known of the version that is meant; what is None may be any.

    Attributes
    ----------
    version
        1-based, as `HeldInstance.version` counts.
    study
        Study Instance UID.
    sha256
        SHA-256 of the canonical object or of the octets as received, in hexadecimal; its first 8 digits or more.
    """

    version: int | None = None
    study: str | None = None
    sha256: str | None = None

    @classmethod
    def of(cls, version: str | None = None, study: str | None = None, sha256: str | None = None) -> Choice:
        """From text as people and programs give it. Raises InvalidRequest."""
        number = None if version is None else whole_number(version, _DIGITS)
        if version is not None and number is None:
            raise InvalidRequest("A version is a whole number.", parameter="version")
        digest = None if sha256 is None else sha256.lower()
        if digest is not None and not _DIGEST.fullmatch(digest):
            raise InvalidRequest("A SHA-256 is 64 hexadecimal digits; its first 8 or more will do.", parameter="sha256")
        return cls(number, study, digest)

    @property
    def is_of_any_version(self) -> bool:
        """Whether it may name a version that is not current."""
        return self.version is not None or self.sha256 is not None

    def among(self, versions: Iterable[HeldInstance]) -> list[HeldInstance]:
        """Those that it may mean, in their order."""
        return [held for held in versions if self._means(held)]

    def one_of(self, versions: Sequence[HeldInstance]) -> HeldInstance:
        """The version that is meant: of several the first that is current. Raises NotFound."""
        if not versions:
            raise NotFound("Nothing is held under this UID.")
        found = self.among(versions)
        if not found:
            raise NotFound("There is no such version.", versions=[held.version for held in versions])
        return next((held for held in found if held.current), found[0])

    def _means(self, held: HeldInstance) -> bool:
        return (
            self.version in (None, held.version)
            and self.study in (None, held.study_instance_uid)
            and (self.sha256 is None or held.sha256.startswith(self.sha256) or held.original_sha256.startswith(self.sha256))
        )
