"""The connection: s3fs's session, called from any thread, with every failure translated."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import s3fs
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)
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
from vna_storage_s3.options import S3Options

_MISSING: Final = frozenset(("NoSuchKey", "NoSuchVersion", "NotFound", "404"))
_DENIED: Final = frozenset(
    (
        *("AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"),
        *("InvalidToken", "RequestTimeTooSkewed", "NotSignedUp", "401", "403", "Forbidden"),
    )
)
_ADVICE: Final = {
    "RequestTimeTooSkewed": "the clock of this machine and the service's differ too much: set it by a time server",
    "ExpiredToken": "the session's credentials have ended: renew them, and check the clock of this machine",
}
"""What to do about refusals that have one reason; an answer without a body (to HEAD) names none but its status."""
_WRONG: Final = frozenset(
    (
        *("AuthorizationHeaderMalformed", "InvalidBucketName", "PermanentRedirect", "IllegalLocationConstraintException", "301"),
        *("InvalidStorageClass", "KMS.NotFoundException", "ObjectLockConfigurationNotFoundError"),
    )
)
"""What the configuration says of the bucket is not so."""
_DAMAGED: Final = frozenset(("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"))
_FULL: Final = frozenset(("QuotaExceeded", "BucketQuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"))
_PASSING: Final = frozenset(
    (
        *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "RequestTimeout"),
        *("ServiceUnavailable", "InternalError", "OperationAborted", "ConditionalRequestConflict", "IncompleteBody", "429"),
    )
)
TAKEN: Final = frozenset(("PreconditionFailed", "412"))


class S3Client:
    """One connection pool to one service. Every call may come from any thread."""

    def __init__(self, name: str, options: S3Options) -> None:
        self.name, self.bucket, self._attempts = name, options.bucket, options.attempts
        session: dict[str, Any] = {"profile": options.profile} if options.profile else {}
        self._filesystem = s3fs.S3FileSystem(
            skip_instance_cache=True,
            use_listings_cache=False,
            key=options.access_key or None,
            secret=options.secret_key.get_secret_value() or None,
            token=options.session_token.get_secret_value() or None,
            endpoint_url=options.endpoint or None,
            client_kwargs={"region_name": options.region} if options.region else {},
            config_kwargs={
                "retries": {"mode": "standard", "total_max_attempts": options.attempts},
                "connect_timeout": options.connect_timeout,
                "read_timeout": options.timeout,
                "max_pool_connections": options.connections,
                "s3": {"addressing_style": options.addressing},
                # the checksums are ours, in plain headers: many servers do not know those in trailers
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
            **session,
        )
        self._loop = self._filesystem.loop
        self._connection: Any = None

    def call(self, operation: str, key: str = "", /, **parameters: Any) -> dict[str, Any]:
        """One request on the bucket; with `key`, on that object. A body in the answer is read whole (``Body``: bytes).

        Raises
        ------
        ObjectMissing, ObjectExists, ObjectArchived, OutOfResources, DigestMismatch, ConfigurationError, StoreUnavailable, StoreRefused, StorageError
            See `translated`.
        """
        return self.result(self.start(operation, key, **parameters), key)

    def start(self, operation: str, key: str = "", /, **parameters: Any) -> concurrent.futures.Future[dict[str, Any]]:
        """The same without waiting; hand the future to `result`."""
        parameters["Bucket"] = self.bucket
        if key:
            parameters["Key"] = key
        return asyncio.run_coroutine_threadsafe(self._call(operation, parameters), self._loop)

    def result(self, future: concurrent.futures.Future[dict[str, Any]], key: str = "") -> dict[str, Any]:
        """What a started request answered. Raises as `call`."""
        try:
            return future.result()
        except (TimeoutError, ClientError, BotoCoreError, aiohttp.ClientError, OSError) as error:
            raise translated(error, self.name, self.bucket, key) from error

    async def _call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        connection = await self._filesystem.set_session()
        self._connection = connection
        for attempt in range(1, self._attempts + 1):
            answer: dict[str, Any] = await getattr(connection, operation)(**parameters)
            if "Body" not in answer:
                break
            try:  # the client repeats requests, but not the reading of an answer that was cut
                async with answer["Body"] as body:
                    answer["Body"] = await body.read()
                break
            except (TimeoutError, BotoCoreError, aiohttp.ClientError, OSError):
                if attempt == self._attempts:
                    raise
        return answer

    def close(self) -> None:
        """Close the connections."""
        connection, self._connection = self._connection, None
        if connection is not None:
            sync(self._loop, connection.__aexit__, None, None, None)


def error_code(error: BaseException | None) -> str:
    """The code in a service's answer; empty where there was none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def translated(error: Exception, store: str, bucket: str, key: str = "") -> VnaError:
    """Our error for one of the client's."""
    if isinstance(error, ClientError):
        return _answered(error, store, bucket, key)
    if isinstance(error, NoCredentialsError):  # the machine's role may have none yet
        return StoreRefused(f"Store {store!r}: {str(error).rstrip('.')}.", store=store)
    if isinstance(error, (PartialCredentialsError, ProfileNotFound, NoRegionError)):
        return ConfigurationError(f"Store {store!r}: {str(error).rstrip('.')}.", store=store)
    if isinstance(error, ParamValidationError):
        return InvalidRequest(f"Store {store!r}: the service does not take this request: {error}", store=store)
    return StoreUnavailable(f"Store {store!r} does not answer ({type(error).__name__}).", store=store)


def _answered(error: ClientError, store: str, bucket: str, key: str) -> VnaError:
    code = error_code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    if code == "NoSuchBucket":
        return StoreRefused(f"Store {store!r}: bucket {bucket!r} does not exist; create it first.", store=store)
    if code in TAKEN or status == 412:
        return ObjectExists("The key exists already; nothing was written.", store=store, key=key)
    if code in _FULL or status == 507:
        return OutOfResources(f"Store {store!r} is full.", limit=f"stores.{store}", maximum="quota", store=store)
    if code in _DAMAGED:
        return DigestMismatch("The octets were damaged on their way to the store; nothing was stored.", store=store, key=key)
    if code == "InvalidObjectState":
        return ObjectArchived("The object is in a cold tier: recall it, then read it.", store=store, key=key)
    if code == "KeyTooLongError":
        return InvalidRequest("The key is too long for the store.", store=store)
    if code in _PASSING or status >= 500 or status in (408, 409, 429):
        return StoreUnavailable(f"Store {store!r} answers {code or status}; try again later.", store=store)
    if code in _MISSING or status == 404:
        return ObjectMissing("The object is not in the store.", store=store, key=key)
    advice = _ADVICE.get(code, "check credentials, region and the bucket's policy, and the clock of this machine")
    refusal = f"Store {store!r}: bucket {bucket!r} refuses ({code or status}): {advice}."
    if code in _WRONG or status == 301:
        return ConfigurationError(refusal, store=store)
    if code in _DENIED or status in (401, 403):
        return StoreRefused(refusal, store=store)
    return StorageError(f"Store {store!r} refuses: {code or status}.", store=store, key=key)
