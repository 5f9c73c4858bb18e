"""The conformance kit against a store that is in use: under a prefix of its own, short, and cleaned up afterwards."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.domain.errors import PluginError, VnaError
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Abilities, Content, Key, Store, StoredObject, Terms
from vna_core.testing.storage_timing import Timing, timings_of

SCRATCH: Final = "doctor/"
"""Where everything of the doctor lies; a rebuild and a scrub pass over it."""

_KIT: Final = "vna_core.testing.storage_doctor_kit"
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Check:
    """One statement of the kit: ``passed``, ``failed`` or ``skipped``, and what was seen instead."""

    statement: str
    outcome: str
    detail: str = ""


@dataclass(slots=True)
class Diagnosis:
    """What a store declares, what of it holds, and how long it takes. `left_over` counts scratch objects that could not be removed."""

    store: str
    abilities: Abilities
    checks: list[Check] = field(default_factory=list)
    left_over: int = 0
    timings: list[Timing] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Whether nothing differs and nothing is left."""
        return not self.left_over and all(check.outcome != "failed" for check in self.checks)


class Scratch(Wrapper):
    """A part of a store below a prefix, as a store. Closing it leaves the store open."""

    def __init__(self, inner: Store, prefix: str) -> None:
        super().__init__(inner)
        self._prefix = prefix

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        name: Key = self._prefix + key if isinstance(key, str) else lambda digest: self._prefix + key(digest)
        return self._told(lambda: self._mine(self.inner.create(name, content, sha256)))

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        return self._told(lambda: self.inner.read(self._prefix + key, byte_range))

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        return self.inner.chunks(self._prefix + key, byte_range)

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        return self._told(lambda: self._mine(self.inner.stat(self._prefix + key)))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self.inner.delete(self._prefix + key)

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`."""
        self._told(lambda: self.inner.adjust(self._prefix + key, terms))

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`."""
        return self._told(lambda: self.inner.recall(self._prefix + key, days))

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`."""
        for one in self.inner.list(self._prefix + prefix, self._prefix + after if after else ""):
            yield self._mine(one)

    def close(self) -> None:
        """The store stays open: it is not this one's."""

    def _mine(self, stored: StoredObject) -> StoredObject:
        return replace(stored, key=stored.key.removeprefix(self._prefix))

    def _told(self, call: Callable[[], _Result]) -> _Result:
        try:
            return call()
        except VnaError as error:
            if isinstance(error.fields.get("key"), str):
                error.fields["key"] = str(error.fields["key"]).removeprefix(self._prefix)
            raise


class Examination:
    """The plugin of pytest that hands the store to the kit and takes down what came of each test."""

    def __init__(self, store: Store, prefix: str, complete: bool, progress: Callable[[Check], object]) -> None:
        self.store = store
        self.complete = complete
        self.checks: list[Check] = []
        self._prefix = prefix
        self._progress = progress

    def scratch(self, folder: Path) -> Store:
        """A part of the store of its own for a test's folder."""
        return Scratch(self.store, f"{self._prefix}{'-'.join(folder.parts[-2:])}/")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep how a test ended; what failed before or after it counts as well."""
        if report.when != "call" and report.passed:
            return
        check = Check(_statement(report.nodeid), report.outcome, _detail(report))
        self.checks.append(check)
        self._progress(check)


def examine(
    store: Store, complete: bool = False, progress: Callable[[Check], object] = lambda _: None, *, kit: bool = True
) -> Diagnosis:
    """Take the time of an open store, and run the kit against it.

    Parameters
    ----------
    complete
        As a backend's author runs it, with 10,000 keys; otherwise a few hundred small objects and some of 20 MiB.
    kit
        Without it the time is taken only, for which nothing need be installed.

    Raises
    ------
    PluginError
        pytest and hypothesis are not installed, and the kit is to be run.
    StoreUnavailable
        The store does not answer.
    """
    pytest = _pytest() if kit else None
    prefix = f"{SCRATCH}{secrets.token_hex(8)}/"
    diagnosis = Diagnosis(store.name, store.abilities())
    if (locked := _locked(store, prefix)) is not None:
        diagnosis.checks.append(locked)
        diagnosis.left_over = 1
        return diagnosis
    try:
        diagnosis.timings = timings_of(store, prefix)
        if pytest is not None:
            diagnosis.checks = _checks(pytest, Examination(store, prefix, complete, progress))
    finally:
        diagnosis.left_over = _cleaned(store, prefix)
    return diagnosis


def _checks(pytest: ModuleType, examination: Examination) -> list[Check]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--pyargs", _KIT, "-c", os.devnull, f"--rootdir={folder}", f"--basetemp={folder}/tests"]
        switched_off = [word for name in ("cacheprovider", "terminal", "xdist", "randomly") for word in ("-p", f"no:{name}")]
        with _without_options_of_the_user():
            pytest.main([*arguments, *switched_off], plugins=[examination])
    if not examination.checks:
        raise PluginError("The conformance kit ran no test: is another version of pytest installed than the archive needs?")
    return examination.checks


@contextmanager
def _without_options_of_the_user() -> Iterator[None]:
    """Options meant for somebody's own tests may name plugins that are switched off here."""
    options = os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        yield
    finally:
        if options is not None:
            os.environ["PYTEST_ADDOPTS"] = options


def _pytest() -> ModuleType:
    try:
        import hypothesis  # noqa: F401 - both are an extra, which most installations do without
        import pytest
    except ImportError as error:
        raise PluginError(
            f"The conformance kit needs {error.name}, which is not installed: pip install 'vna-core[testing]'."
        ) from error
    return pytest


def _locked(store: Store, prefix: str) -> Check | None:
    """That what is written cannot be deleted again, so that nothing more is written; None where it can."""
    key = f"{prefix}first"
    store.create(key, [b"written by vna plugin doctor; may be deleted"])
    try:
        store.delete(key)
    except VnaError as error:
        if error.transient:
            raise
        return Check("what is written can be deleted again", "failed", f"{error.message} Nothing more was written.")
    return None


def _cleaned(store: Store, prefix: str) -> int:
    left = 0
    for stored in list(store.list(prefix)):
        try:
            store.delete(stored.key)
        except VnaError:
            left += 1
    return left


def _statement(nodeid: str) -> str:
    name, bracket, parameters = nodeid.rsplit("::", 1)[-1].partition("[")
    return name.removeprefix("test_").replace("_", " ") + (f" ({parameters[:-1]})" if bracket else "")


def _detail(report: Any) -> str:
    if report.skipped:
        return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr or "").splitlines()[0] if report.failed else ""
