"""The web face as the supervisor starts it."""

from vna_core.gateways.web.server import serve

__all__ = ["serve"]
