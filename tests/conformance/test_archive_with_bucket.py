"""An archive runs with a landing folder and a bucket, or with a bucket alone; a careless service is refused for landing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.peers.s3_service import S3Service
from vna_core.testing.material import wheel_files

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

pytestmark = pytest.mark.xdist_group("s3")


def vna(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VNA_")}
    command = [str(Path(sys.executable).parent / "vna"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


def configure(folder: Path, landing: str, **stores: dict[str, object]) -> None:
    (folder / "vna.yaml").write_text(yaml.safe_dump({"data": "data", "landing": landing, "stores": stores}))
    (folder / "in.dcm").write_bytes(wheel_files()[0])


def test_a_landing_folder_and_a_bucket(seaweed: S3Service, tmp_path: Path) -> None:
    bucket = seaweed.make_bucket("archive-beside")
    files = {"type": "filesystem", "options": {"path": "landing"}}
    configure(tmp_path, "files", files=files, cloud={"type": "s3", "options": seaweed.options(bucket)})
    done = vna(tmp_path, "ingest", "in.dcm", "--config", "vna.yaml")
    assert done.returncode == 0 and "1 held" in done.stdout, done.stderr
    shown = vna(tmp_path, "config", "show", "--config", "vna.yaml")
    assert yaml.safe_load(shown.stdout)["stores"]["cloud"]["options"]["bucket"] == bucket
    assert "peer-secret" not in shown.stdout
    assert {"s3", "azure", "fsspec"} <= set(json.loads(vna(tmp_path, "plugins", "--json").stdout)["storage_backends"])


def test_instances_land_in_a_bucket_and_come_back_as_received(seaweed: S3Service, tmp_path: Path) -> None:
    bucket = seaweed.make_bucket("archive-landing")
    configure(tmp_path, "cloud", cloud={"type": "s3", "options": seaweed.options(bucket)})
    done = vna(tmp_path, "ingest", "in.dcm", "--config", "vna.yaml")
    assert done.returncode == 0 and "1 held" in done.stdout, done.stderr
    uid = json.loads(vna(tmp_path, "find", "--level", "image", "--json", "--config", "vna.yaml").stdout)["00080018"]["Value"][0]
    assert vna(tmp_path, "get", uid, "--original", "-o", "out", "--config", "vna.yaml").returncode == 0
    assert (tmp_path / "out" / f"{uid}.original.dcm").read_bytes() == wheel_files()[0]
    [held] = [one for one in seaweed.call("list_objects_v2", Bucket=bucket)["Contents"] if one["Key"].startswith("studies/")]
    assert uid in held["Key"]


def test_a_service_that_overwrites_is_no_landing_store(rclone_service: S3Service, tmp_path: Path) -> None:
    bucket = rclone_service.make_bucket("archive-careless")
    configure(tmp_path, "cloud", cloud={"type": "s3", "options": rclone_service.options(bucket)})
    done = vna(tmp_path, "ingest", "in.dcm", "--config", "vna.yaml")
    assert done.returncode == 2
    assert "cannot keep what it acknowledges" in done.stderr
