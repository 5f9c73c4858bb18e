"""The section ``egress``: named profiles of what receivers cannot digest, and who gets which."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from vna_core.configuration.section import Section
from vna_core.domain.character_set_terms import character_set_list
from vna_core.domain.data_dictionary import ELEMENTS, is_transfer_syntax, repeater, tag_for_keyword
from vna_core.domain.retired_sop_classes import SUCCESSOR

_TAG: Final = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")
_IDENTITY: Final = frozenset((0x00080005, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E))
_PIXELS: Final = frozenset((0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010))
_TEXT: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"))


def tag_number(text: str) -> int:
    """``group << 16 | element`` of a tag as configured: ``(0008,0080)``, ``00080080`` or a keyword.

    Raises ValueError when the standard has no such element; private tags pass as numbers.
    """
    match = _TAG.fullmatch(text.strip())
    found = int(match.group(1) + match.group(2), 16) if match else tag_for_keyword(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no tag and no keyword of the standard")
    if not found & 0x10000 and found not in ELEMENTS and not repeater(found):
        raise ValueError(f"the standard has no element {text!r}")
    return found


def _changeable(text: str) -> str:
    tag = tag_number(text)
    if tag < 0x00080000 or tag in _IDENTITY or tag in _PIXELS:
        raise ValueError(f"{text!r} identifies or describes the object and cannot be changed by a profile")
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _settable(text: str) -> str:
    changeable = _changeable(text)
    tag = tag_number(text)
    entry = ELEMENTS.get(tag) or repeater(tag)
    if tag & 0x10000 or entry is None or entry[0] not in _TEXT:
        raise ValueError(f"{text!r} is no standard element of characters")
    return changeable


def _transfer_syntax(uid: str) -> str:
    if not is_transfer_syntax(uid):
        raise ValueError(f"{uid!r} is no transfer syntax")
    return uid


def _listed(value: Any) -> Any:
    return value.split("\\") if isinstance(value, str) else value


Tag = Annotated[str, AfterValidator(_changeable)]
CharacterSet = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    AfterValidator(lambda terms: character_set_list(terms) if terms else ()),
]


class ValueSettings(Section):
    """A change of one element at the top level of the data set; exactly one of `set`, `prefix` and `map`."""

    tag: Annotated[str, AfterValidator(_settable)] = Field(
        description="The element: `(0008,0080)`, `00080080` or a keyword. Of characters, and not an identifier of the object."
    )
    set: str | None = Field(None, description="The new value; the element is added where it is missing.")
    prefix: str | None = Field(None, description="Put before every value that is there.")
    map: dict[str, str] = Field(default_factory=dict, description="Old value to new value; others stay.")

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if (self.set is not None) + (self.prefix is not None) + bool(self.map) != 1:
            raise ValueError("exactly one of 'set', 'prefix' and 'map' is needed")
        return self


class ProfileSettings(Section):
    """What is adapted for one kind of receiver."""

    character_set: CharacterSet = Field(
        (),
        description="Specific Character Set of everything sent: a defined term, or a list with code extensions. Empty: as stored.",
    )
    unmappable: Literal["refuse", "replace"] = Field(
        "refuse", description="Characters that the set does not have: `refuse` the instance, or `replace` them by `?`."
    )
    transfer_syntaxes: tuple[Annotated[str, AfterValidator(_transfer_syntax)], ...] = Field(
        (), description="Transfer syntaxes that may be sent, the preferred first; conversions lose nothing. Empty: any."
    )
    uids: Literal["as-stored", "conformant"] = Field(
        "as-stored", description="`conformant`: UIDs that break PS3.5 section 9.1 become the same UID under 2.25 everywhere."
    )
    sop_classes: dict[str, str] = Field(
        default_factory=dict,
        description="Retired SOP class to the current one, or `retired: current` for every one that has a successor.",
    )
    clip_text: bool = Field(False, description="Cut SH values to 16 and LO values to 64 characters.")
    values: tuple[ValueSettings, ...] = Field((), description="Changes of single elements at the top level, in order.")
    remove: tuple[Tag, ...] = Field((), description="Elements left out, at every level.")
    append_end_of_image: bool = Field(False, description="Complete JPEG codestreams that lack their end marker (FFD9).")
    private: Literal["keep", "remove"] = Field("keep", description="`remove` leaves out all private elements, at every level.")

    @field_validator("sop_classes")
    @classmethod
    def _known_pairs(cls, pairs: dict[str, str]) -> dict[str, str]:
        if pairs == {"retired": "current"}:
            return dict(SUCCESSOR)
        for retired, current in pairs.items():
            if SUCCESSOR.get(retired) != current:
                known = ", ".join(f"{old} to {new}" for old, new in SUCCESSOR.items())
                raise ValueError(f"{retired!r} to {current!r} is no known succession; known: {known}")
        return pairs


class EgressSettings(Section):
    """Adaptation on the way out. What is stored stays as it is."""

    profiles: dict[str, ProfileSettings] = Field(default_factory=dict, description="Profiles by name.")
    default: str = Field("", description="Profile of whoever is not named below; empty: objects go out as stored.")
    ae_titles: dict[str, str] = Field(
        default_factory=dict, description="AE title to profile: destinations of C-MOVE, requesters of C-GET."
    )
    principals: dict[str, str] = Field(default_factory=dict, description="Principal of `http.tokens` to profile.")
    user_agents: dict[str, str] = Field(
        default_factory=dict, description="Beginning of a User-Agent field to profile; the longest that fits counts."
    )

    @field_validator("default", "ae_titles", "principals", "user_agents")
    @classmethod
    def _profiles_exist(cls, value: str | dict[str, str], info: ValidationInfo) -> str | dict[str, str]:
        profiles = info.data.get("profiles", {})
        for name in (value,) if isinstance(value, str) else value.values():
            if name and name not in profiles:
                raise ValueError(f"there is no profile {name!r} under egress.profiles")
        return value
