"""DCMTK's tools as they come against the DIMSE face."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pydicom
import pytest

from tests.peers.archive import ServedArchive, vna
from tests.peers.processes import program, running, wait_for_listener
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

pytestmark = pytest.mark.xdist_group("dcmtk")
STUDY = phantoms.uid(2)
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


def tool(archive: ServedArchive, name: str, *options: str, files: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [program(name), "-aec", "VNA", *options, "127.0.0.1", str(archive.dimse_port), *files]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)


@pytest.fixture(scope="module", autouse=True)
def stored(archive: ServedArchive, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("files")
    paths = []
    for number, octets in enumerate(phantoms.series(8)):
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(octets)
    assert tool(archive, "storescu", files=tuple(map(str, paths))).returncode == 0


def test_echo(archive: ServedArchive) -> None:
    assert tool(archive, "echoscu").returncode == 0


def test_dcmsend_sends_every_transfer_syntax_as_it_is(archive: ServedArchive) -> None:
    names = (
        "JPEG2000.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "image_dfl.dcm",
        "JPGLosslessP14SV1_1s_1f_8b.dcm",
    )
    files = [str(SAMPLES / name) for name in names if (SAMPLES / name).exists()]
    done = tool(archive, "dcmsend", "--decompress-never", files=tuple(files))
    assert done.returncode == 0, done.stderr
    for path in files:
        assert vna("explain", str(pydicom.dcmread(path).SOPInstanceUID), data=archive.data)[0] == 0


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("StudyInstanceUID=" + STUDY,), 1),
        (("PatientID=P000001", "StudyInstanceUID="), 1),
        (("PatientName=phantom^*1", "StudyInstanceUID="), 1),
        (("PatientName=Nobody*", "StudyInstanceUID="), 0),
        (("PatientID=P00000%", "StudyInstanceUID="), 0),
        (("StudyDate=20260201-20260301", "PatientID=P000001", "StudyInstanceUID="), 1),
        (("StudyDate=20270101-", "StudyInstanceUID=", "PatientID=P000001"), 0),
        (("ModalitiesInStudy=CT", "PatientID=P000001", "StudyInstanceUID="), 1),
        (("ModalitiesInStudy=MR", "PatientID=P000001", "StudyInstanceUID="), 0),
    ],
)
def test_study_level_matching(archive: ServedArchive, keys: tuple[str, ...], expected: int) -> None:
    options = [part for key in ("QueryRetrieveLevel=STUDY", *keys) for part in ("-k", key)]
    done = tool(archive, "findscu", "-S", *options)
    assert done.returncode == 0, done.stderr
    assert (done.stderr + done.stdout).count("(Pending") == expected


@pytest.mark.parametrize(
    ("level", "model", "expected"), [("PATIENT", "-P", 1), ("SERIES", "-S", 1), ("IMAGE", "-S", 8), ("IMAGE", "-P", 8)]
)
def test_every_level_and_model_is_answered(archive: ServedArchive, level: str, model: str, expected: int) -> None:
    keys = {
        "PATIENT": ("PatientID=P000001",),
        "SERIES": (f"StudyInstanceUID={STUDY}", "SeriesInstanceUID="),
        "IMAGE": (f"SeriesInstanceUID={STUDY}.1", "SOPInstanceUID="),
    }[level]
    options = [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]
    done = tool(archive, "findscu", model, *options)
    assert (done.stderr + done.stdout).count("(Pending") == expected


def test_findscu_asks_for_what_is_in_a_sequence(archive: ServedArchive) -> None:
    keys = ("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={STUDY}", "SeriesInstanceUID=")
    for key, expected in (("ScheduledProcedureStepID=SPS404", 0), ("ScheduledProcedureStepID=", 1), ("CodeValue=", 1)):
        options = [part for one in (*keys, f"RequestAttributesSequence[0].{key}") for part in ("-k", one)]
        done = tool(archive, "findscu", "-S", *options)
        assert done.returncode == 0, done.stderr
        assert (done.stderr + done.stdout).count("(Pending)") == expected, done.stderr + done.stdout


def test_a_wrong_level_is_told(archive: ServedArchive) -> None:
    done = tool(archive, "findscu", "-v", "-S", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID=")
    assert "(Pending" not in done.stderr + done.stdout
    assert "0xa900" in (done.stderr + done.stdout).lower() or "DataSetDoesNotMatch" in done.stderr + done.stdout


def test_get_brings_the_canonical_objects(archive: ServedArchive, tmp_path: Path) -> None:
    done = tool(
        archive, "getscu", "-S", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"
    )
    assert done.returncode == 0, done.stderr
    received = sorted(tmp_path.iterdir())
    assert len(received) == 8
    expected = {phantoms.uid(2, 1, n + 1): phantoms.pixels(1000 + n, 64, 64) for n in range(8)}
    for path in received:
        dataset = pydicom.dcmread(path)
        assert dataset.PixelData == expected[dataset.SOPInstanceUID]


def test_move_sends_to_a_peer(archive: ServedArchive, store_port: int, tmp_path: Path) -> None:
    with running([program("storescp"), "-od", str(tmp_path), "-aet", "STORESCP", str(store_port)], tmp_path / "log") as process:
        wait_for_listener(store_port, process)
        done = tool(
            archive, "movescu", "-S", "-aem", "STORESCP", "-k", "QueryRetrieveLevel=SERIES",
            "-k", f"StudyInstanceUID={STUDY}", "-k", f"SeriesInstanceUID={STUDY}.1",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert len([path for path in tmp_path.iterdir() if path.name != "log"]) == 8


def test_move_transcodes_for_a_peer_that_takes_implicit_only(archive: ServedArchive, store_port: int, tmp_path: Path) -> None:
    command = [program("storescp"), "+xi", "-od", str(tmp_path), "-aet", "STORESCP", str(store_port)]
    with running(command, tmp_path / "log") as process:
        wait_for_listener(store_port, process)
        uid = str(pydicom.dcmread(SAMPLES / "MR_small_RLE.dcm").StudyInstanceUID)
        fill("127.0.0.1", archive.dimse_port, "VNA", [(SAMPLES / "MR_small_RLE.dcm").read_bytes()])
        done = tool(
            archive, "movescu", "-S", "-aem", "STORESCP", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"
        )
        assert done.returncode == 0, done.stderr
        files = [path for path in tmp_path.iterdir() if path.name != "log"]
        original = pydicom.dcmread(SAMPLES / "MR_small_RLE.dcm")
        assert any((pydicom.dcmread(path).pixel_array == original.pixel_array).all() for path in files)


def test_an_unknown_destination_is_refused(archive: ServedArchive) -> None:
    done = tool(archive, "movescu", "-S", "-aem", "NOBODY", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}")
    assert "MoveDestinationUnknown" in done.stderr + done.stdout


def test_an_unreachable_destination_counts_as_failures(archive: ServedArchive) -> None:
    done = tool(
        archive, "movescu", "-v", "-S", "-aem", "STORESCP", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}"
    )
    assert "OutOfResources" in done.stderr + done.stdout or "0xa702" in (done.stderr + done.stdout).lower()


def test_a_cut_file_is_told_to_its_sender_and_kept(archive: ServedArchive, tmp_path: Path) -> None:
    from vna_core.dicom.network import command as commands
    from vna_core.dicom.network.command import Field
    from vna_core.dicom.network.requestor import request

    octets = phantoms.odd()["cut_in_pixels"].octets
    association = request(
        "127.0.0.1", archive.dimse_port, called="VNA", calling="T", contexts=[(phantoms.CT, ("1.2.840.10008.1.2.1",))]
    )
    asked: commands.Command = {
        commands.AFFECTED_SOP_CLASS: phantoms.CT,
        commands.COMMAND_FIELD: Field.STORE_RQ,
        commands.MESSAGE_ID: 1,
        commands.PRIORITY: 0,
        commands.AFFECTED_SOP_INSTANCE: "1.2.3",
    }
    association.send(1, asked, [octets[octets.index(b"ISO_IR 100") - 8 :]])
    answer = association.receive().command
    association.release()
    assert commands.number(answer, commands.STATUS) == 0xC000
    assert commands.text(answer, commands.ERROR_COMMENT)
    assert any(one["code"] == "truncated" for one in vna("quarantine", "list", data=archive.data)[1])


def test_a_folder_is_sent_with_default_socket_settings(archive: ServedArchive, tmp_path: Path) -> None:
    for number, octets in enumerate(phantoms.series(30, number=9)):
        (tmp_path / f"{number}.dcm").write_bytes(octets)
    assert tool(archive, "storescu", "+sd", files=(str(tmp_path),)).returncode == 0
    assert vna("find", "PatientID=P000009", data=archive.data)[1][0]["00201208"]["Value"] == [30]


def test_many_idle_connections_do_not_keep_anybody_out(archive: ServedArchive) -> None:
    import socket

    idle = [socket.create_connection(("127.0.0.1", archive.dimse_port)) for _ in range(60)]
    try:
        assert tool(archive, "echoscu").returncode == 0
    finally:
        for one in idle:
            one.close()
