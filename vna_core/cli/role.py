"""One process of ``vna serve``: ``python -m vna_core.cli.role KIND NAME LISTENER READY``, settings as JSON on standard input."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from types import FrameType

from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings
from vna_core.logging_setup import set_up_logging

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the role until SIGTERM."""
    kind, name, listener_number, ready_number = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    _end_with_parent()
    settings = Settings.model_validate_json(sys.stdin.buffer.read())
    set_up_logging(settings.logging, name)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    listener = socket.socket(fileno=listener_number)
    with open_archive(settings, processes=settings.dimse.processes + settings.http.workers) as archive:
        os.write(ready_number, b"r")
        os.close(ready_number)
        (_dimse if kind == "dimse" else _web)(archive, listener, stop)
    if kind == "web":
        # The web server's native threads must not meet the end of the interpreter: they abort the process there.
        sys.stderr.flush()
        os._exit(0)


def _dimse(archive: Archive, listener: socket.socket, stop: threading.Event) -> None:
    from vna_core.gateways.dimse import DimseServer  # here: the web process does not need it

    settings = archive.settings
    server = DimseServer(
        settings.dimse, archive.pipeline, archive.catalogue, archive.retriever, archive.transcoder, settings.egress
    )
    serving = threading.Thread(target=server.serve, args=(listener,), name="dimse", daemon=True)
    serving.start()
    while serving.is_alive() and not stop.wait(0.5):
        continue
    server.stop()
    serving.join(6.0)


def _web(archive: Archive, listener: socket.socket, stop: threading.Event) -> None:
    from vna_core.gateways.dicomweb.app import create_app  # here: the DIMSE processes do not need it
    from vna_core.gateways.web_server import serve

    app = create_app(
        archive.settings,
        archive.pipeline,
        archive.catalogue,
        archive.retriever,
        archive.renderer,
        archive.transcoder,
        archive.stores,
    )
    serve(app, listener, archive.settings.http, stop)


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM when the supervisor is killed, so that nothing serves unsupervised."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit("the supervisor ended")


if __name__ == "__main__":
    main()
