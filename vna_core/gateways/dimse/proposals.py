"""Presentation contexts that an association to a move destination proposes (PS3.8 section 7.1.1.13)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vna_core.access.egress.profiles import EgressProfile
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dimse.sop_classes import EXPLICIT_LITTLE, IMPLICIT_LITTLE

MOST_CONTEXTS: Final = 128
"""Most presentation contexts of one association."""

Proposal = tuple[str, tuple[str, ...]]
"""Abstract syntax, and the transfer syntaxes proposed for it."""
_Proposals = dict[Proposal, None]


def proposed_groups(
    held: Sequence[HeldInstance], profile: EgressProfile | None
) -> Iterator[tuple[list[HeldInstance], list[Proposal]]]:
    """Instances by associations of at most 128 contexts: one for each class and stored syntax, one to fall back on for a class.

    Where a profile names transfer syntaxes, there is one context for each class and each of them instead.
    """
    group: list[HeldInstance] = []
    exact: _Proposals = {}
    classes: _Proposals = {}
    for one in held:
        allowed = profile.transfer_syntaxes if profile is not None else ()
        named = dict.fromkeys(profile.sop_classes_of(one) if profile is not None else (one.sop_class_uid,))
        syntaxes = allowed or (one.transfer_syntax_uid,)
        pairs: _Proposals = {(name, (syntax,)): None for name in named for syntax in syntaxes}
        fallbacks: _Proposals = {} if allowed else {(name, (EXPLICIT_LITTLE, IMPLICIT_LITTLE)): None for name in named}
        more = len(pairs.keys() - exact.keys()) + len(fallbacks.keys() - classes.keys())
        if more and len(exact) + len(classes) + more > MOST_CONTEXTS:
            yield group, [*exact, *classes]
            group, exact, classes = [], {}, {}
        exact |= pairs
        classes |= fallbacks
        group.append(one)
    if group:
        yield group, [*exact, *classes]
