"""The way out for every face: an instance for one receiver, in the transfer syntax that was agreed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from vna_core.access.egress.adaptation import adapt, adapted_metadata
from vna_core.access.egress.profiles import EgressProfile, EgressProfiles
from vna_core.access.retrieve import Retriever
from vna_core.access.transcode import Retrieves, Transcoder
from vna_core.configuration.egress import EgressSettings
from vna_core.domain.errors import NotAdaptable
from vna_core.domain.instance import HeldInstance


class Streams(Retrieves, Protocol):
    """Gives an instance whole: the retriever, or an adapted instance."""

    def part10(self, held: HeldInstance) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One instance as one receiver gets it.

    Attributes
    ----------
    held
        What is sent: for an adapted instance its own identifiers, SOP class and offsets.
    """

    held: HeldInstance
    source: Streams
    transcoder: Transcoder

    def data_set(self, transfer_syntax_uid: str) -> Iterator[bytes]:
        """The data set alone. Raises UnsupportedMediaType, DecodeError, StorageError."""
        if transfer_syntax_uid == self.held.transfer_syntax_uid:
            return self.source.data_set(self.held)
        return self.transcoder.transcode(self.held, self.source, transfer_syntax_uid)

    def part10(self, transfer_syntax_uid: str) -> Iterator[bytes]:
        """A Part 10 file. Raises as `data_set`."""
        if transfer_syntax_uid == self.held.transfer_syntax_uid:
            return self.source.part10(self.held)
        return self.transcoder.part10(self.held, self.source, transfer_syntax_uid)

    def size(self, transfer_syntax_uid: str) -> int | None:
        """Octets of the Part 10 file, None where only its making tells."""
        return self.held.trailer_offset if transfer_syntax_uid == self.held.transfer_syntax_uid else None


class Egress:
    """Gives out instances as the receiver's profile says; as stored where it has none. Safe to use from several threads."""

    def __init__(self, settings: EgressSettings, retriever: Retriever, transcoder: Transcoder) -> None:
        self.profiles = EgressProfiles(settings)
        self._retriever = retriever
        self._transcoder = transcoder

    def outgoing(self, held: HeldInstance, profile: EgressProfile | None) -> Outgoing:
        """The instance for a receiver. Raises NotAdaptable, LimitExceeded, StorageError; nothing without a profile."""
        if profile is None:
            return Outgoing(held, self._retriever, self._transcoder)
        adapted = adapt(held, self._retriever, profile)
        return Outgoing(adapted.held, adapted, self._transcoder)

    def metadata(self, held: HeldInstance, profile: EgressProfile) -> bytes:
        """DICOM JSON of the instance for a receiver. Raises as `outgoing`."""
        return adapted_metadata(held, self._retriever, profile)

    def transfer_syntaxes(self, held: HeldInstance, profile: EgressProfile | None) -> tuple[str, ...]:
        """Transfer syntaxes in which a receiver may get an instance, the preferred first; empty: the profile does not say.

        Raises NotAdaptable when the instance can be made in none of those that the profile allows.
        """
        if profile is None or not profile.transfer_syntaxes:
            return ()
        possible = tuple(one for one in profile.transfer_syntaxes if self._transcoder.can(held, one))
        if not possible:
            raise NotAdaptable(
                "The instance cannot be made in a transfer syntax that the receiver's profile allows.",
                stored=held.transfer_syntax_uid,
                profile=profile.name,
            )
        return possible
