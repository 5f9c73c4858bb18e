"""Commands about people and their rights: `vna patient`, `departments`, `audit`, `reject` and `corrections`, on a small archive."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.peers.processes import free_port
from vna_core.cli.application import run
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("commands")
Vna = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    (folder / "source").mkdir()
    for number, octets in enumerate(phantoms.series(2)):
        (folder / "source" / f"{number}.dcm").write_bytes(octets)
    member = {"url": "dicomweb+http://127.0.0.1:1/x", "corrections": {"all": f"vna+http://127.0.0.1:{free_port()}"}}
    digest = "ab" * 32
    configuration = {
        "data": str(folder / "data"),
        "http": {"tokens": {"viewer": digest, "boss": digest.replace("a", "c")}},
        "departments": {"radiology": {"principals": "viewer"}},
        "policy": {"administrators": "boss", "unassigned": "radiology"},
        "federation": {"members": {"heart": member}},
    }
    (folder / "vna.yaml").write_text(json.dumps(configuration))
    assert run(["ingest", str(folder / "source"), "--config", str(folder / "vna.yaml")]) == 0
    return folder


@pytest.fixture
def vna(folder: Path, capsys: pytest.CaptureFixture[str]) -> Vna:
    def call(*arguments: str, as_json: bool = True) -> tuple[int, list[dict[str, Any]]]:
        capsys.readouterr()
        code = run([*arguments, "--config", str(folder / "vna.yaml"), *(["--json"] if as_json else [])])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()] if as_json else []

    return call


def test_patients_are_linked_merged_explained_and_taken_apart(vna: Vna) -> None:
    assert vna("patient", "link", "1^^^RAD", "9^^^CARD")[0] == 2, "a reason is needed"
    code, (link,) = vna("patient", "link", "1^^^RAD", "9^^^CARD", "--reason", "passport seen")
    assert code == 0 and (link["kind"], link["origin"], link["first"]) == ("link", "hand", "1^^^RAD")
    _, (merge,) = vna("patient", "merge", "2^^^RAD", "1^^^RAD", "--reason", "registered twice")
    _, (told,) = vna("patient", "explain", "2^^^RAD")
    assert told["shown_as"] == "1^^^RAD" and told["same_person"] == ["1^^^RAD", "2^^^RAD", "9^^^CARD"]
    assert [one["id"] for one in vna("patient", "list")[1]] == [link["id"], merge["id"]]
    code, (undone,) = vna("patient", "unlink", str(link["id"]), "--reason", "sisters")
    assert code == 0 and undone["undone_reason"] == "sisters"
    assert len(vna("patient", "list")[1]) == 1 and len(vna("patient", "list", "--all")[1]) == 2
    assert vna("patient", "unmerge", "999", "--reason", "x")[0] == 1
    assert vna("patient", "move", "1.2", "1^^^RAD", "nonsense^", "--reason", "x")[0] == 2
    assert vna("patient", "list", as_json=False)[0] == 0


def test_departments_tell_what_is_theirs_and_who_may_what(vna: Vna) -> None:
    code, counted = vna("departments", "list")
    assert code == 0 and counted == [{"label": "radiology", "studies": 1, "instances": 2}]
    assert vna("departments", "assign")[1] == [{"changed": 0}]
    _, (viewer,) = vna("departments", "who", "token:viewer")
    assert (viewer["department"], viewer["administrator"]) == ("radiology", False)
    assert viewer["may"]["query"] == ["radiology"] and viewer["may"]["delete"] == []
    _, (boss,) = vna("departments", "who", "token:boss")
    assert boss["may"]["delete"] == "everything"
    assert vna("departments", "who", "nobody")[0] == 2
    assert vna("departments", "who", "token:viewer", as_json=False)[0] == 0


def test_the_audit_trail_is_listed_verified_and_exported(vna: Vna, folder: Path, tmp_path: Path) -> None:
    code, listed = vna("audit", "list", "--limit", "5")
    assert code == 0 and len(listed) == 5
    assert listed[-1]["event"]["id"][0] == "110101", "that the trail is read is in the trail"
    code, (report,) = vna("audit", "verify")
    assert code == 0 and report["records"] >= 5 and report["findings"] == []
    for form, begin in (("json", "{"), ("xml", "<?xml")):
        target = tmp_path / form
        assert run(["audit", "export", "--format", form, "-o", str(target), "--config", str(folder / "vna.yaml")]) == 0
        assert target.read_text().startswith(begin)
    assert run(["audit", "export", "--format", "csv", "--config", str(folder / "vna.yaml")]) == 2


def test_what_is_rejected_travels_and_waits_for_a_dead_member(vna: Vna, folder: Path) -> None:
    _, (found,) = vna("find", "PatientID=P000001")
    study = found["0020000D"]["Value"][0]
    assert vna("reject", "study", study, "--title", "ugly", "--reason", "x")[0] == 2
    code, (rejected,) = vna("reject", "study", study, "--title", "quality", "--reason", "blurred")
    assert code == 0 and (rejected["rejection"], rejected["versions"]) == ("113001", 2)
    assert vna("find", "PatientID=P000001")[1] == []
    code, told = vna("corrections", "send")
    assert code == 3 and {"member": "heart", "state": "waiting", "corrections": 2} in told
    _, listed = vna("corrections", "list", "--waiting")
    assert [one["kind"] for one in listed] == ["merge", "reject"]
    code, (one,) = vna("corrections", "show", listed[0]["id"])
    (member,) = one["members"]
    assert code == 0 and member["state"] == "waiting" and member["attempts"] == 1 and "onnection" in member["error"]
    assert vna("corrections", "show", "2.25.1")[0] == 1
    assert vna("corrections", "retry", "--member", "heart")[1] == [{"deliveries": 2}]
    for command in ("list", "send"):
        assert vna("corrections", command, as_json=False)[0] in (0, 3)
    code, _ = vna("undelete", rejected["id"])
    assert code == 0 and len(vna("find", "PatientID=P000001")[1]) == 1
    assert [bool(one["undoes"]) for one in vna("corrections", "list", "--member", "heart")[1]] == [False, False, True]
