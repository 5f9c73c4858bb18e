"""The DIMSE face: C-ECHO, C-STORE, C-FIND, C-MOVE, C-GET and Storage Commitment as SCP."""

from vna_core.gateways.dimse.server import DimseServer

__all__ = ["DimseServer"]
