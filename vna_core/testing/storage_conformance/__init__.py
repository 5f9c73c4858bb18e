"""What every storage backend must do, as tests a plugin's own test suite inherits.

Examples
--------
::

    class TestOurStore(StoreConformance):
        def open_store(self, folder: Path) -> Store:
            return OurStore("ours", folder)

``folder`` is empty for every test; a backend without one makes itself a fresh bucket or prefix instead, named by the folder.
What the backend cannot do is said by class attributes of `StoreConformance`, and `unavailable` lets the kit see it fail.
"""

from __future__ import annotations

import pytest

for _topic in ("creating", "large", "reading", "listing", "failing", "whole", "model"):
    pytest.register_assert_rewrite(f"{__name__}.{_topic}")
pytest.register_assert_rewrite("vna_core.testing.storage_tiers")

from vna_core.testing.storage_conformance.creating import Creating  # noqa: E402 - after the registration
from vna_core.testing.storage_conformance.failing import Failing  # noqa: E402
from vna_core.testing.storage_conformance.keys import ESCAPES, STRANGE  # noqa: E402
from vna_core.testing.storage_conformance.large import CreatingLarge  # noqa: E402
from vna_core.testing.storage_conformance.listing import Listing  # noqa: E402
from vna_core.testing.storage_conformance.model import StoreModel  # noqa: E402
from vna_core.testing.storage_conformance.reading import Reading  # noqa: E402
from vna_core.testing.storage_conformance.whole import Whole  # noqa: E402
from vna_core.testing.storage_tiers import TierConformance  # noqa: E402

__all__ = ["ESCAPES", "STRANGE", "StoreConformance", "StoreModel"]


class StoreConformance(Creating, CreatingLarge, Reading, Listing, Failing, Whole, TierConformance):
    """Base class of a backend's tests."""
