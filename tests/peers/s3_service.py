"""What every S3 service under test has: an address and credentials; buckets are made over its own protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ACCESS_KEY, SECRET_KEY = "peer", "peer-secret"


@dataclass(frozen=True)
class S3Service:
    """A running service."""

    endpoint: str
    process: int

    def options(self, bucket: str, **more: Any) -> dict[str, Any]:
        """Options of a store on a bucket of this service."""
        access = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "region": "us-east-1", "addressing": "path"}
        return {"bucket": bucket, "endpoint": self.endpoint, **access, **more}

    def call(self, operation: str, **parameters: Any) -> Any:
        """One request, by another way than the store's."""
        import s3fs  # of the extra s3, which may not be installed

        filesystem = s3fs.S3FileSystem(
            key=ACCESS_KEY,
            secret=SECRET_KEY,
            endpoint_url=self.endpoint,
            client_kwargs={"region_name": "us-east-1"},
            config_kwargs={"s3": {"addressing_style": "path"}},
        )
        return filesystem.call_s3(operation, **parameters)

    def make_bucket(self, name: str, **parameters: Any) -> str:
        """A new bucket's name."""
        self.call("create_bucket", Bucket=name, **parameters)
        return name
