"""The one place where it is decided whether somebody may pass, whatever face of the archive they stand before.

A face names who asks and what for, and gets a permit or `NotAuthorized`. The permit carries the view through which the
catalogue may be read; there is no other way to it. How a route or service declares what it needs is told in the
architecture page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

from vna_core.access.notes import UNNOTED, AccessNotes, event_of
from vna_core.access.policy import Policy
from vna_core.access.view import CatalogueView
from vna_core.catalogue import Catalogue
from vna_core.domain.access import Action, Principal, Scope
from vna_core.domain.audit import EMERGENCY_OVERRIDE_STARTED, AuditEvent, AuditEventId, Auditor, AuditOutcome
from vna_core.domain.errors import InvalidRequest, NotAuthorized

LONGEST_REASON: Final = 400
"""Characters of a reason for breaking the glass."""
_SHORTEST_REASON: Final = 4
_OPENED_BY_GLASS: Final = (Action.QUERY, Action.RETRIEVE)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Permit:
    """What somebody may do now.

    Attributes
    ----------
    catalogue
        The catalogue as far as the permit goes.
    emergency
        Why the glass is broken for this permit; empty: it is not.
    """

    principal: Principal
    action: Action
    catalogue: CatalogueView
    emergency: str = ""


class Gate:
    """Gives permits. Safe to use from several threads."""

    def __init__(self, policy: Policy, catalogue: Catalogue, auditor: Auditor = UNNOTED) -> None:
        self.policy = policy
        self.auditor = auditor
        self._catalogue = catalogue

    def may_correct(self, principal: Principal) -> Scope:
        """Where somebody may correct."""
        return self.policy.scope(principal, Action.CORRECT)

    def is_prompt(self, principal: Principal) -> bool:
        """Whether `enter` answers without asking the database."""
        return not self.policy.may_break_glass(principal)

    def enter(self, principal: Principal, action: Action, reason: str | None = None) -> Permit:
        """Let somebody pass who wants to do something.

        Parameters
        ----------
        reason
            Why the glass is to be broken, where somebody asks for that; it stays broken for them for the policy's time.

        Raises
        ------
        NotAuthorized
            They may not do this to any part of the archive.
        InvalidRequest
            The reason is no reason.
        AuditUnavailable, CatalogueUnavailable
            It cannot be recorded that the glass is broken: then it is not.
        """
        scope, emergency = self.policy.scope(principal, action), ""
        if action in _OPENED_BY_GLASS and self.policy.may_break_glass(principal):
            if reason is not None:
                self._break_glass(principal, reason)
            emergency = self._catalogue.emergencies.reason(principal) or ""
            if emergency:
                scope |= self.policy.emergency_scope(principal, action)
        elif reason is not None and self.policy.divided:
            self._deny(principal, action)
        if scope.is_nothing:
            self._deny(principal, action)
        if action is Action.ADMINISTER:
            self.auditor.note(AuditEvent(event_of(action), principal, description="administration"))
        notes = AccessNotes(self.auditor, principal, action, emergency)
        return Permit(principal, action, CatalogueView(self._catalogue, scope, notes, self.policy.expands_queries), emergency)

    def _deny(self, principal: Principal, action: Action) -> None:
        _log.warning(
            "access-denied", kind=principal.kind.value, principal=principal.name, address=principal.address, action=action.value
        )
        outcome = AuditOutcome.SERIOUS_FAILURE
        self.auditor.note_access(AuditEvent(event_of(action), principal, outcome, description=f"denied: {action.value}"))
        raise NotAuthorized("The policy of the archive does not allow this.", action=action.value)

    def _break_glass(self, principal: Principal, reason: str) -> None:
        reason = " ".join(reason.split())
        if not _SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
            raise InvalidRequest(
                f"Breaking the glass needs a reason of {_SHORTEST_REASON} to {LONGEST_REASON} characters.",
                parameter="break-glass",
            )
        if self._catalogue.emergencies.reason(principal) is not None:
            return
        self.auditor.note_durably(
            AuditEvent(
                AuditEventId.SECURITY_ALERT,
                principal,
                type_code=EMERGENCY_OVERRIDE_STARTED,
                description=f"{reason} (for {self.policy.glass_minutes} minutes)",
                emergency=True,
            )
        )
        if self._catalogue.emergencies.begin(principal, reason, self.policy.glass_minutes):
            _log.warning(
                "glass-broken",
                kind=principal.kind.value,
                principal=principal.name,
                address=principal.address,
                minutes=self.policy.glass_minutes,
            )
