"""Who may do what to which part of the archive: a pure function of the configuration.

Nothing here reads or writes anything; `gate` applies it, in one place, to every way into and out of the archive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vna_core.configuration import Settings
from vna_core.configuration.access import GrantSettings
from vna_core.domain.access import ANONYMOUS, EVERYTHING, NOTHING, Action, Principal, PrincipalKind, Scope
from vna_core.domain.departments import COLLECTION
from vna_core.domain.errors import ConfigurationError

_ON_INSTANCES: Final = frozenset((Action.QUERY, Action.RETRIEVE, Action.STORE, Action.CORRECT, Action.DELETE))
ALL: Final = "*"
_UNKNOWN: Final = "is neither in http.tokens nor in http.certificates"


def is_of_peer(host: str, address: str) -> bool:
    """Whether a connection from `address` can be the node configured with `host`."""
    return host in (address, "localhost" if address in ("127.0.0.1", "::1") else address)


class Policy:
    """Decides. Without departments everybody who was let in may do everything, everywhere.

    Raises
    ------
    ConfigurationError
        The policy names somebody or something that is not configured, or makes somebody a member of two departments.
    """

    def __init__(self, settings: Settings) -> None:
        self.divided = bool(settings.departments)
        self.expands_queries = settings.identity.expand_queries
        self._departments = settings.departments
        self._policy = settings.policy
        self._peers = settings.dimse.peers
        _check(settings)
        self._of_principal = {one: name for name, section in self._departments.items() for one in section.principals}
        self._of_title = {one: name for name, section in self._departments.items() for one in section.ae_titles}
        self._scopes = {
            (name, action): self._granted(name, action) for name in self._departments for action in sorted(_ON_INSTANCES)
        }

    def department(self, principal: Principal) -> str:
        """The department somebody belongs to; empty: none.

        An AE title counts together with its address (see `dimse.peers`), or with the certificate without which no association
        under that title is accepted.
        """
        if principal.kind is PrincipalKind.AE_TITLE:
            peer = self._peers.get(principal.name)
            known = peer is not None and (bool(peer.certificates) or is_of_peer(peer.host, principal.address))
            return self._of_title.get(principal.name, "") if known else ""
        if principal.kind in (PrincipalKind.TOKEN, PrincipalKind.ANONYMOUS):
            return self._of_principal.get(principal.name, "")
        return ""

    def is_administrator(self, principal: Principal) -> bool:
        """Whether somebody may do everything, everywhere."""
        return principal.kind is PrincipalKind.LOCAL or (
            principal.kind is PrincipalKind.TOKEN and principal.name in self._policy.administrators
        )

    def scope(self, principal: Principal, action: Action) -> Scope:
        """Where somebody may do something, without breaking glass."""
        if not self.divided or self.is_administrator(principal):
            return EVERYTHING
        if action is Action.MONITOR:
            is_monitor = principal.kind is PrincipalKind.TOKEN and principal.name in self._policy.monitors
            return EVERYTHING if is_monitor else NOTHING
        return self._scopes.get((self.department(principal), action), NOTHING)

    def emergency_scope(self, principal: Principal, action: Action) -> Scope:
        """Where somebody may do something while the glass is broken."""
        department, glass = self.department(principal), self._policy.break_glass
        if not department or not _names(glass.to, department) or action.value not in glass.may:
            return NOTHING
        return Scope(frozenset(self._departments))

    def may_break_glass(self, principal: Principal) -> bool:
        """Whether there is anything that breaking the glass would open to somebody."""
        return self.divided and any(not self.emergency_scope(principal, Action(one)).is_nothing for one in ("query", "retrieve"))

    @property
    def glass_minutes(self) -> int:
        """Minutes for which broken glass stays open."""
        return self._policy.break_glass.minutes

    def _granted(self, department: str, action: Action) -> Scope:
        found = {department} if action.value in self._departments[department].may else set()
        for grant in self._policy.grants:
            if _names(grant.to, department) and action.value in grant.may:
                found |= set(self._targets(grant))
        return Scope(frozenset(found))

    def _targets(self, grant: GrantSettings) -> Iterable[str]:
        for one in grant.of:
            if one == ALL:
                yield from self._departments
            else:
                yield f"{COLLECTION}{one}" if one in self._policy.collections else one


def _names(listed: tuple[str, ...], department: str) -> bool:
    return ALL in listed or department in listed


def _check(settings: Settings) -> None:
    departments, policy = settings.departments, settings.policy
    both = departments.keys() & policy.collections.keys()
    _demand(settings, ("policy", "collections"), both, "is a department and a collection at once")
    principals = settings.http.tokens.keys() | settings.http.certificates.keys()
    seen: dict[tuple[str, str], str] = {}
    for name, section in departments.items():
        where = ("departments", name)
        _demand(settings, (*where, "ae_titles"), set(section.ae_titles) - settings.dimse.peers.keys(), "is not in dimse.peers")
        _demand(settings, (*where, "principals"), set(section.principals) - principals - {ANONYMOUS}, _UNKNOWN)
        for member in [*(("AE title", one) for one in section.ae_titles), *(("principal", one) for one in section.principals)]:
            if seen.setdefault(member, name) != name:
                _demand(settings, where, {member[1]}, f"belongs to {seen[member]!r} already")
    for number, grant in enumerate(policy.grants):
        place = ("policy", "grants", str(number))
        _demand(settings, (*place, "to"), set(grant.to) - departments.keys() - {ALL}, "is no department")
        targets = departments.keys() | policy.collections.keys() | {ALL}
        _demand(settings, (*place, "of"), set(grant.of) - targets, "is neither a department nor a collection")
    glass = set(policy.break_glass.to) - departments.keys() - {ALL}
    _demand(settings, ("policy", "break_glass", "to"), glass, "is no department")
    for key in ("administrators", "monitors"):
        _demand(settings, ("policy", key), set(getattr(policy, key)) - principals, _UNKNOWN)
    if policy.unassigned:
        _demand(settings, ("policy", "unassigned"), {policy.unassigned} - departments.keys(), "is no department")


def _demand(settings: Settings, keys: tuple[str, ...], wrong: Iterable[str], why: str) -> None:
    """Raises ConfigurationError when anything is wrong; the first of it is named with its line."""
    for one in sorted(wrong):
        name = ".".join(keys)
        raise ConfigurationError(f"{settings.where(*keys)}: setting {name!r}: {one!r} {why}.", setting=name)
