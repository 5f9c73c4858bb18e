"""Damaged files of every kind: held so that everything comes back, or refused with an error of ours, within two seconds.

``VNA_MUTANTS=100000`` makes more of them; number `n` is the same file every time.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

import pytest

from tests.fuzz.accounting import lost, unread
from tests.fuzz.mutation import mutant
from tests.unit.normalize.handmade import LIMITS, data_set, offer, original, received, rules, stored
from vna_core.domain.errors import LimitExceeded, RebuildMismatch, Unarchivable
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize
from vna_core.testing.quirks import combinations, quirk_file, quirk_files

MUTANTS = int(os.environ.get("VNA_MUTANTS", "500"))
FIRST = int(os.environ.get("VNA_FIRST_MUTANT", "0"))
TOGETHER = 50
CORPUS = Path(os.environ.get("VNA_CORPUS", Path(__file__).resolve().parents[3] / "shared" / "corpus"))
LARGEST = 32_768
SECONDS = 2.0


@cache
def files() -> tuple[bytes, ...]:
    """Small files of the catalogue and, where it is here, of the corpus."""
    generated = [one.octets for one in (*quirk_files(), *combinations(1, 60)) if len(one.octets) <= LARGEST]
    real = [path for path in sorted(CORPUS.rglob("*")) if path.is_file() and path.parent != CORPUS] if CORPUS.is_dir() else []
    return (*generated, *(path.read_bytes() for path in real if 132 < path.stat().st_size <= LARGEST))


def wrong_with(octets: bytes) -> str:
    """What is wrong with how these octets are taken; empty when nothing is."""
    began = time.process_time()
    one = received(octets)
    try:
        parsed = identify(one, LIMITS)
        canonical = normalize(one, parsed, LIMITS)
    except RebuildMismatch as error:
        return f"cannot be rebuilt: {error}"
    except (Unarchivable, LimitExceeded):
        return "" if time.process_time() - began < SECONDS else "too slow"
    if time.process_time() - began >= SECONDS:
        return "too slow"
    object_ = stored(canonical)
    if original(object_) != octets:
        return "its octets do not come back"
    if unread(parsed) > 0:
        return f"{unread(parsed)} octets were passed over"
    gone = lost(parsed, canonical, object_)
    if gone:
        return f"lost {gone}"
    again = offer(object_)
    if data_set(again) != data_set(canonical) or rules(again) != ["F21"]:
        return f"a second pass changes it: {rules(again)}"
    return ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(FIRST, FIRST + MUTANTS, TOGETHER))
def test_mutants_come_back_or_are_refused(first: int) -> None:
    found = {number: wrong_with(mutant(number, files())) for number in range(first, min(first + TOGETHER, FIRST + MUTANTS))}
    assert {number: wrong for number, wrong in found.items() if wrong} == {}


def test_the_accounting_notices_what_is_passed_over_or_lost() -> None:
    one = received(quirk_file("E10-sequence-length-zero").octets)
    parsed = identify(one, LIMITS)
    canonical = normalize(one, parsed, LIMITS)
    assert unread(parsed) <= 0
    assert lost(parsed, canonical, stored(canonical)) == []
    instance = next(index for index, element in enumerate(parsed.data_set.elements) if element.tag == 0x00080018)
    element = parsed.data_set.elements.pop(instance)
    assert unread(parsed) > 0
    parsed.data_set.elements.insert(instance, element._replace(tag=0x00080019))
    assert lost(parsed, canonical, stored(canonical)) == ["00080019"]
