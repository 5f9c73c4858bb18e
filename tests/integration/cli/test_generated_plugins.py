"""``vna plugin new``: a project of every kind is installed, passes the kit as it is, and serves an archive beside others of the same name."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.integration.cli.test_plugin import install, run, vna
from vna_core.testing.phantoms import ct, uid
from vna_core.testing.plugin_projects import kinds, write_project

pytestmark = pytest.mark.xdist_group("plugin")
NAME = "north-wing"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project of every kind, all of one name."""
    folder = tmp_path_factory.mktemp("projects")
    for kind in kinds():
        write_project(kind, NAME, folder / kind)
    return {kind: folder / kind for kind in kinds()}


@pytest.fixture(scope="module")
def site(projects: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages in which all of them are installed."""
    site = tmp_path_factory.mktemp("site")
    install(site, *projects.values())
    return site


@pytest.mark.parametrize("kind", sorted({*kinds()} - {"storage"}))  # the example, which is what is generated, is tested as that
def test_a_project_passes_the_kit_as_it_is(kind: str, projects: dict[str, Path], site: Path, tmp_path: Path) -> None:
    (test,) = (projects[kind] / "tests").iterdir()
    (tmp_path / test.name).write_bytes(test.read_bytes())
    quiet = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tmp_path}")
    done = run(sys.executable, "-m", "pytest", *quiet, str(tmp_path), site=site, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_an_archive_works_with_all_of_them(site: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "00000001-0123abcd").write_bytes(bytes(range(32)))
    (tmp_path / "vna.yaml").write_text(
        f"stores:\n  landing:\n    type: {NAME}\n    options: {{path: objects.sqlite}}\n"
        f"    wrap: [{{type: encrypting, key: '{NAME}:keys'}}]\n"
    )
    (tmp_path / "in").mkdir()
    private = {
        0x00190010: ("LO", "NORTH_WING ACQUISITION"),
        0x00191010: ("DS", "12.5"),
        0x00191011: ("DS", "2.5"),
    }
    (tmp_path / "in" / "own.dcm").write_bytes(ct(1, 16, 16, private=private, Manufacturer="North-Wing GmbH"))
    (tmp_path / "in" / "other.dcm").write_bytes(ct(2, 16, 16))

    def told(*arguments: str) -> str:
        done = vna(*arguments, "--data", "data", "--config", "vna.yaml", site=site, cwd=tmp_path, NORTH_WING_FILE="told.jsonl")
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = json.loads(vna("plugin", "list", "--json", site=site, cwd=tmp_path).stdout)
    assert [one for one in listed["plugins"] if one["error"]] == []
    assert NAME in listed["storage_backends"] and NAME in listed["pacs_adapters"] and NAME in listed["dialects"]

    assert "2 held" in told("ingest", "in")
    lines = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert [line["outcome"] for line in lines] == ["held", "held"]
    own = uid(1, 1, 2)
    assert own in [line["instance"] for line in lines]
    explained = told("explain", own)
    assert f"{NAME}:thickness" in explained and "2.5 mm" in explained and "table speed in mm/s = 12.5" in explained
    (why,) = [one for one in json.loads(told("explain", own, "--json"))["warnings"] if one["rule"] == f"{NAME}:thickness"]
    assert why["tag"] == "00191011" and f"dialect '{NAME}'" in why["evidence"]
    assert b"PHANTOM" not in (tmp_path / "objects.sqlite").read_bytes()
    told("get", own, "--original", "-o", "out")
    assert (tmp_path / "out" / f"{own}.original.dcm").read_bytes() == (tmp_path / "in" / "own.dcm").read_bytes()
    assert "2 duplicate" in told("migrate", "run", f"{NAME}://{tmp_path / 'in'}")
