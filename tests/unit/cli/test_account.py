"""Who is said to have run a command."""

from __future__ import annotations

import os
import pwd

import pytest

from vna_core.cli.options import account


def test_an_account_that_has_no_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number of its own choice."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    known = {one.pw_uid for one in pwd.getpwall()}
    unknown = next(number for number in range(54_321, 65_000) if number not in known)
    monkeypatch.setattr(os, "getuid", lambda: unknown)
    assert account() == f"uid {unknown}"
