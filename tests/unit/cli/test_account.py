"""Who is said to have run a command."""

from __future__ import annotations

import os
import pwd

import pytest

from vna_core.cli.options import account, operator


def test_an_account_that_has_no_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number of its own choice."""
    known = {one.pw_uid for one in pwd.getpwall()}
    unknown = next(number for number in range(54_321, 65_000) if number not in known)
    monkeypatch.setattr(os, "getuid", lambda: unknown)
    assert account() == operator().name == f"uid {unknown}"


def test_nobody_takes_the_name_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Corrections, deletions and the audit trail name one person by one name, and the environment has no say in it."""
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert account() == operator().name == pwd.getpwuid(os.getuid()).pw_name
