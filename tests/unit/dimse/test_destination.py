"""What ends the attempts to send to a move destination, and what ends one instance alone."""

from __future__ import annotations

from typing import Any, cast

import pytest

from vna_core.configuration import PeerSettings
from vna_core.dicom.network.association import ConnectionLost
from vna_core.domain.errors import DecodeError, DigestMismatch, VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dimse.arriving import Progress
from vna_core.gateways.dimse.destination import Destination


class Association:
    """One that can be ended."""

    def abort(self, source: int) -> None:
        del source

    release = abort


class Sender:
    """Fails in the midst of every instance."""

    def __init__(self, error: VnaError) -> None:
        self.error = error
        self.associations = 0

    def connected(self, *_: Any) -> Any:
        self.associations += 1
        return Association()

    def store(self, *_: Any) -> int | None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "tried"), [(ConnectionLost("gone"), 3), (DigestMismatch("damaged"), 6), (DecodeError("broken"), 6)]
)
def test_a_destination_is_given_up_for_its_own_failures_and_not_for_damaged_images(error: VnaError, tried: int) -> None:
    sender, progress = Sender(error), Progress(6)
    destination = Destination(sender, "THERE", PeerSettings(host="127.0.0.1", port=104), None)
    held = cast(HeldInstance, type("Held", (), {"sop_instance_uid": "1.2.3"})())
    assert [destination.store(held, {}, progress) for _ in range(6)] == [None] * 6
    assert sender.associations == tried
    assert progress.comment == error.message
