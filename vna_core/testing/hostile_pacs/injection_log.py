"""What was done to whom: the truth that a test compares findings with."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault that was played.

    Attributes
    ----------
    study_instance_uid, sop_instance_uid
        As the source's database has them; empty where the fault is not about one.
    detail
        What was done, in words or as the value that was put in.
    """

    fault: str
    study_instance_uid: str = ""
    sop_instance_uid: str = ""
    detail: str = ""


class InjectionLog:
    """Collects injections, and writes one JSON line for each where a path is given. May be used by several threads."""

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._entries: list[Injection] = []
        self._file = path.open("a", encoding="utf-8") if path is not None else None

    def add(self, injection: Injection) -> None:
        """Note one."""
        with self._lock:
            self._entries.append(injection)
            if self._file is not None:
                self._file.write(json.dumps(asdict(injection)) + "\n")
                self._file.flush()

    def __iter__(self) -> Iterator[Injection]:
        with self._lock:
            return iter(list(self._entries))

    def of(self, fault: str) -> list[Injection]:
        """Those of one kind, in the order played."""
        return [one for one in self if one.fault == fault]

    def close(self) -> None:
        """Close the file. May be called twice."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
