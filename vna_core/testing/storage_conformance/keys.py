"""Keys that are none, keys that are hard for some systems, and what can be asked about a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store

ESCAPES: Final = (
    "../outside",
    "a/../../outside",
    "/etc/outside",
    "a//b",
    "a/./b",
    "",
    "a/",
    "\0",
    "a\0b",
    "é",
    "..",
    ".",
    "x" * 1025,
)
STRANGE: Final = (
    "a b",
    "a%2Fb",
    "-rf",
    "a;b",
    "a'b\"c",
    "a\\b",
    "a\nb",
    "*?[x]",
    "~",
    "CON",
    "a.",
    "studies/0f/1.2.3/4.5/6.7.x.dcm",
    "x" * 200,
)

READS: Final[dict[str, Callable[[Store, str], object]]] = {
    "read": lambda store, key: store.read(key),
    "chunks": lambda store, key: list(store.chunks(key)),
    "range": lambda store, key: store.read(key, ByteRange(1, 2)),
    "nothing": lambda store, key: store.read(key, ByteRange(0, 0)),
    "chunks of nothing": lambda store, key: list(store.chunks(key, ByteRange(0, 0))),
    "stat": lambda store, key: store.stat(key),
}


def uses(store: Store, key: str) -> tuple[Callable[[], object], ...]:
    """Every call that takes a key."""
    return (
        lambda: store.create(key, [b"x"]),
        lambda: store.create(lambda _: key, [b"x"]),
        lambda: store.read(key),
        lambda: list(store.chunks(key)),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.recall(key, 1),
    )
