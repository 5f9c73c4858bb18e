"""Three departments with archives of their own, colliding Patient IDs, one member that hangs: one question, an honest answer.

Radiology and cardiology run this archive, pathology an Orthanc (where it is installed; else this archive too); the old PACS in the basement
accepts connections and says nothing. Exit code 0 only if the answer is as it must be.
"""

from __future__ import annotations

import contextlib
import glob
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vna_core.testing import phantoms
from vna_core.testing.fill import fill

console = Console(highlight=False)
VNA = [str(Path(sys.executable).parent / "vna")]
PATIENT, NAME, PATIENT_BIRTH = 0x00100020, 0x00100010, 0x00100030


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def archive(folder: Path, configuration: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """`vna serve` with a configuration (JSON is YAML); its web and DIMSE ports."""
    folder.mkdir(parents=True)
    (folder / "vna.yaml").write_text(json.dumps(configuration))
    command = [*VNA, "serve", "--data", str(folder / "data"), "--config", str(folder / "vna.yaml")]
    command += ["--http", "127.0.0.1:0", "--dimse", "127.0.0.1:0"]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("ready "):
                raise SystemExit((folder / "log").read_text()[-2000:])
            http, dimse = (int(part.rsplit(":", 1)[1]) for part in line.split()[1:3])
            yield http, dimse
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


@contextlib.contextmanager
def orthanc(folder: Path) -> Iterator[tuple[int, int] | None]:
    """Orthanc on free ports; None where it is not installed."""
    program = shutil.which("Orthanc") or shutil.which("orthanc", path="/usr/sbin:/usr/bin")
    if program is None:
        yield None
        return
    folder.mkdir(parents=True)
    http, dimse = free_port(), free_port()
    known = {"StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"), "HttpPort": http}
    known |= {"DicomPort": dimse, "DicomAet": "PATHOLOGY", "RemoteAccessAllowed": False, "AuthenticationEnabled": False}
    known |= {"DicomAlwaysAllowStore": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}
    known |= {"Plugins": glob.glob("/usr/share/orthanc/plugins/libOrthancDicomWeb.so*")[:1]}
    (folder / "orthanc.json").write_text(json.dumps(known))
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log) as process,
    ):
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", dimse), 1):
                    break
                time.sleep(0.1)
            yield http, dimse
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def basement() -> Iterator[int]:
    """A PACS that accepts connections and never says a word."""
    stop = threading.Event()
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    kept.append(listening.accept()[0])

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            stop.set()
            accepting.join()
            for one in kept:
                one.close()


def images(seed: int, count: int, patient: str, name: str, description: str) -> list[bytes]:
    """A study of a patient."""
    study = phantoms.uid(77, seed)
    values = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1", "PatientID": patient, "PatientName": name}
    values |= {"StudyDescription": description, "StudyDate": f"202606{seed:02d}"}
    return [
        phantoms.ct(seed * 100 + one, 64, 64, **{**values, "SOPInstanceUID": f"{study}.1.{one}", "InstanceNumber": str(one)})
        for one in range(1, count + 1)
    ]


def ask(port: int, path: str, accept: str = "application/dicom+json") -> tuple[Any, Any]:
    """One HTTP question; head and body of the answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers, answer.read()


def value(row: dict[str, Any], tag: str) -> str:
    """The first value of an element of a row."""
    found = (row.get(tag, {}).get("Value") or [""])[0]
    return str(found.get("Alphabetic", "")) if isinstance(found, dict) else str(found)


def main() -> int:
    """Start everything, ask, and compare the answer with what there is."""
    folder = Path(tempfile.mkdtemp(prefix="vna-federation-"))
    try:
        with contextlib.ExitStack() as stack:
            silent = stack.enter_context(basement())
            heart = stack.enter_context(archive(folder / "cardiology", {"dimse": {"aet": "CARDIOLOGY"}}))
            slides = stack.enter_context(orthanc(folder / "pathology"))
            product = "Orthanc"
            if slides is None:
                product = "this archive, as Orthanc is not installed"
                slides = stack.enter_context(archive(folder / "pathology", {"dimse": {"aet": "PATHOLOGY"}}))
            members = {
                "cardiology": {
                    "url": f"dicomweb+http://127.0.0.1:{heart[0]}/dicom-web",
                    "issuer": "CARD",
                    "department": "cardiology",
                },
                "pathology": {"url": f"dimse://PATHOLOGY@127.0.0.1:{slides[1]}", "issuer": "PATH", "department": "pathology"},
                "basement": {"url": f"dimse://OLDPACS@127.0.0.1:{silent}", "issuer": "OLD", "deadline": 2},
            }
            hub = stack.enter_context(
                archive(
                    folder / "radiology",
                    {
                        "dimse": {"aet": "RADIOLOGY"},
                        "ingest": {"issuer": "RAD"},
                        "federation": {"deadline": 8, "members": members},
                    },
                )
            )
            console.rule("1. Three departments, and a PACS in the basement that hangs")
            console.print(f"radiology and cardiology: this archive; pathology: {product}")
            fill("127.0.0.1", hub[1], "RADIOLOGY", images(1, 4, "4711", "DOE^JANE", "CT chest"))
            fill("127.0.0.1", heart[1], "CARDIOLOGY", images(2, 3, "4711", "MUELLER^HANS", "Angiography"))
            fill("127.0.0.1", slides[1], "PATHOLOGY", images(3, 2, "4711", "ROE^RICHARD", "Biopsy"))
            return show(hub[0])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show(port: int) -> int:
    """Ask radiology's archive for everybody's 4711, then for one, and fetch a study from elsewhere."""
    problems: list[str] = []
    console.rule("2. Patient 4711? Three people, one per issuer; and one member that did not answer")
    head, body = ask(port, "/federated/dicom-web/studies?PatientID=4711&includefield=00100021")
    rows = json.loads(body)
    table = Table("patient", "issuer", "name", "study", "images", "held by")
    for row in rows:
        table.add_row(*(value(row, tag) for tag in ("00100020", "00100021", "00100010", "00081030", "00201208", "00091001")))
    console.print(table)
    console.print(f"[yellow]Warning: {head['Warning']}[/yellow]")
    if {value(row, "00100021") for row in rows} != {"RAD", "CARD", "PATH"} or "basement" not in (head["Warning"] or ""):
        problems.append(f"expected three patients and a warning about the basement, got {len(rows)} and {head['Warning']}")
    console.rule("3. Patient 4711 of cardiology, and nobody else")
    _, body = ask(port, "/federated/dicom-web/studies?PatientID=4711&IssuerOfPatientID=CARD")
    rows = json.loads(body)
    console.print(", ".join(f"{value(row, '00100010')}: {value(row, '00081030')}" for row in rows))
    if [value(row, "00100010") for row in rows] != ["MUELLER^HANS"]:
        problems.append("a stranger's study was answered")
    console.rule("4. The study is fetched from cardiology through radiology")
    study = value(rows[0], "0020000D") if rows else "0"
    _, body = ask(port, f"/federated/dicom-web/studies/{study}", 'multipart/related; type="application/dicom"')
    images_got = body.count(b"Content-Type: application/dicom")
    console.print(f"{images_got} images, {len(body):,} octets")
    if images_got != 3:
        problems.append(f"expected 3 images, got {images_got}")
    _, body = ask(port, f"/dicom-web/studies?StudyInstanceUID={study}")
    console.print("Radiology's own archive holds it: " + ("yes" if json.loads(body) else "no, it was only passed on"))
    for problem in problems:
        console.print(f"[red]{problem}[/red]")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
