"""``vna plugin``: a project that works as it is written, and a doctor who finds out what a store does not keep."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vna_core.domain.errors import InvalidRequest
from vna_core.testing.material import wheel_files
from vna_core.testing.plugin_projects import kinds, write_project

pytestmark = pytest.mark.xdist_group("plugin")
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "site_storage_plugin"
CARELESS = """
from vna_core.domain.octets import ByteRange
from vna_core.ports.hookspecs import hookimpl
from vna_storage_filesystem.store import FilesystemStore

class CarelessStore(FilesystemStore):
    def read(self, key, byte_range=None):
        return super().read(key, byte_range and ByteRange(max(byte_range.offset, 0), byte_range.length))

class LockedStore(FilesystemStore):
    def delete(self, key):
        from vna_core.domain.errors import StorageError
        raise StorageError("The object is locked.", store=self.name, key=key)

@hookimpl
def register_storage_backends():
    return {"careless": CarelessStore.open, "locked": LockedStore.open}
"""

NAMELESS = """
from vna_core.ports.dialect import Markers
from vna_core.ports.hookspecs import hookimpl

class Nameless:
    markers = Markers(tags=(0x00080016,))

    def recognize(self, facts):
        raise RuntimeError("a plugin's fault")

@hookimpl
def register_dialects():
    return {"nameless": Nameless()}
"""


def plugin_in(site: Path, name: str, source: str) -> None:
    """A module with its entry point, as an installer leaves it."""
    (site / f"{name}.py").write_text(source)
    metadata = site / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[vna.plugins]\n{name} = {name}\n")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not re.search(r"__pycache__|/\.", str(path.relative_to(folder.parent)))
    }


def run(*command: str, site: Path, cwd: Path, timeout: float = 240, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200", **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False)


def vna(*arguments: str, site: Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(str(Path(sys.executable).parent / "vna"), *arguments, site=site, cwd=cwd, **variables)


def install(site: Path, *projects: Path) -> None:
    """Install projects out of their own pyproject into a folder, without the network."""
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("uv is not installed")
    offline = ("--no-deps", "--no-build-isolation", "--offline", "--quiet")
    command = [str(uv), "pip", "install", "--python", sys.executable, "--target", str(site), *offline, *map(str, projects)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages in which the example is installed out of its own pyproject, without the network."""
    site = tmp_path_factory.mktemp("site")
    install(site, EXAMPLE)
    return site


def test_the_example_is_what_the_command_writes(tmp_path: Path) -> None:
    done = vna("plugin", "new", "storage", "site-database", "--json", site=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    assert files_of(tmp_path / written["folder"]) == files_of(EXAMPLE)
    again = vna("plugin", "new", "storage", "site-database", site=tmp_path, cwd=tmp_path)
    assert again.returncode == 2 and "not empty" in again.stderr


def test_the_installed_example_passes_its_own_tests(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_store.py").write_bytes((EXAMPLE / "tests" / "test_store.py").read_bytes())
    assert len((tmp_path / "test_store.py").read_text().splitlines()) <= 40
    quiet = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tmp_path}")
    done = run(sys.executable, "-m", "pytest", *quiet, str(tmp_path), site=installed, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_an_archive_lands_its_instances_in_the_installed_example(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "vna.yaml").write_text("stores:\n  landing: {type: site-database, options: {path: objects.sqlite}}\n")
    (tmp_path / "in.dcm").write_bytes(wheel_files()[0])

    def told(*arguments: str) -> str:
        done = vna(*arguments, "--config", "vna.yaml", "--data", "data", site=installed, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "1 held" in told("ingest", "in.dcm")
    assert not (tmp_path / "data" / "store").exists()
    uid = json.loads(told("find", "--level", "image", "--json"))["00080018"]["Value"][0]
    told("get", uid, "--original", "-o", "out")
    assert (tmp_path / "out" / f"{uid}.original.dcm").read_bytes() == wheel_files()[0]


def test_another_name_gives_another_project(tmp_path: Path) -> None:
    for kind in kinds():
        written = write_project(kind, "tape_robot2", tmp_path / kind)
        texts = {path: path.read_text() for path in written}
        assert tmp_path / kind / f"vna_{kind}_tape_robot2" / "__init__.py" in texts
        assert not [path for path, text in texts.items() if "MODULE" in text or "$" in text]
        for path, text in texts.items():
            if path.suffix == ".py":
                compile(text, str(path), "exec")


@pytest.mark.parametrize("name", ["", "Tape", "tape robot", "../tape", "2tape", "tape--robot", "x" * 41])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no name for a plugin"):
        write_project("storage", name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_kind_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="Known: .*storage"):
        write_project("storag", "tape", tmp_path / "out")


def test_the_doctor_finds_what_differs_and_leaves_nothing(tmp_path: Path) -> None:
    plugin_in(tmp_path, "careless", CARELESS)
    stores = ", ".join(f"{kind}: {{type: {kind}, options: {{path: {tmp_path / kind}}}}}" for kind in ("careless", "locked"))
    (tmp_path / "vna.yaml").write_text(f"data: {tmp_path / 'data'}\nstores: {{{stores}}}\n")
    careless, locked = (
        vna("plugin", "doctor", name, "--config", "vna.yaml", "--json", site=tmp_path, cwd=tmp_path)
        for name in ("careless", "locked")
    )
    assert careless.returncode == 1, careless.stderr
    found = json.loads(careless.stdout)
    differs = {one["statement"].split(" (")[0] for one in found["checks"] if one["outcome"] == "failed"}
    assert "a range can count from the end" in differs and not found["healthy"]
    assert differs <= {
        "a range can count from the end",
        "a large object gets the digest of the whole",
        "any order of calls does what a dictionary would",
    }
    assert found["abilities"]["conditional_create"] and found["left_over"] == 0
    assert [path for path in (tmp_path / "careless").rglob("*") if path.is_file()] == []
    [check] = json.loads(locked.stdout)["checks"]
    assert locked.returncode == 1 and "locked" in check["detail"]
    assert len([path for path in (tmp_path / "locked").rglob("*") if path.is_file()]) == 1
    unknown = vna("plugin", "doctor", "nowhere", "--config", "vna.yaml", site=tmp_path, cwd=tmp_path)
    assert unknown.returncode == 1 and "Configured: careless, landing, locked" in unknown.stderr


def test_the_doctor_is_content_with_the_store_that_comes_with_the_archive(tmp_path: Path) -> None:
    done = vna("plugin", "doctor", "--data", "data", site=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "declares: conditional_create, local, durable_create" in done.stdout and " 0 differ" in done.stdout
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_the_doctor_takes_the_time_of_a_store_and_leaves_nothing(tmp_path: Path) -> None:
    done = vna("plugin", "doctor", "--timings", "--data", "data", "--json", site=tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(one["operation"], one["count"]) for one in found["timings"]] == [
        (name, 11) for name in ("put", "get", "range", "list")
    ]
    assert all(0 < one["median"] <= one["slowest"] for one in found["timings"])
    assert found["healthy"] and found["checks"] == []
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []
    told = vna("plugin", "doctor", "--timings", "--data", "data", site=tmp_path, cwd=tmp_path).stdout
    assert re.search(r"[0-9] ms put of 512 KiB: median of 11, slowest", told) and "differ" not in told


def test_the_doctor_makes_nothing_where_an_encrypted_store_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "vna.yaml").write_text(
        f"data: {tmp_path / 'data'}\nlanding: disk\nstores: {{disk: {{type: filesystem, options: {{path: {tmp_path / 'disk'}}}, "
        f"wrap: [{{type: encrypting, key: '{'file:' + str(tmp_path / 'key')}'}}]}}}}\n"
    )
    (tmp_path / "key").write_text("5a" * 32)
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "in.dcm").write_bytes(wheel_files()[0])
    held = vna("ingest", "in.dcm", "--config", "vna.yaml", site=tmp_path, cwd=tmp_path)
    assert held.returncode == 0, held.stderr
    (tmp_path / "disk").rename(tmp_path / "away")
    (tmp_path / "disk").mkdir()
    refused = vna("plugin", "doctor", "--config", "vna.yaml", site=tmp_path, cwd=tmp_path)
    assert refused.returncode == 1 and "is not that store" in refused.stderr and "vna store replace disk" in refused.stderr
    assert list((tmp_path / "disk").iterdir()) == []
    (tmp_path / "disk").rmdir()
    (tmp_path / "away").rename(tmp_path / "disk")
    files = files_of(tmp_path / "disk")
    assert vna("plugin", "doctor", "disk", "--config", "vna.yaml", site=tmp_path, cwd=tmp_path).returncode == 0
    assert files_of(tmp_path / "disk") == files


def test_the_list_is_the_same_under_both_names(tmp_path: Path) -> None:
    one, other = (vna(*words, "--json", site=tmp_path, cwd=tmp_path) for words in (("plugins",), ("plugin", "list")))
    assert (one.returncode, one.stdout) == (other.returncode, other.stdout)
    assert "filesystem" in json.loads(one.stdout)["storage_backends"]


def test_a_dialect_that_lacks_members_is_named_and_costs_no_image(tmp_path: Path) -> None:
    plugin_in(tmp_path, "nameless", NAMELESS)
    (tmp_path / "in.dcm").write_bytes(wheel_files()[0])
    held = vna("ingest", "in.dcm", "--data", "data", site=tmp_path, cwd=tmp_path)
    assert held.returncode == 0 and "1 held" in held.stdout, held.stdout
    assert held.stderr.count("plugin-broken") == 1
    listed = vna("plugin", "list", "--json", site=tmp_path, cwd=tmp_path)
    assert listed.returncode == 1
    told = {one["name"]: one["error"] for one in json.loads(listed.stdout)["plugins"]}
    assert "has no derive_pixels, describe, index, name, vendor_page" in told["nameless"]
    assert [name for name, error in told.items() if error] == ["nameless"]
    doctor = vna("plugin", "doctor", "--data", "data", site=tmp_path, cwd=tmp_path)
    assert doctor.returncode == 1 and "plugin nameless (nameless) is broken" in doctor.stderr and " 0 differ" in doctor.stdout
