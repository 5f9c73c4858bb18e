"""Stored files of an Orthanc, octet by octet, checked against the MD5 that it made when they arrived there."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from vna_core.dicom.network.web_client import WebClient
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotFound, PeerError, PeerRefused, PeerUnavailable
from vna_core.domain.octets import Source
from vna_core.domain.spool import Spool
from vna_core.ports.pacs import Deliver, FetchReport
from vna_pacs_orthanc.finding import FoundInstance

_IDENTIFIER: Final = re.compile(r"[0-9a-f-]{1,64}")
_MD5: Final = re.compile(r"[0-9a-f]{32}")
_TAG: Final = re.compile(r'"[0-9]+-([0-9a-f]{32})"')
TRIES: Final = 2


class StoredFiles:
    """Files of one Orthanc.

    Parameters
    ----------
    check
        Compare with Orthanc's MD5 before anything is delivered.
    """

    def __init__(self, client: WebClient, source: Source, check: bool) -> None:
        self._client, self._source, self._check = client, source, check

    def digest(self, identifier: str, deadline: Deadline | None = None) -> str:
        """MD5 of a stored file in hexadecimal; empty where Orthanc keeps none."""
        path = f"/instances/{_checked(identifier)}/attachments/dicom/md5"
        try:
            with self._client.request(path, deadline=deadline) as answer:
                text = answer.whole(1024).decode("latin-1").strip().lower()
        except NotFound:
            return ""
        return text if _MD5.fullmatch(text) else ""

    def fetch(self, one: FoundInstance, deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        """Hand one file to `deliver`. A file that differs from its MD5 twice, or is lost, is reported as failed."""
        for _ in range(TRIES):
            spool = Spool(self._source, "", "", one.sop_instance_uid)
            try:
                if self._read(one.identifier, spool, deadline):
                    deliver(spool.finish())
                    return FetchReport(1, 0)
            except NotFound:
                return FetchReport(0, 1, message="Orthanc's storage has lost the file that its index names.")
            except (PeerUnavailable, PeerRefused):
                raise
            except PeerError as error:  # Orthanc answers 500 for a file that it cannot read or uncompress
                return FetchReport(0, 1, message=error.message)
            finally:
                spool.discard()
        return FetchReport(0, 1, message="The file differs from the MD5 that Orthanc keeps of it.")

    def _read(self, identifier: str, spool: Spool, deadline: Deadline | None) -> bool:
        """Fill the spool with one file; whether it is what Orthanc once stored.

        The entity tag of an attachment holds its MD5 (Orthanc from 1.9.2 on); an older one is asked for that.
        """
        digest = hashlib.md5(usedforsecurity=False)
        with self._client.request(f"/instances/{_checked(identifier)}/attachments/dicom/data", deadline=deadline) as answer:
            for piece in answer.pieces():
                spool.write(piece)
                if self._check:
                    digest.update(piece)
            tag = _TAG.search(answer.header("ETag"))
        if not self._check:
            return True
        expected = tag[1] if tag else self.digest(identifier, deadline)
        return expected in ("", digest.hexdigest())


def _checked(identifier: str) -> str:
    if not _IDENTIFIER.fullmatch(identifier):
        raise PeerError("Orthanc gave an identifier that is none.")
    return identifier
