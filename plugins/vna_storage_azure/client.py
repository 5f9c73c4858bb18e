"""The connection: adlfs's service client, called from any thread, with every failure translated."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import adlfs
import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob.aio import BlobClient, ContainerClient
from fsspec.asyn import sync

from vna_core.domain.errors import (
    ConfigurationError,
    DigestMismatch,
    InvalidRequest,
    ObjectArchived,
    ObjectExists,
    ObjectMissing,
    OutOfResources,
    StorageError,
    StoreRefused,
    StoreUnavailable,
    VnaError,
)
from vna_storage_azure.options import AzureOptions

T = TypeVar("T")

_TAKEN: Final = frozenset(("BlobAlreadyExists", "ConditionNotMet", "UnauthorizedBlobOverwrite"))
_NO_CONTAINER: Final = frozenset(("ContainerNotFound", "ContainerDisabled", "ResourceTypeMismatch"))
_DAMAGED: Final = frozenset(("Md5Mismatch", "Crc64Mismatch", "InvalidMd5"))
_ARCHIVED: Final = frozenset(("BlobArchived", "BlobBeingRehydrated"))
_FULL: Final = frozenset(("AccountLimitExceeded", "StorageQuotaExceeded", "InsufficientStorage"))


class AzureClient:
    """One container of one account. Every call may come from any thread."""

    def __init__(self, name: str, options: AzureOptions) -> None:
        self.name, self.container_name = name, options.container
        self.retries: dict[str, Any] = {
            "retry_total": options.attempts - 1,
            "retry_connect": options.attempts - 1,
            "retry_read": options.attempts - 1,
            "retry_status": options.attempts - 1,
            "connection_timeout": options.connect_timeout,
            "read_timeout": options.timeout,
        }
        try:
            self._filesystem = adlfs.AzureBlobFileSystem(
                skip_instance_cache=True,
                use_listings_cache=False,
                account_name=options.account or None,
                account_host=options.account_host or None,
                account_key=options.account_key.get_secret_value() or None,
                sas_token=options.sas_token.get_secret_value() or None,
                connection_string=options.connection_string.get_secret_value() or None,
                tenant_id=options.tenant or None,
                client_id=options.client or None,
                client_secret=options.client_secret.get_secret_value() or None,
            )
        except ValueError as error:
            message = f"Store {name!r}: the account or its credentials cannot be used; check the options."
            raise ConfigurationError(message, store=name) from error
        self._loop = self._filesystem.loop
        self.container: ContainerClient = self._filesystem.service_client.get_container_client(options.container)

    def blob(self, name: str) -> BlobClient:
        """One object."""
        return self.container.get_blob_client(name)

    def call(self, request: Coroutine[Any, Any, T], key: str = "") -> T:
        """Wait for a request.

        Raises
        ------
        ObjectMissing, ObjectExists, ObjectArchived, OutOfResources, DigestMismatch, StoreRefused, StoreUnavailable, StorageError
            See `translated`.
        """
        return self.result(self.start(request), key)

    def start(self, request: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """The same without waiting; hand the future to `result`."""
        return asyncio.run_coroutine_threadsafe(request, self._loop)

    def result(self, future: concurrent.futures.Future[T], key: str = "") -> T:
        """What a started request answered. Raises as `call`."""
        try:
            return future.result()
        except (TimeoutError, AzureError, aiohttp.ClientError, OSError) as error:
            raise translated(error, self.name, self.container_name, key) from error
        except ValueError as error:  # the client's own word for damage, found on reading
            raise StoreUnavailable(f"Store {self.name!r} gave back damaged octets ({error}).", store=self.name) from error

    def close(self) -> None:
        """Close the connections."""
        sync(self._loop, self._filesystem.service_client.close)


def error_code(error: BaseException | None) -> str:
    """The code in a service's answer; empty where there was none."""
    code = getattr(error, "error_code", "") or ""
    return str(getattr(code, "value", code))


def translated(error: Exception, store: str, container: str, key: str = "") -> VnaError:
    """Our error for one of the client's."""
    if isinstance(error, HttpResponseError) and error.status_code:
        return _answered(error, store, container, key)
    if isinstance(error, ClientAuthenticationError):
        return StoreRefused(f"Store {store!r}: no credentials that work were found.", store=store)
    if isinstance(error, (ServiceRequestError, ServiceResponseError, aiohttp.ClientError, OSError, asyncio.TimeoutError)):
        return StoreUnavailable(f"Store {store!r} does not answer ({type(error).__name__}).", store=store)
    return StoreUnavailable(f"Store {store!r} fails ({type(error).__name__}).", store=store)


def _answered(error: HttpResponseError, store: str, container: str, key: str) -> VnaError:
    code, status = error_code(error), int(error.status_code or 0)
    if code in _NO_CONTAINER:
        return StoreRefused(f"Store {store!r}: container {container!r} does not exist; create it first.", store=store)
    if code in _ARCHIVED:
        return ObjectArchived("The object is in the Archive tier: recall it, then read it.", store=store, key=key)
    if code in _TAKEN or status == 412:
        return ObjectExists("The key exists already; nothing was written.", store=store, key=key)
    if code in _DAMAGED:
        return DigestMismatch("The octets were damaged on their way to the store; nothing was stored.", store=store, key=key)
    if code in _FULL or status == 507:
        return OutOfResources(f"Store {store!r} is full.", limit=f"stores.{store}", maximum="quota", store=store)
    if code == "BlobImmutableDueToPolicy":
        return StorageError("The object is locked.", store=store, key=key)
    if status >= 500 or status in (408, 429) or code in ("ServerBusy", "OperationTimedOut", "ContainerBeingDeleted"):
        return StoreUnavailable(f"Store {store!r} answers {code or status}; try again later.", store=store)
    if status == 404:
        return ObjectMissing("The object is not in the store.", store=store, key=key)
    if status in (401, 403):
        return StoreRefused(
            f"Store {store!r}: container {container!r} refuses ({code or status}): check account, credentials and rights.",
            store=store,
        )
    if code in ("InvalidUri", "OutOfRangeInput", "InvalidResourceName"):
        return InvalidRequest("The service does not take this key.", store=store)
    return StorageError(f"Store {store!r} refuses: {code or status}.", store=store, key=key)
