"""A store beside the reference in memory, under any sequence of calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import stateful
from hypothesis import strategies as st

from vna_core.domain.errors import VnaError
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store
from vna_core.testing.memory_store import MemoryStore

_segments = st.sampled_from(("a", "b", "a.b", "a-", "0"))
_keys = st.lists(_segments, min_size=1, max_size=3).map("/".join)
_octets = st.lists(st.binary(max_size=20), max_size=3)


class StoreModel(stateful.RuleBasedStateMachine):
    """Whatever the one answers or raises, the other does too."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.model = MemoryStore(store.name)
        self.folders: set[str] = set()

    def same(self, call: Callable[[Store], Any]) -> None:
        """Make a call on both."""
        assert _ended(call, self.store) == _ended(call, self.model)

    @stateful.rule(key=_keys, content=_octets)
    def create(self, key: str, content: list[bytes]) -> None:
        """Create-if-absent. A key below an object, or one that was a folder of keys, is outside what the archive asks for."""
        if key in self.folders or any(key.startswith(other.key + "/") for other in self.model.list()):
            return
        self.same(lambda store: store.create(key, content).size)
        self.folders.update(key[:at] for at, letter in enumerate(key) if letter == "/")

    @stateful.rule(key=_keys, content=_octets)
    def create_with_a_wrong_digest(self, key: str, content: list[bytes]) -> None:
        """Refused, and nothing is left; which of two reasons is told for a key that is taken is left to the store."""
        if key in self.folders or any(f"{key}/".startswith(other.key + "/") for other in self.model.list()):
            return
        self.same(lambda store: store.create(key, content, "0" * 64).size)

    @stateful.rule(key=_keys, offset=st.integers(-80, 80), length=st.integers(0, 80))
    def read(self, key: str, offset: int, length: int) -> None:
        """A range, from either end."""
        self.same(lambda store: store.read(key, ByteRange(offset, length)))
        self.same(lambda store: b"".join(store.chunks(key, ByteRange(offset, length))))

    @stateful.rule(key=_keys)
    def stat(self, key: str) -> None:
        """Size, and the whole."""
        self.same(lambda store: store.stat(key).size)
        self.same(lambda store: store.read(key))

    @stateful.rule(key=_keys)
    def delete(self, key: str) -> None:
        """A key that may be there."""
        self.same(lambda store: store.delete(key))

    @stateful.rule(prefix=st.sampled_from(("", "a", "a/", "b/a")), after=st.one_of(st.just(""), _keys))
    def listing(self, prefix: str, after: str) -> None:
        """From a key on."""
        self.same(lambda store: [(one.key, one.size) for one in store.list(prefix, after)])

    def teardown(self) -> None:
        """Close the store."""
        self.store.close()


def _ended(call: Callable[[Store], Any], store: Store) -> Any:
    """What a call gave, or the code of what it raised."""
    try:
        return call(store)
    except VnaError as error:
        return error.code
