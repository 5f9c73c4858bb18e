"""Access tiers, immutability policies, legal holds, and the rehydration of archived blobs."""

from __future__ import annotations

from typing import Any, Final

from azure.storage.blob import ImmutabilityPolicy, StandardBlobTier

from vna_core.domain.errors import StorageError
from vna_core.ports.storage import Terms
from vna_storage_azure.client import AzureClient, error_code

TIERS: Final = ("Hot", "Cool", "Cold", "Archive")
ARCHIVED: Final = "Archive"


class ObjectTerms:
    """Changes how blobs of one container are kept.

    Parameters
    ----------
    locks
        The container was made for immutability of single blobs.
    """

    def __init__(self, client: AzureClient, locks: bool) -> None:
        self._client, self._locks = client, locks

    def apply(self, name: str, terms: Terms) -> None:
        """Bring a blob to these terms. Raises as `Store.adjust`."""
        client, blob = self._client, self._client.blob(name)
        found = client.call(blob.get_blob_properties(**client.retries), name)
        if terms.tier and terms.tier != found.blob_tier:
            if terms.tier not in TIERS:
                raise StorageError(f"Store {client.name!r} has no tier {terms.tier!r}.", store=client.name)
            client.call(blob.set_standard_blob_tier(StandardBlobTier(terms.tier), **client.retries), name)
        if (terms.locked_until is not None or terms.legal_hold) and not self._locks:
            raise StorageError(f"Store {client.name!r}: the container was made without immutability.", store=client.name)
        if terms.locked_until is not None:
            self._lock(name, terms, found)
        if terms.legal_hold is not None and self._locks:
            client.call(blob.set_legal_hold(terms.legal_hold, **client.retries), name)

    def _lock(self, name: str, terms: Terms, found: Any) -> None:
        client, held = self._client, found.immutability_policy
        locked = str(getattr(held, "policy_mode", "") or "").casefold() == "locked"
        until = getattr(held, "expiry_time", None)
        long_enough = until is not None and terms.locked_until is not None and until >= terms.locked_until.replace(microsecond=0)
        if long_enough and (locked or not terms.compliance):
            return
        policy = ImmutabilityPolicy(
            expiry_time=terms.locked_until, policy_mode="Locked" if terms.compliance or locked else "Unlocked"
        )
        client.call(client.blob(name).set_immutability_policy(policy, **client.retries), name)

    def recall(self, name: str, days: int) -> bool:
        """Begin to bring a blob of the Archive tier back to Hot; whether it can be read. It stays there until it is moved again."""
        del days
        client, blob = self._client, self._client.blob(name)
        found = client.call(blob.get_blob_properties(**client.retries), name)
        if found.blob_tier == ARCHIVED and not found.archive_status:
            request = blob.set_standard_blob_tier(StandardBlobTier.HOT, rehydrate_priority="Standard", **client.retries)
            try:
                client.call(request, name)
            except StorageError as error:  # another process asked a moment ago
                if error_code(error.__cause__) != "BlobBeingRehydrated":
                    raise
            found = client.call(blob.get_blob_properties(**client.retries), name)
        return bool(found.blob_tier != ARCHIVED)
