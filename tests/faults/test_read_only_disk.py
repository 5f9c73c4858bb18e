"""A disk that is mounted read-only, as after it failed: everything held can be taken out, nothing is put in, and the reason is told."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from vna_core.cli.application import run
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("read-only")

FIRST, SECOND = phantoms.ct(1000, 32, 32), phantoms.ct(1001, 32, 32)
SOP = phantoms.uid(2, 1, 1)
Call = Callable[..., tuple[int, list[dict[str, object]], str]]


@pytest.fixture(params=["closed", "killed"])
def read_only(small_disk: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A data folder with two instances on a read-only mount; the last commit of the one that was killed is in the log alone."""
    ready, place = small_disk / "data", tmp_path / "read-only"
    place.mkdir()
    for number, octets in enumerate((FIRST, SECOND)):
        (tmp_path / f"{number}.dcm").write_bytes(octets)
    assert run(["ingest", str(tmp_path / "0.dcm"), "--data", str(ready)]) == 0
    with closing(sqlite3.connect(ready / "catalogue.sqlite")) as left_open:
        if request.param == "killed":  # leaves its log, as one does that has the database open
            left_open.execute("SELECT count(*) FROM instances").fetchone()
        assert run(["ingest", str(tmp_path / "1.dcm"), "--data", str(ready)]) == 0
        for options in (["--bind"], ["-o", "remount,ro,bind"]):
            subprocess.run(["mount", *options, str(small_disk), str(place)], check=True)
        try:
            yield place / "data"
        finally:
            subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def vna(read_only: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Calls a command with ``--json``: exit code, lines, standard error."""

    def call(*arguments: str) -> tuple[int, list[dict[str, object]], str]:
        capfd.readouterr()
        code = run([*arguments, "--data", str(read_only), "--json"])
        output, error = capfd.readouterr()
        return code, [json.loads(line) for line in output.splitlines()], " ".join(error.split())

    return call


def test_a_store_that_can_only_be_read_is_listed_as_such(
    small_disk: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "vna.yaml"
    config.write_text(
        f"data: {tmp_path / 'data'}\nstores:\n  second: {{type: filesystem, options: {{path: {small_disk / 'store'}}}}}\n"
    )
    (tmp_path / "0.dcm").write_bytes(FIRST)
    assert run(["ingest", str(tmp_path / "0.dcm"), "--config", str(config)]) == 0

    def states() -> tuple[int, dict[str, str]]:
        capfd.readouterr()
        code = run(["store", "list", "--json", "--config", str(config)])
        return code, {one["store"]: one["state"] for one in map(json.loads, capfd.readouterr().out.splitlines())}

    assert states() == (0, {"landing": "ok", "second": "ok"})
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert states() == (3, {"landing": "ok", "second": "store-unavailable"})


def test_everything_is_taken_out(vna: Call, tmp_path: Path) -> None:
    assert vna("stats")[1][0]["instances"] == 2
    assert len(vna("find", "--level", "image")[1]) == 2
    assert vna("explain", SOP)[1][0]["sop_instance_uid"] == SOP
    code, lines, error = vna("get", phantoms.uid(2), "--original", "-o", str(tmp_path / "out"))
    assert (code, len(lines)) == (0, 2), error
    assert {path.read_bytes() for path in (tmp_path / "out").iterdir()} == {FIRST, SECOND}
    assert vna("export", "zarr", phantoms.uid(2, 1), "-o", str(tmp_path / "zarr"))[0] == 0
    assert vna("inventory", "write", "-o", str(tmp_path / "inventory"))[0] == 0


def test_a_damaged_copy_costs_itself_only(vna: Call, small_disk: Path, tmp_path: Path) -> None:
    [path] = (small_disk / "data" / "store" / "studies").glob(f"*/*/*/{SOP}.*.dcm")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-500] + bytes(500))
    code, lines, _ = vna("get", phantoms.uid(2), "--original", "-o", str(tmp_path / "out"))
    assert code == 3
    assert sorted(str(line["outcome"]) for line in lines) == ["failed", "written"]
    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [SECOND]


SERVE = ("serve", "--http", "127.0.0.1:0", "--dimse", "127.0.0.1:0")


@pytest.mark.parametrize("command", [("ingest", "."), SERVE, ("delete", "study", phantoms.uid(2), "--reason", "x")])
def test_what_writes_says_why_it_cannot(read_only: Path, capfd: pytest.CaptureFixture[str], command: tuple[str, ...]) -> None:
    capfd.readouterr()
    assert run([*command, "--data", str(read_only)]) == 2
    error = " ".join(capfd.readouterr().err.split())
    assert "mounted read-only" in error
    assert "owner" not in error
