"""A small legacy PACS for machines without another: C-STORE, C-FIND, C-GET of the Study Root model, files in a folder.

Run it with ``python -m vna_core.testing.phantom_pacs --port 4242 --aet OLDPACS FOLDER``. It is built on pynetdicom and pydicom, so
that it shares no code with the archive it is migrated to.
"""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyFind  # type: ignore[attr-defined]
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as StudyGet  # type: ignore[attr-defined]
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_KEYS: Final = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
_SYNTAXES: Final = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"] + [
    f"1.2.840.10008.1.2.4.{end}" for end in (50, 51, 57, 70, 80, 81, 90, 91)
] + ["1.2.840.10008.1.2.5"]  # fmt: skip


class PhantomPacs:
    """The PACS. `folder` holds one Part 10 file an instance."""

    def __init__(self, folder: Path, aet: str = "OLDPACS") -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._held: dict[str, tuple[Path, Dataset]] = {}
        for path in sorted(folder.glob("*.dcm")):
            self._index(path)
        self._ae = AE(ae_title=aet)
        self._ae.add_supported_context(Verification)
        self._ae.add_supported_context(StudyFind)
        self._ae.add_supported_context(StudyGet)
        for context in AllStoragePresentationContexts:
            self._ae.add_supported_context(context.abstract_syntax, _SYNTAXES, scu_role=True, scp_role=True)

    def start(self, port: int) -> Any:
        """Listen on 127.0.0.1; the pynetdicom server, to be shut down by the caller."""
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find), (evt.EVT_C_GET, self._get)]
        return self._ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]

    def _index(self, path: Path) -> None:
        header = dcmread(path, stop_before_pixels=True)
        with self._lock:
            self._held[str(header.SOPInstanceUID)] = (path, header)

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        path = self._folder / f"{len(self._held):06}.dcm"
        path.write_bytes(event.encoded_dataset())
        try:
            self._index(path)
        except (AttributeError, OSError, ValueError):
            path.unlink()
            return 0xC000
        return 0x0000 if uid else 0xC000

    def _matching(self, identifier: Dataset) -> list[tuple[Path, Dataset]]:
        wanted = {keyword: str(identifier.get(keyword, "") or "") for keyword in _KEYS.values()}
        dates = str(identifier.get("StudyDate", "") or "")
        low, _, high = dates.partition("-")
        with self._lock:
            held = list(self._held.values())
        return [
            (path, header)
            for path, header in held
            if all(not value or str(header.get(keyword, "")) in value.split("\\") for keyword, value in wanted.items())
            and (not dates or low <= str(header.get("StudyDate", "")) <= (high or low))
        ]

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        level = str(event.identifier.QueryRetrieveLevel)
        seen = set()
        for _, header in self._matching(event.identifier):
            key = str(header.get(_KEYS[level], ""))
            if key in seen:
                continue
            seen.add(key)
            answer = Dataset()
            answer.QueryRetrieveLevel = level
            for element in event.identifier:
                if element.keyword and element.keyword != "QueryRetrieveLevel":
                    setattr(answer, element.keyword, header.get(element.keyword, None))
            yield 0xFF00, answer

    def _get(self, event: Any) -> Iterator[Any]:
        matching = self._matching(event.identifier)
        yield len(matching)
        for path, _ in matching:
            yield 0xFF00, dcmread(path)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="A small legacy PACS for examples and tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--aet", default="OLDPACS")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)  # in the server's threads as well: this one waits for them
    server = PhantomPacs(arguments.folder, arguments.aet).start(arguments.port)
    signal.sigwait(_STOPPING)
    server.shutdown()


if __name__ == "__main__":
    main()
