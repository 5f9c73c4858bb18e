"""``vna keys`` on an archive that is encrypted."""

from __future__ import annotations

from pathlib import Path

from tests.peers.archive import vna
from vna_core.testing import phantoms


def test_keys_are_made_listed_and_rotated(tmp_path: Path) -> None:
    data, key, config = tmp_path / "data", tmp_path / "master.key", tmp_path / "vna.yaml"
    config.write_text(
        f"stores:\n  landing:\n    options: {{path: {data}/store}}\n    wrap:\n      - {{type: encrypting, key: 'file:{key}'}}\n"
    )
    source = tmp_path / "image.dcm"
    source.write_bytes(phantoms.ct(1000, 64, 64))
    code, [made], _ = vna("keys", "make", str(key))
    assert code == 0
    assert vna("ingest", str(source), "--config", str(config), data=data)[0] == 0
    _, [listed], _ = vna("keys", "list", "--config", str(config), data=data)
    assert (listed["store"], listed["generation"], listed["master_key"]) == ("landing", 1, made["master_key"])
    _, [second], _ = vna("keys", "make", str(key))
    code, rotated, _ = vna("keys", "rotate", "--config", str(config), data=data)
    assert code == 0
    assert [(one["generation"], one["master_key"]) for one in rotated] == [(1, second["master_key"]), (2, second["master_key"])]
    key.write_text(key.read_text().splitlines()[0])
    code, [report], _ = vna("rebuild", "--config", str(config), data=data)
    assert (code, report["known"], report["damaged"]) == (0, 1, [])


def test_rotating_where_nothing_is_encrypted_is_refused(tmp_path: Path) -> None:
    code, _, error = vna("keys", "rotate", data=tmp_path)
    assert code == 2
    assert "No store is encrypted" in error
