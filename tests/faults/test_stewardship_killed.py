"""kill -9 in the middle of scrub, repair and purge: the next run finishes the work, and nothing is lost that should not be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.archive import vna
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("stewardship-killed")
DYING = """
import os, signal, sys
from datetime import timedelta
from vna_core.bootstrap import open_archive
from vna_core.configuration import load_settings
from pathlib import Path
from vna_core.stewardship import scrub
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.repair import Repairing

what, step, after, config = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
scrub._BATCH = 1
left = iter(range(after))

def die(name):
    if name == step and next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)

with open_archive(load_settings(config)) as archive:
    if what == "scrub":
        scrub.Scrub(archive.stores, archive.catalogue, after_step=die).run()
    elif what == "repair":
        Repairing(archive.stores, archive.catalogue, after_step=die).run()
    else:
        Deleting(archive.stores, archive.landing, archive.catalogue, die).purge("me", timedelta(0))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An archive of six instances in one store, each copied into a second one by a repair's own means."""
    source = tmp_path / "source"
    source.mkdir()
    for number, octets in enumerate(phantoms.series(6)):
        (source / f"{number}.dcm").write_bytes(octets)
    stores = ", ".join(f"{name}: {{type: filesystem, options: {{path: {tmp_path / name}}}}}" for name in ("landing", "second"))
    path = tmp_path / "vna.yaml"
    path.write_text(f"data: {tmp_path / 'data'}\nstores: {{{stores}}}\n")
    assert vna("ingest", str(source), "--config", str(path))[0] == 0
    for file in (tmp_path / "landing").rglob("*.dcm"):
        copy = tmp_path / "second" / file.relative_to(tmp_path / "landing")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    assert vna("scrub", "--config", str(path))[0] == 3  # the copies are orphans
    assert vna("repair", "--config", str(path))[0] == 0
    return path


def die(config: Path, what: str, step: str, after: int) -> None:
    command = [sys.executable, "-c", DYING, what, step, str(after), str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def objects(config: Path, store: str) -> list[Path]:
    return sorted((config.parent / store).rglob("*.dcm"))


def test_scrub_and_repair_killed_finish_when_they_are_run_again(config: Path) -> None:
    good = {path.name: path.read_bytes() for path in objects(config, "landing")}
    paths = objects(config, "landing")[:2] + objects(config, "second")[2:5]
    for number, path in enumerate(paths):
        path.chmod(0o600)
        octets = path.read_bytes()
        (path.unlink() if number == 4 else path.write_bytes(octets[:-9] if number == 3 else bytes([octets[0] ^ 1]) + octets[1:]))
    die(config, "scrub", "read", 5)
    code, [told], _ = vna("scrub", "--config", str(config))
    assert (code, sorted(one["outcome"] for one in told["findings"])) == (3, ["bit-rot"] * 3 + ["missing", "truncated"])
    die(config, "repair", "source", 0)
    die(config, "repair", "written", 1)
    code, [told], _ = vna("repair", "--config", str(config))
    assert code == 0 and set(told["counts"]) == {"repaired"}
    for store in ("landing", "second"):
        assert {path.name: path.read_bytes() for path in objects(config, store)} == good
    assert vna("scrub", "--config", str(config))[0] == 0


def test_a_purge_killed_is_finished_by_the_next(config: Path) -> None:
    _, rows, _ = vna("find", "--level", "study", "--config", str(config))
    uid = rows[0]["0020000D"]["Value"][0]
    code, [deletion], _ = vna("delete", "study", uid, "--reason", "test images", "--config", str(config))
    assert code == 0 and deletion["versions"] == 6
    assert vna("find", "--level", "study", "--config", str(config))[1] == []
    die(config, "purge", "removed", 4)
    assert 0 < len(objects(config, "landing")) < 6
    (config.parent / "data" / "catalogue.sqlite").unlink()  # and the catalogue is lost as well
    for path in (config.parent / "data").glob("catalogue.sqlite-*"):
        path.unlink()
    assert vna("rebuild", "--config", str(config))[0] == 0
    assert vna("find", "--level", "study", "--config", str(config))[1] == []
    code, [report], _ = vna("purge", deletion["id"], "--by", "night", "--config", str(config))
    assert (code, report["purged"]) == (0, [deletion["id"]])
    assert objects(config, "landing") == objects(config, "second") == []
    [tombstone] = vna("delete", "list", "--config", str(config))[1]
    assert (tombstone["state"], tombstone["reason"], tombstone["versions"]) == ("purged", "test images", 6)
    assert vna("rebuild", "--config", str(config))[0] == 0 and json.dumps(tombstone)
    source = str(config.parent / "source")
    assert vna("ingest", source, "--config", str(config))[0] == 3  # told as deleted, not taken again
    assert os.listdir(source)
