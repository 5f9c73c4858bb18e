"""What can be configured about a container."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from vna_core.ports.store_options import StoreOptions


class AzureOptions(StoreOptions):
    """Options of a store of type ``azure``."""

    container: str = Field(min_length=3, description="The container. It must exist.")
    prefix: str = Field("", pattern="^([^/]+/)*$", description="Folder inside the container, ending in `/`.")
    account: str = Field("", description="Storage account; needed without a connection string.")
    account_host: str = Field("", description="Host of the account where it is not `ACCOUNT.blob.core.windows.net`.")
    account_key: SecretStr = Field(SecretStr(""), description="Key of the account.")
    sas_token: SecretStr = Field(SecretStr(""), description="Shared access signature.")
    connection_string: SecretStr = Field(SecretStr(""), description="Connection string, instead of account and key.")
    tenant: str = Field("", description="Tenant of a service principal.")
    client: str = Field("", description="Client ID of a service principal.")
    client_secret: SecretStr = Field(SecretStr(""), description="Its secret.")
    part_size: int = Field(8 << 20, ge=1 << 20, le=1 << 30, description="Octets of one block; larger objects go up in blocks.")
    parallel_parts: int = Field(3, ge=1, le=32, description="Blocks on their way at once, for each object being written.")
    spool: Path | None = Field(None, description="Folder for large content whose key depends on its digest.")
    tier: Literal["", "Hot", "Cool", "Cold", "Archive"] = Field("", description="Access tier of new objects.")
    encryption_scope: str = Field("", description="Encryption scope of new objects.")
    tags: dict[str, str] = Field(default_factory=dict, max_length=10, description="Tags of every new object. No patient data.")
    lock: Literal["", "Unlocked", "Locked"] = Field("", description="Immutability policy of new objects.")
    lock_days: int = Field(0, ge=0, description="Days of the policy.")
    legal_hold: bool = Field(False, description="Put new objects under legal hold.")
    attempts: int = Field(4, ge=1, le=20, description="Tries of one request before the store counts as unavailable.")
    connect_timeout: int = Field(10, ge=1, description="Seconds to wait for a connection.")
    timeout: int = Field(60, ge=1, description="Seconds to wait for an answer.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if bool(self.lock) != bool(self.lock_days):
            raise ValueError("'lock' and 'lock_days' belong together")
        if not self.account and not self.connection_string.get_secret_value():
            raise ValueError("'account' or 'connection_string' is needed")
        return self

    def locked_until(self) -> datetime | None:
        """When the immutability policy of an object made now ends; None without one."""
        return datetime.now(UTC) + timedelta(days=self.lock_days) if self.lock else None
