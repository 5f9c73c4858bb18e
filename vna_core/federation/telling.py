"""Telling one member one correction: to another of these archives as it is, to others by what IHE and HL7 offer for it."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from vna_core.catalogue import Catalogue
from vna_core.configuration.federation import MemberSettings, told_at
from vna_core.configuration.tls import TlsSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.refusal import one_line, said
from vna_core.dicom.network.requestor import request
from vna_core.dicom.network.tls import ClientTls, TlsStream
from vna_core.dicom.network.web_client import WebClient, authorization
from vna_core.dicom.rejection_note import Rejected
from vna_core.dicom.rejection_note_writing import write_note
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.corrections import KEY_OBJECT_SELECTION, AwaitedRejection, Correction, CorrectionKind, Rejection
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotOffered, PeerError, PeerUnavailable
from vna_core.domain.identifiers import PatientKey, uid_is_valid
from vna_core.federation.rejected import MayCorrect, everywhere

PATIENCE: Final = 60.0
"""Seconds that a member may take to answer one correction."""
EXPLICIT: Final = "1.2.840.10008.1.2.1"
_OUT_OF_RESOURCES: Final = 0xA700
_DATA_SET: Final = 132


class Channel(Protocol):
    """One way to tell a member."""

    def tell(self, correction: Correction, affected: Sequence[Rejected], patient: PatientKey) -> None:
        """Have a correction applied; returns when the member has said so. May be repeated.

        Parameters
        ----------
        affected
            What is rejected or deleted, all of one study; empty for corrections of patients and for what takes one back.
        patient
            Under whom it is filed.

        Raises
        ------
        PeerUnavailable
            The member did not answer: try again.
        NotOffered
            A correction like this cannot be told in this way.
        PeerError
            It refused.

        What the member says of its reasons is in the error's field ``said``; it may name patients.
        """


def open_channel(kind: CorrectionKind, settings: MemberSettings, calling: str, tls: ClientTls) -> Channel | None:
    """How a member is told corrections of a kind; None: it takes none. Addresses with encryption are spoken to by `tls`."""
    address = told_at(settings.corrections, kind)
    if address is None:
        return None
    host, port = address.hostname or "", address.port
    if address.scheme in ("mllp", "mllps"):
        return MergeMessage(host, port or 0, tls if address.scheme == "mllps" else None)
    if address.scheme in ("dimse", "dimses"):
        return StoredNote(host, port or 0, address.username or "", calling, tls if address.scheme == "dimses" else None)
    plain = address._replace(scheme=address.scheme.split("+", 1)[1], query="")
    client = WebClient(plain, authorization(plain, settings.corrections_token, "", ""), tls, asks_why=True)
    return OtherArchive(client, settings.issuer) if address.scheme.startswith("vna+") else PostedNote(client)


class OtherArchive:
    """``POST /api/v1/corrections`` of another of these archives: every kind, and what takes it back.

    Parameters
    ----------
    issuer
        Of the IDs that it answers without one: it may have filed them so.
    """

    def __init__(self, client: WebClient, issuer: str) -> None:
        self._client = client
        self._issuer = issuer

    def tell(self, correction: Correction, affected: Sequence[Rejected], patient: PatientKey) -> None:
        """See `Channel.tell`."""
        del patient
        said: dict[str, Any] = {"id": correction.id, "kind": correction.kind.value, "reason": correction.reason[:1000]}
        said |= {"made_by": correction.made_by[:1000], "undoes": correction.undoes}
        if affected:
            said |= {"study": affected[0].study_instance_uid, "instances": [one.sop_instance_uid for one in affected]}
            said["code"] = str(correction.content.get("code", ""))
        for name in ("first", "second", "study"):
            if correction.content.get(name):
                said[name] = correction.content[name]
        if self._issuer and correction.content.get("first"):
            said["bare"] = self._issuer
        answer = self._client.document("/api/v1/corrections", body=said, deadline=Deadline(PATIENCE))
        if isinstance(answer, dict) and answer.get("state") == "other-patient":
            raise PeerError("The study is filed under another patient there, so that nothing was moved.")


class MergeMessage:
    """ADT^A40 over MLLP (HL7 v2.5.1 3.3.40): merges. HL7 has no message that takes one back."""

    def __init__(self, host: str, port: int, tls: ClientTls | None = None) -> None:
        self._address = (host, port)
        self._tls = tls

    def tell(self, correction: Correction, affected: Sequence[Rejected], patient: PatientKey) -> None:
        """See `Channel.tell`."""
        del affected, patient
        if correction.undoes:
            raise NotOffered("HL7 has no message that takes a merge back: do it there by hand.")
        code, why = _acknowledged(self._address, merge_message(correction), self._tls)
        if code in ("AE", "CE"):
            raise PeerUnavailable(f"The member could not take the merge now ({code}).", said=why)
        if code not in ("AA", "CA"):
            raise PeerError(f"The member refused the merge ({code or 'no acknowledgement'}).", said=why)


def merge_message(correction: Correction) -> bytes:
    """The ADT^A40 that says a merge; its control id is the end of the correction's id, so that a repetition is recognized."""
    now = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
    prior, surviving = (_cx(*correction.content[name]) for name in ("first", "second"))
    head = f"MSH|^~\\&|VNA||||{now}||ADT^A40^ADT_A39|{correction.id[-20:]}|P|2.5.1||||||UNICODE UTF-8"
    lines = (head, f"EVN|A40|{now}", f"PID|1||{surviving}", f"MRG|{prior}")
    return ("\r".join(lines) + "\r").encode("utf-8", "replace")


def _cx(issuer: str, patient_id: str) -> str:
    return f"{_escaped(patient_id)}^^^{_escaped(issuer)}"


def _escaped(text: str) -> str:
    """Text with the separators as escape sequences, and nothing that ends a segment."""
    marks = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\"}
    return re.sub(r"[\\|^~&]", lambda match: marks[match.group()], re.sub(r"[\x00-\x1f]", " ", text))


def _acknowledged(address: tuple[str, int], message: bytes, tls: ClientTls | None) -> tuple[str, str]:
    """Send a message; MSA-1 of the answer, and its text (MSA-3, else ERR-8). Raises PeerUnavailable."""
    held = bytearray()
    try:
        with closing(socket.create_connection(address, timeout=10.0)) as opened:
            connection: socket.socket | TlsStream = opened if tls is None else tls.secured(opened, address[0])
            connection.settimeout(PATIENCE)
            connection.sendall(b"\x0b" + message + b"\x1c\x0d")
            while b"\x1c\x0d" not in held and len(held) < 1 << 20:
                piece = connection.recv(65_536)
                if not piece:
                    raise PeerUnavailable("The member ended the connection without an acknowledgement.")
                held += piece
    except OSError as error:
        raise PeerUnavailable(f"The member's HL7 port does not answer: {error.strerror or type(error).__name__}.") from error
    return _acknowledgement(bytes(held))


def _acknowledgement(answer: bytes) -> tuple[str, str]:
    """Code and text of an ACK (HL7 v2.5.1 2.15.8 and 2.15.5)."""
    found = re.search(rb"[\r\n]MSA(.)([A-Z]{2})([^\r\n]*)", answer)
    if found is None:
        return "", ""
    separator = found.group(1)
    texts = [found.group(3).split(separator)[2:3]]
    texts += [line.split(separator)[8:9] for line in re.split(rb"[\r\n]", answer) if line.startswith(b"ERR" + separator)]
    text = next((each[0] for each in texts if each and each[0]), b"")
    return found.group(2).decode("ascii"), one_line(text.decode("utf-8", "replace"))


def note_of(correction: Correction, affected: Sequence[Rejected], patient: PatientKey) -> bytes:
    """The rejection note that says a rejection or a deletion (PS3.16 CID 7011 knows no deletion: it is told as an end of retention)."""
    if correction.undoes:
        raise NotOffered("IHE IOCM has no note that takes a rejection back: do it there by hand.")
    affected = [one for one in affected if uid_is_valid(one.sop_instance_uid) and uid_is_valid(one.series_instance_uid)]
    if not affected:
        raise NotOffered("Nothing of it has UIDs that a rejection note can name.")
    code = str(correction.content.get("code", ""))
    title = Rejection(code) if code else Rejection.RETENTION
    return write_note(correction.id, title, correction.reason, patient, affected, correction.made_at)


class StoredNote:
    """A rejection note by C-STORE (IHE RAD-66)."""

    def __init__(self, host: str, port: int, called: str, calling: str, tls: ClientTls | None = None) -> None:
        self._host, self._port, self._called, self._calling, self._tls = host, port, called, calling, tls

    def tell(self, correction: Correction, affected: Sequence[Rejected], patient: PatientKey) -> None:
        """See `Channel.tell`."""
        octets = note_of(correction, affected, patient)
        contexts = [(KEY_OBJECT_SELECTION, (EXPLICIT,))]
        association = request(
            self._host,
            self._port,
            called=self._called,
            calling=self._calling,
            contexts=contexts,
            idle_timeout=PATIENCE,
            tls=self._tls,
        )
        try:
            if not association.contexts:
                raise NotOffered("The member takes no Key Object Selection documents.")
            asked: Command = {
                commands.AFFECTED_SOP_CLASS: KEY_OBJECT_SELECTION,
                commands.COMMAND_FIELD: Field.STORE_RQ,
                commands.MESSAGE_ID: 1,
                commands.PRIORITY: 0,
                commands.AFFECTED_SOP_INSTANCE: correction.id,
            }
            association.send(next(iter(association.contexts)), asked, [_data_set(octets)])
            answered = association.receive().command
            status, why = (
                commands.number(answered, commands.STATUS, 0xC000),
                one_line(commands.text(answered, commands.ERROR_COMMENT)),
            )
            association.release()
        finally:
            association.close()
        if status & 0xFF00 == _OUT_OF_RESOURCES:
            raise PeerUnavailable(f"The member has no room for the rejection note (status {status:04X}).", said=why)
        if status != 0 and status & 0xF000 != 0xB000:
            raise PeerError(f"The member refused the rejection note (status {status:04X}).", said=why)


def _data_set(octets: bytes) -> bytes:
    """What follows the file meta information, whose group length is its first element."""
    return octets[_DATA_SET + 12 + int.from_bytes(octets[_DATA_SET + 8 : _DATA_SET + 12], "little") :]


class PostedNote:
    """A rejection note by STOW-RS."""

    def __init__(self, client: WebClient) -> None:
        self._client = client

    def tell(self, correction: Correction, affected: Sequence[Rejected], patient: PatientKey) -> None:
        """See `Channel.tell`."""
        octets = note_of(correction, affected, patient)
        boundary = secrets.token_hex(16)
        body = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + octets + f"\r\n--{boundary}--\r\n".encode()
        media_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        accept = "application/dicom+json"
        with self._client.request("/studies", content=(media_type, body), accept=accept, deadline=Deadline(PATIENCE)) as answer:
            if answer.status == 202 and b"00081198" in (body := answer.whole(1 << 20)):
                raise PeerError("The member did not store the rejection note.", said=said("application/json", body))


class Telling:
    """The addresses of all members, opened once.

    Parameters
    ----------
    may_correct
        Where somebody may correct: a member is told of what is not held here by whoever may correct in its department alone, since it believes us.
    """

    def __init__(
        self,
        members: dict[str, MemberSettings],
        calling: str,
        catalogue: Catalogue,
        tls: TlsSettings | None = None,
        may_correct: MayCorrect = everywhere,
    ) -> None:
        by_tls = ClientTls.of(tls or TlsSettings())
        self._catalogue = catalogue
        self._departments = {name: one.department for name, one in members.items()}
        self._may_correct = may_correct
        self._channels = {
            (name, kind): channel
            for name, one in members.items()
            for kind in CorrectionKind
            if (channel := open_channel(kind, one, calling, by_tls)) is not None
        }

    def __call__(self, correction: Correction, member: str) -> None:
        """Tell a member. Raises as `Channel.tell`."""
        channel = self._channels.get((member, correction.kind))
        if channel is None:
            raise NotOffered("The member takes no corrections of this kind.")
        affected, patient = ([], PatientKey("", "")) if correction.undoes else self._affected(correction, member)
        if correction.kind not in (CorrectionKind.MERGE, CorrectionKind.MOVE) and not correction.undoes and not affected:
            return  # nothing but the note itself was hidden here
        channel.tell(correction, affected, patient)

    def _affected(self, correction: Correction, member: str) -> tuple[list[Rejected], PatientKey]:
        """What was hidden, by the ledger of deletions, and what is still to come, without the note itself."""
        if not correction.subject.startswith("deletion:"):
            return [], PatientKey("", "")
        rejections, note = self._catalogue.rejections, str(correction.content.get("note", ""))
        deletions = {correction.subject.removeprefix("deletion:"), *(rejections.of_note(note) if note else ())}
        versions = [one for deletion in sorted(deletions) for one in self._catalogue.deletions.versions(deletion)]
        versions = [one for one in versions if one.sop_instance_uid != note]
        studies = [one.study_instance_uid for one in self._catalogue.deletions.versions(min(deletions))]
        study = next(iter(studies), "")
        found = {
            one.sop_instance_uid: Rejected(
                one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid, one.sop_class_uid
            )
            for one in versions
            if one.study_instance_uid == study
        }
        for one in rejections.awaited_of(note) if note else ():
            if one.study_instance_uid == study and self._is_told(one, member):
                found.setdefault(one.sop_instance_uid, Rejected(study, "", one.sop_instance_uid, ""))
        patient = next((PatientKey(one.issuer, one.patient_id) for one in versions), PatientKey("", ""))
        return list(found.values()), patient

    def _is_told(self, one: AwaitedRejection, member: str) -> bool:
        kind, name, address = one.principal
        labels = self._may_correct(Principal(PrincipalKind(kind), name, address)).labels
        return labels is None or self._departments.get(member, "") in labels
