"""Parts of a store request never wait for parts that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.unit.ingest.ct_samples import ct
from tests.unit.sharing.shared_archive import Shared
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.outcome import Outcome
from vna_core.gateways.dicomweb.stow_answer import PartOutcome
from vna_core.gateways.dicomweb.stow_offers import LEAST_OCTETS, Offers
from vna_core.ingest.sharing import Colleague


def stored(shared: Shared, parts: Sequence[bytes], memory: int, *, cut: bytes = b"") -> list[PartOutcome]:
    """The outcomes of a request with these parts, of which `memory` octets may be under way; its end was `cut`."""

    def offer(received: Sequence[ReceivedInstance], cut_short: bool, colleague: Colleague | None) -> list[PartOutcome]:
        if cut_short:
            return [PartOutcome(shared.archive.pipeline.offer(one, cut_short=True)) for one in received]
        results = (colleague or shared.archive.pipeline).offer_all(received)
        return [PartOutcome(error=one) if isinstance(one, VnaError) else PartOutcome(one) for one in results]

    async def request(threads: ThreadPoolExecutor) -> list[PartOutcome]:
        offers = Offers(offer, threads, shared.colleagues, memory)
        for one in parts:
            await offers.take([shared.received(one)])
        if cut:
            await offers.take([shared.received(cut)], cut_short=True)
        offers.all_came()
        return await offers.outcomes()

    with ThreadPoolExecutor(4) as threads:
        return asyncio.run(asyncio.wait_for(request(threads), 120))


def kinds(outcomes: Sequence[PartOutcome]) -> list[Outcome | None]:
    return [one.result.outcome if one.result else None for one in outcomes]


def test_parts_too_few_to_be_given_away_are_stored_when_there_is_no_room_for_more(shared_embedded: Shared) -> None:
    shared_embedded.help()
    parts = [ct(number, rows=2_000) for number in range(1, 6)]
    memory = len(parts[0]) + len(parts[1]) // 2  # for one, not for two
    assert 2 * memory < LEAST_OCTETS
    assert kinds(stored(shared_embedded, parts, memory)) == [Outcome.HELD] * 5


def test_the_rest_of_a_request_that_broke_off_finds_room(shared_embedded: Shared) -> None:
    shared_embedded.help()
    whole, cut = ct(1, rows=2_000), ct(2, rows=2_000)[:-1_000]
    outcomes = stored(shared_embedded, [whole], len(whole) + len(cut) // 2, cut=cut)
    assert kinds(outcomes) == [Outcome.HELD, Outcome.QUARANTINED]
