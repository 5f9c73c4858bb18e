"""Keys are made of identifiers and digests, and never lead anywhere else."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from vna_core.archival_storage.keys import digest_of_key, instance_key, quarantine_keys

DIGEST = hashlib.sha256(b"x").hexdigest()


def test_a_key_is_shelf_study_series_instance_and_digest() -> None:
    shelf = hashlib.sha256(b"1.2.3").hexdigest()[:2]
    assert instance_key("1.2.3", "1.2.4", "1.2.5")(DIGEST) == f"studies/{shelf}/1.2.3/1.2.4/1.2.5.{DIGEST}.dcm"


@given(st.text(max_size=100), st.text(max_size=100), st.text(max_size=100))
def test_any_identifier_makes_a_key_of_five_plain_segments(study: str, series: str, sop: str) -> None:
    key = instance_key(study, series, sop)(DIGEST)
    segments = key.split("/")
    assert len(segments) == 5
    assert key.isascii()
    assert key.isprintable()
    assert not set(segments) & {"", ".", ".."}
    assert max(map(len, segments)) <= 255
    assert digest_of_key(key) == DIGEST


@given(st.tuples(*[st.text(max_size=20)] * 3), st.tuples(*[st.text(max_size=20)] * 3))
def test_other_identifiers_make_another_key(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (instance_key(*one)(DIGEST) == instance_key(*other)(DIGEST)) == (one == other)


def test_the_digest_is_read_back_from_keys_only_where_there_is_one() -> None:
    assert digest_of_key(quarantine_keys("0" * 16, DIGEST)[0]) == DIGEST
    for key in ("", "a", "a.b", "a.b.dcm", f"a.{DIGEST.upper()}.dcm", f"a.{DIGEST[:-1]}.dcm"):
        assert digest_of_key(key) == ""
