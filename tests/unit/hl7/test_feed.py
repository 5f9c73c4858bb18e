"""The feed of patient administration: real connections, real messages, hostile ones too; AA only when it is durable."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, Settings
from vna_core.domain.audit import AuditEvent, NoAudit
from vna_core.domain.errors import AuditUnavailable, InvalidRequest, VnaError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import LinkKind, LinkOrigin
from vna_core.gateways.hl7.adt import MOST_MERGES
from vna_core.gateways.hl7.message import acknowledgement, parse
from vna_core.gateways.hl7.server import END, START, MllpServer
from vna_core.logging_setup import LastingLogger

HIS, RAD = "HIS", "RAD"


class Recording(NoAudit):
    """Keeps events; can fail."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []
        self.broken = False

    def note_durably(self, event: AuditEvent) -> None:
        if self.broken:
            raise AuditUnavailable("no room")
        self.events.append(event)


def adt(event: str, control: str, *segments: str, ending: str = "\r") -> bytes:
    lines = [
        f"MSH|^~\\&|ADMIN|HOSPITAL|VNA|ARCHIVE|20261126090000||ADT^{event}|{control}|P|2.5",
        f"EVN|{event}|20261126",
        *segments,
    ]
    return (ending.join(lines) + ending).encode()


class Feed:
    """A listening feed and its parts."""

    def __init__(self, catalogue: Catalogue, configuration: Settings) -> None:
        self.catalogue, self.audit = catalogue, Recording()
        self.server = MllpServer(configuration, catalogue, self.audit)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.server.serve, args=(self.listener,))
        self.thread.start()

    def connection(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname()[:2], timeout=20)

    def send(self, *messages: bytes) -> list[str]:
        """Codes of the acknowledgements, over one connection."""
        with self.connection() as connection:
            return [code_of(connection, message) for message in messages]

    def end(self) -> None:
        self.server.stop()
        self.thread.join()
        self.listener.close()


def code_of(connection: socket.socket, message: bytes) -> str:
    connection.sendall(START + message + END)
    return parse(received(connection)).named("MSA")[0].value(1)


def received(connection: socket.socket) -> bytes:
    held = b""
    while not held.endswith(END):
        piece = connection.recv(65536)
        assert piece, "the connection ended"
        held += piece
    return held[1:-2]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Feed]]:
    ends: list[Callable[[], None]] = []

    def make(**hl7: object) -> Feed:
        configuration = Settings.model_validate(
            {
                "data": tmp_path,
                "hl7": {"issuers": {"MPI": HIS}, "issuer": "LOCAL", **hl7},
                "identity": {"match": ["name", "birth-date", "sex"]},
            }
        )
        catalogue = Catalogue.open(CatalogueSettings(), tmp_path)
        feed = Feed(catalogue, configuration)
        ends.extend((catalogue.close, feed.end))
        return feed

    yield make
    for end in reversed(ends):
        end()


PID = "PID|1||4711^^^MPI^MR~99^^^RAD||Müller^Anna^B||19600101|F"


def test_an_update_keeps_demographics_and_links_the_ids_it_names(start: Callable[..., Feed]) -> None:
    feed = start()
    assert feed.send(adt("A08", "1", PID), adt("A08", "1", PID)) == ["AA", "AA"]
    identity = feed.catalogue.identity
    said = identity.demographics(PatientKey(HIS, "4711"))
    assert said is not None and (said.name, said.birth_date, said.sex) == ("Müller^Anna^B", "19600101", "F")
    assert identity.same_person(PatientKey(HIS, "4711")) == {PatientKey(HIS, "4711"), PatientKey(RAD, "99")}
    (link,) = identity.listed()
    assert (link.kind, link.origin, link.made_by, link.reason) == (
        LinkKind.LINK, LinkOrigin.ADT, "hl7 ADMIN^HOSPITAL", "ADT^A08 1 names both IDs",
    )  # fmt: skip
    assert feed.audit.events and all(event.principal.address == "127.0.0.1" for event in feed.audit.events)


@pytest.mark.parametrize("event", ["A40", "A47"])
def test_a_merge_and_a_change_let_the_old_id_go_up_in_the_new(start: Callable[..., Feed], event: str) -> None:
    feed = start()
    two = ("PID|||1^^^MPI", "MRG|2^^^MPI", "PID|||3^^^MPI", "PV1|x", "MRG|4^^^MPI~5^^^MPI")
    assert feed.send(adt(event, "7", *two)) == ["AA"]
    merged = {(link.first.patient_id, link.second.patient_id) for link in feed.catalogue.identity.listed()}
    assert merged == {("2", "1"), ("4", "3"), ("5", "3")}
    assert feed.catalogue.identity.shown_as([PatientKey(HIS, "2")]) == {PatientKey(HIS, "2"): PatientKey(HIS, "1")}


def test_each_id_goes_up_in_that_of_its_own_issuer(start: Callable[..., Feed]) -> None:
    feed = start()
    assert feed.send(adt("A40", "7", "PID|||1^^^MPI~8^^^RAD~6^^^CARD", "MRG|2^^^MPI~9^^^RAD~6^^^CARD~7^^^LAB")) == ["AA"]
    merged = {(link.first, link.second) for link in feed.catalogue.identity.listed() if link.kind is LinkKind.MERGE}
    of = PatientKey
    assert merged == {(of(HIS, "2"), of(HIS, "1")), (of(RAD, "9"), of(RAD, "8")), (of("LAB", "7"), of(HIS, "1"))}


def test_what_is_to_be_deleted_is_nobodys_id_and_like_nobody(start: Callable[..., Feed]) -> None:
    """Else two patients whose radiology number was cleared were one."""
    feed = start()
    cleared = '~""^^^RAD~""||""^""||""|""'
    assert feed.send(adt("A08", "1", f"PID|||1^^^MPI{cleared}"), adt("A08", "2", f"PID|||2^^^OTHER{cleared}")) == ["AA", "AA"]
    assert feed.send(adt("A08", "3", 'PID|||""^^^RAD'), adt("A40", "4", "PID|||1^^^MPI", 'MRG|""^^^MPI')) == ["AR", "AR"]
    assert feed.catalogue.identity.listed(all_=True) == []
    said = feed.catalogue.identity.demographics(PatientKey(HIS, "1"))
    assert said is not None and (said.name, said.birth_date, said.sex) == ("", "", "")
    assert feed.send(adt("A08", "5", 'PID|||5^^^""')) == ["AA"]
    assert feed.catalogue.identity.demographics(PatientKey("LOCAL", "5")) is not None


@pytest.mark.parametrize(
    ("named", "codec", "name"),
    [
        ("~ISO IR87", "iso2022_jp", "山田"),
        ("GB 18030-2000", "gb18030", "丄亅"),
        ("BIG-5", "big5", "功蓋"),
        ("KS X 1001", "euc_kr", "김희중"),
        ("8859/2", "iso-8859-2", "Łukasz"),
        ("~8859/5", "iso-8859-5", "Люк"),
        ("ASCII~8859/5", "iso-8859-5", "Люк"),
        ("UNICODE UTF-8~8859/1", "utf-8", "Łukasz"),
    ],
)
def test_a_name_is_read_in_the_character_set_that_the_message_names(
    named: str, codec: str, name: str, start: Callable[..., Feed]
) -> None:
    feed = start()
    octets = adt("A08", "1", f"PID|||1^^^MPI||{name}^A||19600101|F").decode()
    header, rest = octets.split("\r", 1)
    header += "|" * (17 - header.count("|")) + named
    assert feed.send(f"{header}\r{rest}".encode(codec)) == ["AA"]
    said = feed.catalogue.identity.demographics(PatientKey(HIS, "1"))
    assert said is not None and (said.name, said.birth_date, said.sex) == (f"{name}^A", "19600101", "F")


def test_a_message_merges_so_many_ids_and_no_more(start: Callable[..., Feed]) -> None:
    feed = start()
    pids = [("PID|||0^^^MPI", f"MRG|{number}^^^MPI") for number in range(1, MOST_MERGES + 2)]
    all_but_one = [segment for pair in pids[:-1] for segment in pair]
    assert feed.send(adt("A40", "1", *all_but_one, *pids[-1]), adt("A40", "2", *all_but_one)) == ["AR", "AA"]
    assert len(feed.catalogue.identity.listed()) == MOST_MERGES
    assert feed.send(adt("A40", "3", "PID|||499^^^MPI", "MRG|0^^^MPI")) == ["AR"], "it would close a circle"
    chain = [segment for number in range(600, 700) for segment in (f"PID|||{number - 1}^^^MPI", f"MRG|{number}^^^MPI")]
    assert feed.send(adt("A40", "4", *chain), adt("A40", "5", "PID|||699^^^MPI", "MRG|599^^^MPI")) == ["AA", "AR"]


def test_a_merge_that_is_refused_changes_nothing(start: Callable[..., Feed]) -> None:
    feed = start()
    identity, one, two = feed.catalogue.identity, PatientKey(HIS, "1"), PatientKey(HIS, "2")
    assert feed.send(adt("A04", "1", "PID|||1^^^MPI||Other^Paul||19500101|M")) == ["AA"]
    assert feed.send(adt("A40", "2", "PID|||2^^^MPI", "MRG|1^^^MPI")) == ["AA"]
    before = (identity.listed(all_=True), [identity.demographics(key) for key in (one, two, PatientKey(HIS, "3"))])
    back = ("PID|||3^^^MPI||Third^Tom||19600101|M", "MRG|4^^^MPI", "PID|||1^^^MPI||Doe^Jane||19700101|F", "MRG|2^^^MPI")
    assert feed.send(adt("A40", "3", *back)) == ["AR"]
    assert (identity.listed(all_=True), [identity.demographics(key) for key in (one, two, PatientKey(HIS, "3"))]) == before


@pytest.mark.parametrize(
    "message", [adt("A40", "4", "PID|||1^^^MPI", "MRG|2^^^MPI"), adt("A01", "4", "PID|||1^^^MPI~2^^^RAD")], ids=["merge", "link"]
)
def test_what_was_taken_back_is_not_done_again_by_the_same_message(start: Callable[..., Feed], message: bytes) -> None:
    feed = start()
    assert feed.send(message) == ["AA"]
    (link,) = feed.catalogue.identity.listed()
    feed.catalogue.identity.undo(link.id, by="carol", reason="another person")
    assert feed.send(message) == ["AA"]
    assert feed.catalogue.identity.listed() == []
    assert feed.send(message.replace(b"|4|P|", b"|5|P|")) == ["AA"]  # said anew
    assert len(feed.catalogue.identity.listed()) == 1


def test_a_rule_does_not_link_what_somebody_parted_whoever_had_linked_it(start: Callable[..., Feed]) -> None:
    feed = start()
    identity = feed.catalogue.identity
    said = "||MULLER^ANNA^B||19600101|F"
    first, other = PatientKey(HIS, "4711"), PatientKey(RAD, "17")
    made = identity.decide(LinkKind.LINK, first, other, origin=LinkOrigin.HAND, reason="passport", by="bob")
    identity.undo(made.id, by="carol", reason="sisters")
    assert feed.send(adt("A04", "1", f"PID|||4711^^^MPI{said}"), adt("A04", "2", f"PID|||17^^^RAD{said}")) == ["AA", "AA"]
    assert identity.listed() == []


def test_a_rule_links_equal_demographics_and_does_not_insist(start: Callable[..., Feed]) -> None:
    feed = start()
    other = "PID|||17^^^RAD||MULLER^ANNA^B||19600101|F"
    first = "PID|||4711^^^MPI||Müller^Anna^B||19600101|F"
    assert feed.send(adt("A04", "1", first), adt("A04", "2", other)) == ["AA", "AA"]
    (link,) = feed.catalogue.identity.listed()
    assert (link.origin, link.reason) == (LinkOrigin.RULE, "equal name, birth-date, sex")
    feed.catalogue.identity.undo(link.id, by="carol", reason="sisters")
    assert feed.send(adt("A08", "3", first)) == ["AA"]
    assert feed.catalogue.identity.listed() == []


def test_nothing_is_acknowledged_that_is_not_recorded(start: Callable[..., Feed]) -> None:
    feed = start()
    feed.audit.broken = True
    assert feed.send(adt("A40", "1", "PID|||1^^^MPI", "MRG|2^^^MPI")) == ["AE"]
    assert feed.catalogue.identity.listed() == []
    feed.audit.broken = False
    assert feed.send(adt("A40", "1", "PID|||1^^^MPI", "MRG|2^^^MPI")) == ["AA"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (adt("A03", "1", PID), "AR"),
        (adt("A08", "1"), "AR"),
        (adt("A08", "1", "PID|1||"), "AR"),
        (adt("A40", "1", PID), "AR"),
        (adt("A40", "1", PID, "MRG|"), "AR"),
        (adt("A40", "1", PID, "MRG|2^^^MPI", PID, "MRG|^^^MPI"), "AR"),
        (b"MSH|^~\\&|a|b|c|d|e||ORU^R01|1|P|2.5\r", "AR"),
        (b"no message at all", "AR"),
        (b"", "AR"),
        (adt("A08", "1", PID, ending="\n"), "AA"),
        (adt("A08", "1", PID, ending="\r\n"), "AA"),
        (adt("A08", "1", PID).decode().encode("latin-1"), "AA"),
        (adt("A08", "1", PID).replace(b"|", b"#").replace(b"^~\\&", b"$~\\&").replace(b"^", b"$"), "AA"),
    ],
)
def test_each_message_has_its_answer(start: Callable[..., Feed], message: bytes, code: str) -> None:
    assert start().send(message) == [code]


def test_several_messages_in_one_packet_and_noise_between_them_are_answered_in_order(start: Callable[..., Feed]) -> None:
    feed = start()
    with feed.connection() as connection:
        connection.sendall(b"noise" + START + adt("A08", "one", PID) + END + b"\r\n" + START + adt("A03", "two") + END)
        held = b""
        while held.count(END) < 2:
            held += connection.recv(65536)
    answers = [parse(one[1:]).named("MSA")[0] for one in held.split(END) if one]
    assert [(one.value(1), one.value(2)) for one in answers] == [("AA", "one"), ("AR", "two")]


def test_what_is_too_large_ends_its_connection_alone(start: Callable[..., Feed]) -> None:
    feed = start(max_message=2048)
    with feed.connection() as large, feed.connection() as other:
        large.sendall(START + b"x" * 100_000)
        with contextlib.suppress(ConnectionResetError):  # what was not read makes the end a reset
            assert large.recv(10) == b""
        assert code_of(other, adt("A08", "1", PID)) == "AA"


def test_too_many_and_strangers_are_turned_away(start: Callable[..., Feed]) -> None:
    feed = start(max_connections=1)
    with feed.connection() as first:
        assert code_of(first, adt("A08", "1", PID)) == "AA"
        with feed.connection() as second:
            assert second.recv(10) == b""
    foreign = start(senders=["192.0.2.1"])
    with foreign.connection() as stranger:
        assert stranger.recv(10) == b""


def test_a_log_that_cannot_be_written_costs_no_answer(start: Callable[..., Feed], monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise ValueError("I/O operation on closed file")

    log = type("Log", (), dict.fromkeys(("info", "warning", "error", "exception"), staticmethod(closed)))
    monkeypatch.setattr("vna_core.gateways.hl7.server._log", log)
    feed = start()
    assert feed.send(b"no message at all", adt("A08", "1", PID)) == ["AR", "AA"]
    feed.audit.broken = True
    assert feed.send(adt("A08", "2", PID)) == ["AE"]


def test_the_log_itself_lets_lines_go_that_it_cannot_write(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w")
    stream.close()
    LastingLogger(stream).warning("nobody reads this")


def test_when_the_server_has_stopped_no_connection_of_it_is_left(start: Callable[..., Feed]) -> None:
    feed = start()
    with feed.connection() as silent, feed.connection() as half:
        half.sendall(START + b"MSH|")
        assert code_of(silent, adt("A08", "1", PID)) == "AA"
        feed.server.stop()
        feed.thread.join()
        assert silent.recv(10) == b"" and half.recv(10) == b""
    assert not feed.server._open


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.binary(max_size=200).map(lambda tail: adt("A08", "1", PID) + tail)))
def test_no_octets_break_the_parser(octets: bytes) -> None:
    try:
        message = parse(octets)
    except InvalidRequest:
        return
    for segment in message.segments:
        for number in range(12):
            for repetition in segment.repetitions(number):
                segment.value(number, 1, 1, repetition)
                segment.value(number, 4, 2, repetition)
    assert parse(acknowledgement(message, "AA")).named("MSA")[0].value(1) == "AA"


def test_escapes_are_resolved_and_answers_cannot_be_injected() -> None:
    segment = parse(adt("A08", "x", r"PID|||4\F\7\S\1^^^A\T\B||Doe\E\^J\X0D\n")).named("PID")[0]
    assert (segment.value(3), segment.value(3, 4), segment.value(5)) == ("4|7^1", "A&B", "Doe\\")
    hostile = parse(b"MSH|^~\\&|a\\F\\b|c|d|e|f||ADT^A08|1\\F\\AE|P|2.5\r")
    answer = acknowledgement(hostile, "AA", "a|b\rMSA|AE")
    assert answer.count(b"\r") == 2
    assert parse(answer).named("MSA")[0].value(1) == "AA"


def test_errors_have_codes() -> None:
    assert issubclass(AuditUnavailable, VnaError) and AuditUnavailable.transient
