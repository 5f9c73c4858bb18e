"""What can be configured about a bucket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlencode

from pydantic import Field, SecretStr, model_validator

from vna_core.ports.store_options import StoreOptions

CUSTOMER_KEY_LENGTH = 32


class S3Options(StoreOptions):
    """Options of a store of type ``s3``."""

    bucket: str = Field(min_length=3, description="The bucket. It must exist.")
    prefix: str = Field("", pattern="^([^/]+/)*$", description="Folder inside the bucket, ending in `/`.")
    endpoint: str = Field("", description="URL of the service; empty: Amazon.")
    region: str = Field("", description="Region; empty: what the environment says.")
    access_key: str = Field("", description="Access key; empty: environment, profile or the machine's role.")
    secret_key: SecretStr = Field(SecretStr(""), description="Secret key.")
    session_token: SecretStr = Field(SecretStr(""), description="Token of temporary credentials.")
    profile: str = Field("", description="Profile of the AWS configuration files.")
    addressing: Literal["auto", "path", "virtual"] = Field("auto", description="How the bucket stands in the URL.")
    part_size: int = Field(8 << 20, ge=5 << 20, le=1 << 30, description="Octets of one part; larger objects go up in parts.")
    parallel_parts: int = Field(3, ge=1, le=32, description="Parts on their way at once, for each object being written.")
    spool: Path | None = Field(None, description="Folder for large content whose digest is not known yet.")
    storage_class: str = Field("", description="Storage class of new objects, such as `STANDARD_IA`.")
    tiers: tuple[str, ...] = Field((), description="Storage classes of a service that is not Amazon, beside `STANDARD`.")
    encryption: Literal["", "AES256", "aws:kms", "aws:kms:dsse"] = Field("", description="Server-side encryption.")
    kms_key: str = Field("", description="Key of `aws:kms`.")
    customer_key_file: Path | None = Field(None, description="File of 32 octets: the store encrypts with this key (SSE-C).")
    tags: dict[str, str] = Field(default_factory=dict, max_length=10, description="Tags of every new object. No patient data.")
    lock: Literal["", "GOVERNANCE", "COMPLIANCE"] = Field("", description="Object lock of new objects.")
    lock_days: int = Field(0, ge=0, description="Days of the lock.")
    legal_hold: bool = Field(False, description="Put new objects under legal hold.")
    attempts: int = Field(4, ge=1, le=20, description="Tries of one request before the store counts as unavailable.")
    connect_timeout: float = Field(10.0, gt=0, description="Seconds to wait for a connection.")
    timeout: float = Field(60.0, gt=0, description="Seconds to wait for an answer.")
    connections: int = Field(32, ge=1, description="Connections kept open.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if bool(self.lock) != bool(self.lock_days):
            raise ValueError("'lock' and 'lock_days' belong together")
        if bool(self.access_key) != bool(self.secret_key.get_secret_value()):
            raise ValueError("'access_key' and 'secret_key' belong together")
        if self.kms_key and not self.encryption.startswith("aws:kms"):
            raise ValueError("'kms_key' needs 'encryption: aws:kms'")
        if self.customer_key_file is not None and self.encryption:
            raise ValueError("'customer_key_file' and 'encryption' exclude each other")
        return self

    def customer_key(self) -> dict[str, Any]:
        """Parameters of every request that reads or writes octets under SSE-C.

        Raises
        ------
        ValueError
            The file cannot be read or does not hold 32 octets.
        """
        if self.customer_key_file is None:
            return {}
        try:
            key = self.customer_key_file.read_bytes()
        except OSError as error:
            raise ValueError(f"customer_key_file cannot be read ({error.strerror})") from error
        if len(key) != CUSTOMER_KEY_LENGTH:
            raise ValueError(f"customer_key_file holds {len(key)} octets instead of {CUSTOMER_KEY_LENGTH}")
        return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}

    def object_parameters(self) -> dict[str, Any]:
        """Parameters of a new object, apart from its content."""
        parameters: dict[str, Any] = {}
        if self.storage_class:
            parameters["StorageClass"] = self.storage_class
        if self.encryption:
            parameters["ServerSideEncryption"] = self.encryption
        if self.kms_key:
            parameters["SSEKMSKeyId"] = self.kms_key
        if self.tags:
            parameters["Tagging"] = urlencode(self.tags)
        if self.lock:
            parameters["ObjectLockMode"] = self.lock
            parameters["ObjectLockRetainUntilDate"] = datetime.now(UTC) + timedelta(days=self.lock_days)
        if self.legal_hold:
            parameters["ObjectLockLegalHoldStatus"] = "ON"
        return parameters
