"""Profiles ready for use, and who gets which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vna_core.access.egress.identifiers import conformant
from vna_core.configuration.egress import EgressSettings, ProfileSettings, tag_number
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.instance import HeldInstance


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A change of one top-level element: a value for it, a prefix of its values, or new values for old ones."""

    tag: int
    value: str | None = None
    prefix: str = ""
    mapping: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EgressProfile:
    """What is adapted for one receiver (see `ProfileSettings` for the meanings)."""

    name: str
    character_set: tuple[str, ...] = ()
    substitute: str = ""
    transfer_syntaxes: tuple[str, ...] = ()
    conformant_uids: bool = False
    sop_classes: Mapping[str, str] = field(default_factory=dict)
    clip_text: bool = False
    values: tuple[ValueChange, ...] = ()
    remove: frozenset[int] = frozenset()
    remove_private: bool = False
    append_end_of_image: bool = False

    def sop_classes_of(self, held: HeldInstance) -> Iterator[str]:
        """SOP classes under which an instance may be sent; its header decides between them. Each may come twice."""
        for uid in (held.sop_class_uid, self.sop_classes.get(held.sop_class_uid, "")):
            if uid:
                yield conformant(uid) if self.conformant_uids else uid


class EgressProfiles:
    """Every profile, and whose it is. None means: as stored."""

    def __init__(self, settings: EgressSettings) -> None:
        self._settings = settings
        self._profiles = MappingProxyType({name: _profile(name, one) for name, one in settings.profiles.items()})

    def named(self, name: str) -> EgressProfile:
        """The profile of that name. Raises InvalidRequest."""
        try:
            return self._profiles[name]
        except KeyError:
            raise InvalidRequest(
                f"There is no egress profile {name!r} in the configuration.", known=sorted(self._profiles)
            ) from None

    def of_title(self, title: str) -> EgressProfile | None:
        """The profile of an AE title that receives by C-MOVE or C-GET."""
        return self._profiles.get(self._settings.ae_titles.get(title, self._settings.default))

    def of_client(self, principal: str, user_agent: str) -> EgressProfile | None:
        """The profile of a web client: by the principal that was authenticated, else by how its User-Agent field begins."""
        settings = self._settings
        name = settings.principals.get(principal)
        if name is None:
            fitting = [beginning for beginning in settings.user_agents if user_agent.startswith(beginning)]
            name = settings.user_agents[max(fitting, key=len)] if fitting else settings.default
        return self._profiles.get(name)


def _profile(name: str, settings: ProfileSettings) -> EgressProfile:
    changes = tuple(ValueChange(tag_number(one.tag), one.set, one.prefix or "", one.map) for one in settings.values)
    return EgressProfile(
        name=name,
        character_set=settings.character_set,
        substitute="?" if settings.unmappable == "replace" else "",
        transfer_syntaxes=settings.transfer_syntaxes,
        conformant_uids=settings.uids == "conformant",
        sop_classes=settings.sop_classes,
        clip_text=settings.clip_text,
        values=changes,
        remove=frozenset(map(tag_number, settings.remove)),
        remove_private=settings.private == "remove",
        append_end_of_image=settings.append_end_of_image,
    )
