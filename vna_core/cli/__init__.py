"""The ``vna`` command: one small module per command, loaded when it is used."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the ``vna`` command. Errors of ours become one clear line and an exit code."""
    from vna_core.cli.application import run  # here, so that importing the package for a role stays cheap

    sys.exit(run(sys.argv[1:]))
