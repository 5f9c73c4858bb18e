"""The main job: migrate a legacy PACS, explain, retrieve canonical and bit-exact, find by DICOMweb. Exit code 0 only if all sums close."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from legacy_pacs import legacy_pacs
from rich.console import Console
from rich.table import Table

from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings
from vna_core.domain.query import Level, Query
from vna_core.testing.fill import fill
from vna_core.testing.material import wheel_files
from vna_core.testing.phantoms import odd

console = Console(highlight=False)
VNA = [str(Path(sys.executable).parent / "vna")]


def main() -> int:
    """Run the example in a temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="vna-quickstart-"))
    problems: list[str] = []
    try:
        data = folder / "archive"
        with legacy_pacs(folder / "legacy") as (product, port):
            console.rule(f"1. A legacy PACS: {product} on port {port}")
            material = [*wheel_files(), *(phantom.octets for phantom in odd().values() if phantom.sendable)]
            sent = fill("127.0.0.1", port, "OLDPACS", material)
            console.print(
                f"{sent.offered} real files and phantoms with vendor oddities sent; the PACS accepted {sent.accepted},"
                f" which are {sent.instances} instances by their UIDs"
            )
            console.rule("2. Migration")
            problems += migrate(f"dimse://OLDPACS@127.0.0.1:{port}", data)
        console.rule("3. Files with vendor oddities, straight from a folder")
        problems += ingest_oddities(folder / "media", data)
        console.rule("4. What was normalized, and why")
        explain(data)
        console.rule("5. Out again: canonical, bit-exact, and by DICOMweb")
        problems += serve_and_fetch(folder, data)
        if problems:
            for problem in problems:
                console.print(f"[red]{problem}[/red]")
            return 1
        console.rule("Every sum closes")
        console.print("Next: `.venv/bin/vna serve --data my-archive` and open docs/tutorials/first-archive.md")
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(*arguments: str, check: bool = True) -> list[dict[str, Any]]:
    """Run a vna command with --json; its lines."""
    done = subprocess.run([*VNA, *arguments, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if check and done.returncode not in (0, 3):
        raise SystemExit(f"vna {arguments[0]} failed with exit code {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def migrate(source: str, data: Path) -> list[str]:
    """Migrate with a progress bar, then again to see that nothing is left."""
    first = subprocess.run([*VNA, "migrate", "run", source, "--data", str(data)], check=False)
    again = run("migrate", "run", source, "--data", str(data))[-1]["summary"]
    ends = sum(again[name] for name in ("held", "duplicate", "conflict", "quarantined", "failed", "missing"))
    console.print(f"run again: {again['fetched']} fetched, {again['missing']} missing")
    problems = []
    if first.returncode or again["failed"] or again["missing"]:
        problems.append("the migration left instances behind")
    if ends != again["inventoried"] or not again["inventoried"]:
        problems.append("the sum of the migration does not close")
    if again["fetched"]:
        problems.append("the second run fetched what was held already")
    return problems


def ingest_oddities(media: Path, data: Path) -> list[str]:
    """Offer every odd phantom as a file; each ends where its truth says."""
    media.mkdir()
    expected = {}
    for name, phantom in odd().items():
        (media / f"{name}.dcm").write_bytes(phantom.octets)
        expected[str(media / f"{name}.dcm")] = phantom.outcome
    *lines, last = run("ingest", "--data", str(data), str(media))
    counts = Counter(line["outcome"] for line in lines)
    console.print(", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))
    problems = []
    if last["summary"]["offered"] != len(expected) or sum(counts.values()) != len(expected):
        problems.append("the sum of the folder does not close")
    for line in lines:
        wanted = expected[line["path"]]
        acknowledged = line["outcome"] in ("held", "duplicate", "conflict")
        if acknowledged != (wanted == "held"):
            problems.append(f"{Path(line['path']).name}: {line['outcome']}, expected {wanted}")
    return problems


def explain(data: Path) -> None:
    """A table of rules over everything that is held."""
    rules: Counter[tuple[str, str, str]] = Counter()
    with open_archive(Settings(data=data)) as archive:
        for match in archive.catalogue.search(Query(Level.IMAGE)).matches:
            for change in archive.catalogue.explanation(match.pk).transformations:
                rules[change.rule, change.confidence.value, change.detail or change.keyword] += 1
    table = Table("rule", "confidence", "what", "instances")
    for (rule, confidence, detail), count in rules.most_common(25):
        table.add_row(rule, confidence, detail, str(count))
    console.print(table)


def serve_and_fetch(folder: Path, data: Path) -> list[str]:
    """Start the server, find and fetch one instance by DICOMweb, compare the octets as received with their digest."""
    command = [*VNA, "serve", "--data", str(data), "--http", "127.0.0.1:0", "--dimse", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        ready = server.stdout.readline().split()
        if not ready or ready[0] != "ready":
            return ["the server did not start"]
        web = "http://" + ready[1].removeprefix("http=")
        studies = ask(f"{web}/dicom-web/studies?limit=3")
        console.print(f"QIDO-RS: {len(studies)} studies on the first page, the newest of {len(run('find', '--data', str(data)))}")
        uid = ask(f"{web}/dicom-web/instances?limit=1")[0]["00080018"]["Value"][0]
        explained = run("explain", uid, "--data", str(data))[0]
        with urllib.request.urlopen(f"{web}/api/v1/instances/{uid}/original") as answer:
            original = answer.read()
        exact = hashlib.sha256(original).hexdigest() == explained["original_sha256"]
        console.print(f"{uid}: {len(original):,} octets as received come back, bit-exact: {exact}")
        run("get", uid, "--data", str(data), "-o", str(folder / "out"))
        canonical = next((folder / "out").glob("*.dcm")).read_bytes()
        console.print(f"canonical Part 10 file: {len(canonical):,} octets")
        return [] if exact and canonical[128:132] == b"DICM" else ["the instance did not come back as it was received"]
    finally:
        server.send_signal(signal.SIGTERM)
        if server.wait(15):
            console.print("the server ended with an error")


def ask(url: str) -> Any:
    """GET a DICOM JSON document."""
    request = urllib.request.Request(url, headers={"Accept": "application/dicom+json"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


if __name__ == "__main__":
    sys.exit(main())
