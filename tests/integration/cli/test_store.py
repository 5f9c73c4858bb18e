"""``vna store``, and what commands say of a store that is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.peers.archive import VNA, vna
from vna_core.testing import phantoms


def test_a_disk_that_is_not_mounted_is_told_and_a_lost_one_replaced(tmp_path: Path) -> None:
    data, disk = tmp_path / "data", tmp_path / "disk" / "store"
    config, image = tmp_path / "vna.yaml", tmp_path / "image.dcm"
    config.write_text(f"stores:\n  landing:\n    options: {{path: {disk}}}\n")
    image.write_bytes(phantoms.ct(1000, 64, 64))
    with_it = ("--config", str(config))
    assert vna("ingest", str(image), *with_it, data=data)[0] == 0
    code, [before], _ = vna("store", "list", *with_it, data=data)
    assert (code, before["store"], before["state"]) == (0, "landing", "ok")

    disk.rename(tmp_path / "away")
    code, _, error = vna("ingest", str(image), *with_it, data=data)
    assert code != 0 and "`vna store replace landing`" in error and len(error.strip().splitlines()) == 1
    assert not disk.exists()
    code, [told], _ = vna("store", "list", *with_it, data=data)
    assert (code, told["state"], told["identity"]) == (3, "store-unrecognized", before["identity"])

    (tmp_path / "away").rename(disk)
    assert vna("ingest", str(image), *with_it, data=data)[0] == 0

    disk.rename(tmp_path / "lost")
    code, [replaced], _ = vna("store", "replace", "landing", "--yes", *with_it, data=data)
    assert (code, replaced["objects_missing"]) == (0, True) and replaced["identity"] != before["identity"]
    assert replaced["next"] == ["vna scrub", "vna repair"]
    code, [told], _ = vna("store", "list", *with_it, data=data)
    assert (code, told["state"]) == (0, "replaced") and "`vna scrub`" in told["message"] and "`vna repair`" in told["message"]
    code, [told], _ = vna("plugin", "doctor", "--timings", *with_it, data=data)
    assert code == 0 and told["replaced"]
    assert vna("scrub", *with_it, data=data)[0] == 3
    assert vna("store", "list", *with_it, data=data)[1][0]["state"] == "ok"
    assert not vna("plugin", "doctor", "--timings", *with_it, data=data)[1][0]["replaced"]
    assert vna("ingest", str(image), *with_it, data=data)[0] == 0
    assert next(iter(disk.rglob("*.dcm"))).is_file()


def test_a_new_store_of_which_nothing_is_known_is_not_called_replaced(tmp_path: Path) -> None:
    code, [replaced], _ = vna("store", "replace", "landing", "--yes", data=tmp_path)
    assert (code, replaced["objects_missing"], replaced["next"]) == (0, False, [])
    assert vna("store", "list", data=tmp_path)[1][0]["state"] == "ok"


def test_only_a_configured_store_is_replaced(tmp_path: Path) -> None:
    code, _, error = vna("store", "replace", "nowhere", "--yes", data=tmp_path)
    assert code != 0 and "Configured: landing" in error


def test_why_copies_are_not_made_is_said(tmp_path: Path) -> None:
    config, image, blocked = tmp_path / "vna.yaml", tmp_path / "image.dcm", tmp_path / "a-file"
    blocked.write_bytes(b"")
    config.write_text(
        f"data: {tmp_path / 'data'}\n"
        f"stores:\n  landing:\n    options: {{path: {tmp_path / 'landing'}}}\n  second:\n    options: {{path: {blocked / 'below'}}}\n"
        "placement:\n  settle: 0\n  rules:\n    - {name: two, copies: [{store: landing}, {store: second}]}\n"
    )
    image.write_bytes(phantoms.ct(1000, 64, 64))
    assert vna("ingest", str(image), "--config", str(config))[0] == 0
    done = subprocess.run(
        [*VNA, "place", "apply", "--wait", "--config", str(config)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 3
    met, why = done.stdout.splitlines()[-2:]
    assert met == "0 of 1 series have all their copies."
    assert why.startswith("1 to be tried again: ") and "second" in why
