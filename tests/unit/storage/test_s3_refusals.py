"""What an S3 service refuses is said with its own code, and with what to do about it."""

from __future__ import annotations

import pytest

from vna_core.domain.errors import StoreRefused

botocore = pytest.importorskip("botocore.exceptions")
client = pytest.importorskip("vna_storage_s3.client")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("RequestTimeTooSkewed", "clock of this machine and the service's differ"),
        ("ExpiredToken", "credentials have ended: renew them"),
        ("AccessDenied", "check credentials, region and the bucket's policy"),
        ("403", "and the clock of this machine"),  # an answer to HEAD has no body, so no code
    ],
)
def test_a_refusal_names_the_code_and_what_to_do(code: str, said: str) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    error = client.translated(botocore.ClientError(answer, "HeadObject"), "cloud", "images")
    assert type(error) is StoreRefused
    assert f"Store 'cloud': bucket 'images' refuses ({code}): " in error.message and said in error.message
