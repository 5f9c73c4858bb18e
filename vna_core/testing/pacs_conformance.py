"""What every PACS adapter must do, as tests a plugin's own test suite inherits.

Examples
--------
::

    class TestOurAdapter(PacsConformance):
        def open_source(self, held: Held, folder: Path) -> PacsAdapter:
            fill_our_pacs(held.files)
            return OurAdapter("ours", url)

`Held` is what the source must hold and nothing else. What the adapter cannot do is said by its `PacsAbilities`, and the kit asks
no more than that; how its source deviates from what it was given is said by class attributes of `PacsConformance`.
"""

from __future__ import annotations

import hashlib
import threading
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import pytest

from vna_core.dicom.answers import KEY_OF, first_value
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotOffered, PeerUnavailable, VnaError
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Between, Equals, Level, Query, Wildcard
from vna_core.ports.pacs import ChangeKind, PacsAbilities, PacsAdapter
from vna_core.testing import phantoms

_STUDY, _SERIES, _DATE, _NAME, _ID, _MODALITY = 0x0020000D, 0x0020000E, 0x00080020, 0x00100010, 0x00100020, 0x00080060
_DESCRIPTION: Final = 0x00081030
STUDIES: Final = 5
PER_STUDY: Final = (3, 1, 4, 2, 6)


@dataclass(frozen=True)
class Held:
    """What the source under test holds: five studies of one CT series each, of five patients."""

    counts: tuple[int, ...] = PER_STUDY

    @cached_property
    def files(self) -> list[bytes]:
        """Part 10 files."""
        return [one for number, count in enumerate(self.counts, 1) for one in phantoms.series(count, number, 32, 32)]

    def study(self, number: int) -> str:
        """Study Instance UID, `number` from 1."""
        return phantoms.uid(number + 1)

    def series(self, number: int) -> str:
        """Series Instance UID of the study's only series."""
        return phantoms.uid(number + 1, 1)

    def sops(self, number: int) -> list[str]:
        """SOP Instance UIDs of a study."""
        return [phantoms.uid(number + 1, 1, one + 1) for one in range(self.counts[number - 1])]


class Taken:
    """A deliver that keeps what it was given: SOP Instance UID to the SHA-256 of what follows the File Meta Information."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.uids: Counter[str] = Counter()
        self.whole: dict[str, str] = {}
        self.octets: dict[str, bytes] = {}
        self._fail_after = fail_after
        self._lock = threading.Lock()

    def __call__(self, received: ReceivedInstance) -> None:
        octets = b"".join(bytes(piece) for piece in received.octets.chunks())
        told = received.octets.sha256
        received.octets.close()
        assert hashlib.sha256(octets).hexdigest() == told, "the digest of delivered octets is wrong"
        uid = _uid_in(octets) or received.sop_instance_uid
        with self._lock:
            if self._fail_after is not None and len(self.uids) >= self._fail_after:
                raise VnaError("The archive takes no more.")
            self.uids[uid] += 1
            self.octets[uid] = octets


class PacsConformance:
    """Base class of an adapter's tests."""

    name_pattern = "Phantom^Patient 4*"
    """A pattern that the source finds the fourth patient by."""
    keeps_pixels = True
    """Pixel data come out as they went in (False for sources that convert on the way)."""

    @abstractmethod
    def open_source(self, held: Held, folder: Path) -> PacsAdapter:
        """An adapter of a source that holds exactly `held`. Called once for a class: questions and retrievals change nothing."""

    def unreachable(self, folder: Path) -> PacsAdapter:
        """An adapter whose source does not answer (nothing listens, nothing is mounted)."""
        pytest.skip("this adapter has no way to be made unreachable")

    @pytest.fixture(scope="class")
    @classmethod
    def held(cls) -> Held:
        """What the source holds."""
        return Held()

    @pytest.fixture(scope="class")
    @classmethod
    def adapter(cls, held: Held, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PacsAdapter]:
        """The adapter under test."""
        adapter = cls().open_source(held, tmp_path_factory.mktemp("source"))
        yield adapter
        adapter.close()

    @pytest.fixture(scope="class")
    @classmethod
    def abilities(cls, adapter: PacsAdapter) -> PacsAbilities:
        """What it says it can do."""
        return adapter.probe()

    # -- probing ----------------------------------------------------------------------------------------------------------

    def test_the_probe_says_what_the_source_can_do_and_can_be_repeated(
        self, adapter: PacsAdapter, abilities: PacsAbilities
    ) -> None:
        thorough = adapter.probe(thorough=True)
        assert abilities.retrieve and abilities.concurrency >= 1
        assert Level.STUDY in abilities.levels and thorough.retrieve == abilities.retrieve
        assert abilities.retrieve_modes[:1] == (abilities.retrieve,)

    def test_what_is_not_declared_is_not_offered(self, adapter: PacsAdapter, abilities: PacsAbilities) -> None:
        if not abilities.changes:
            with pytest.raises(NotOffered):
                list(adapter.changes())
        if not abilities.statistics:
            with pytest.raises(NotOffered):
                adapter.statistics()
        if Level.PATIENT not in abilities.levels:
            with pytest.raises(NotOffered):
                list(adapter.find(Query(Level.PATIENT)))

    # -- finding ----------------------------------------------------------------------------------------------------------

    def _studies(self, adapter: PacsAdapter, *conditions: Equals | Wildcard | Between) -> set[str]:
        return {first_value(one, _STUDY) for one in adapter.find(Query(Level.STUDY, conditions))}

    def test_every_study_is_found(self, adapter: PacsAdapter, held: Held) -> None:
        assert self._studies(adapter) == {held.study(number) for number in range(1, STUDIES + 1)}

    def test_a_study_is_found_by_its_uid(self, adapter: PacsAdapter, held: Held) -> None:
        assert self._studies(adapter, Equals(_STUDY, (held.study(3),))) == {held.study(3)}
        wanted = (held.study(1), held.study(4))
        assert self._studies(adapter, Equals(_STUDY, wanted)) == set(wanted)

    def test_studies_are_found_by_patient_and_by_date(self, adapter: PacsAdapter, held: Held) -> None:
        assert self._studies(adapter, Equals(_ID, ("P000002",))) == {held.study(2)}
        assert self._studies(adapter, Equals(_ID, ("P000002", "P000005"))) == {held.study(2), held.study(5)}
        assert self._studies(adapter, Wildcard(_NAME, self.name_pattern)) == {held.study(4)}
        dates = {number: f"2026{number % 12 + 1:02}{(1000 * number) % 28 + 1:02}" for number in range(1, STUDIES + 1)}
        assert held.study(3) in self._studies(adapter, Between(_DATE, dates[3][:6] + "01", dates[3][:6] + "31"))
        assert held.study(1) not in self._studies(adapter, Between(_DATE, dates[3][:6] + "01", dates[3][:6] + "31"))

    def test_what_is_not_there_is_not_found(self, adapter: PacsAdapter) -> None:
        assert self._studies(adapter, Equals(_STUDY, ("2.25.404",))) == set()

    def test_a_pattern_in_a_literal_value_is_no_pattern(self, adapter: PacsAdapter) -> None:
        assert self._studies(adapter, Equals(_ID, ("P00000*",))) == set()

    def test_series_and_instances_are_found_below_their_keys(
        self, adapter: PacsAdapter, abilities: PacsAbilities, held: Held
    ) -> None:
        above = Equals(_STUDY, (held.study(3),))
        if Level.SERIES in abilities.levels:
            (series,) = adapter.find(Query(Level.SERIES, (above,)))
            assert (first_value(series, _SERIES), first_value(series, _MODALITY)) == (held.series(3), "CT")
        if Level.IMAGE in abilities.levels:
            conditions = (above, Equals(_SERIES, (held.series(3),)))
            found = [first_value(one, KEY_OF[Level.IMAGE]) for one in adapter.find(Query(Level.IMAGE, conditions))]
            assert sorted(found) == sorted(held.sops(3))

    def test_a_limit_limits(self, adapter: PacsAdapter) -> None:
        assert len(list(adapter.find(Query(Level.STUDY, limit=2)))) == 2

    def test_pages_together_are_everything(self, adapter: PacsAdapter, abilities: PacsAbilities) -> None:
        if not abilities.pages:
            pytest.skip("the source does not turn pages")
        pages = [first_value(one, _STUDY) for at in (0, 2, 4) for one in adapter.find(Query(Level.STUDY, limit=2, offset=at))]
        assert sorted(pages) == sorted(self._studies(adapter))

    def test_pages_of_a_question_with_several_values_are_everything(self, adapter: PacsAdapter, abilities: PacsAbilities) -> None:
        if not abilities.pages:
            pytest.skip("the source does not turn pages")
        either = (Equals(_DESCRIPTION, ("Chest", "Skull")),)
        queries = [Query(Level.STUDY, either, limit=2, offset=at) for at in (0, 2, 4)]
        pages = [first_value(one, _STUDY) for query in queries for one in adapter.find(query)]
        assert sorted(pages) == sorted(self._studies(adapter))

    def test_answers_that_nobody_takes_do_no_harm(self, adapter: PacsAdapter) -> None:
        answers = iter(adapter.find(Query(Level.STUDY)))
        next(answers)
        del answers
        assert len(self._studies(adapter)) == STUDIES

    # -- inventory --------------------------------------------------------------------------------------------------------

    def test_the_inventory_names_every_instance(self, adapter: PacsAdapter, held: Held) -> None:
        for number in range(1, STUDIES + 1):
            found = list(adapter.inventory(held.study(number)))
            assert sorted(one.sop_instance_uid for one in found) == sorted(held.sops(number))
            assert {one.series_instance_uid for one in found} == {held.series(number)}
            assert {one.study_instance_uid for one in found} == {held.study(number)}

    def test_the_inventory_of_what_is_not_there_is_empty(self, adapter: PacsAdapter) -> None:
        assert list(adapter.inventory("2.25.404")) == []

    # -- fetching ---------------------------------------------------------------------------------------------------------

    def test_a_study_is_delivered_whole(self, adapter: PacsAdapter, held: Held) -> None:
        taken = Taken()
        report = adapter.fetch(held.study(5), taken)
        assert taken.uids == Counter(held.sops(5))
        assert (report.delivered, report.failed) == (len(held.sops(5)), 0)

    def test_a_series_is_delivered_whole(self, adapter: PacsAdapter, held: Held) -> None:
        taken = Taken()
        adapter.fetch(held.study(4), taken, held.series(4))
        assert taken.uids == Counter(held.sops(4))

    def test_only_the_instances_wanted_are_delivered(self, adapter: PacsAdapter, held: Held) -> None:
        taken, wanted = Taken(), tuple(held.sops(5)[1:3])
        report = adapter.fetch(held.study(5), taken, held.series(5), wanted)
        assert taken.uids == Counter(wanted)
        assert (report.delivered, report.failed) == (2, 0)

    def test_an_instance_that_is_not_there_is_reported(self, adapter: PacsAdapter, held: Held) -> None:
        taken = Taken()
        report = adapter.fetch(held.study(1), taken, held.series(1), (held.sops(1)[0], "2.25.404"))
        assert taken.uids == Counter(held.sops(1)[:1])
        assert report.delivered == 1 and report.failed >= 1

    def test_a_study_that_is_not_there_delivers_nothing(self, adapter: PacsAdapter) -> None:
        taken = Taken()
        assert adapter.fetch("2.25.404", taken).delivered == 0
        assert not taken.uids

    def test_pixels_come_out_as_they_went_in(self, adapter: PacsAdapter, abilities: PacsAbilities, held: Held) -> None:
        taken = Taken()
        adapter.fetch(held.study(1), taken)
        for number, sop in enumerate(held.sops(1)):
            if self.keeps_pixels:
                assert phantoms.pixels(1000 + number, 32, 32) in taken.octets[sop]
            if abilities.as_stored:
                assert taken.octets[sop] in held.files

    def test_digests_of_the_inventory_are_those_of_what_is_delivered(
        self, adapter: PacsAdapter, abilities: PacsAbilities, held: Held
    ) -> None:
        named = {one.sop_instance_uid: one for one in adapter.inventory(held.study(3)) if one.digest or one.size >= 0}
        if abilities.digests:
            assert len([one for one in named.values() if one.digest]) == len(held.sops(3))
        taken = Taken()
        adapter.fetch(held.study(3), taken)
        for sop, one in named.items():
            assert one.size in (-1, len(taken.octets[sop]))
            if one.digest:
                kind, _, digest = one.digest.partition(":")
                assert hashlib.new(kind, taken.octets[sop]).hexdigest() == digest

    def test_a_failure_of_the_archive_escapes_and_ends_the_retrieval(
        self, adapter: PacsAdapter, abilities: PacsAbilities, held: Held
    ) -> None:
        taken = Taken(fail_after=2)
        with pytest.raises(VnaError, match="takes no more"):
            adapter.fetch(held.study(5), taken)
        before = taken.uids.total()
        assert before == 2
        again = Taken()
        adapter.fetch(held.study(5), again)
        assert set(again.uids) == set(held.sops(5)) and taken.uids.total() == before
        # A source that moves may still be sending what it was asked for before: that comes twice then.
        assert again.uids == Counter(held.sops(5)) or abilities.retrieve == "move"

    def test_many_threads_fetch_at_once(self, adapter: PacsAdapter, held: Held) -> None:
        taken = [Taken() for _ in range(STUDIES)]
        threads = [threading.Thread(target=adapter.fetch, args=(held.study(number), one)) for number, one in enumerate(taken, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [one.uids for one in taken] == [Counter(held.sops(number)) for number in range(1, STUDIES + 1)]

    # -- waiting ----------------------------------------------------------------------------------------------------------

    def test_a_deadline_that_is_over_ends_every_call(self, adapter: PacsAdapter, abilities: PacsAbilities, held: Held) -> None:
        over = Deadline(None)
        over.cancel()
        if abilities.retrieve == "file" and not abilities.changes:
            pytest.skip("what lies in an index of its own needs no waiting")
        taken = Taken()
        with pytest.raises(PeerUnavailable):
            list(adapter.find(Query(Level.STUDY), deadline=over))
        with pytest.raises(PeerUnavailable):
            list(adapter.inventory(held.study(1), deadline=over))
        with pytest.raises(PeerUnavailable):
            adapter.fetch(held.study(1), taken, deadline=over)
        assert not taken.uids

    def test_a_retrieval_can_be_cancelled_while_it_runs(self, adapter: PacsAdapter, abilities: PacsAbilities, held: Held) -> None:
        deadline = Deadline(60.0)
        seen: list[str] = []

        def deliver(received: ReceivedInstance) -> None:
            received.octets.close()
            seen.append("one")
            deadline.cancel()

        if abilities.retrieve == "move":
            pytest.skip("instances of a C-MOVE arrive on associations of their own")
        with pytest.raises(PeerUnavailable):
            adapter.fetch(held.study(5), deliver, deadline=deadline)
            adapter.fetch(held.study(4), deliver, deadline=deadline)
        assert len(self._studies(adapter)) == STUDIES

    def test_a_source_that_is_not_there_is_told_as_unavailable(self, tmp_path: Path) -> None:
        adapter = self.unreachable(tmp_path)
        try:
            with pytest.raises(PeerUnavailable):
                adapter.probe()
            with pytest.raises(PeerUnavailable):
                list(adapter.find(Query(Level.STUDY)))
        finally:
            adapter.close()

    # -- what few sources have --------------------------------------------------------------------------------------------

    def test_the_change_feed_names_every_study_and_goes_on_from_its_cursor(
        self, adapter: PacsAdapter, abilities: PacsAbilities, held: Held
    ) -> None:
        if not abilities.changes:
            pytest.skip("the source has no change feed")
        everything = list(adapter.changes())
        assert {one.study_instance_uid for one in everything if one.kind is ChangeKind.ADDED} == {
            held.study(number) for number in range(1, STUDIES + 1)
        }
        middle = everything[len(everything) // 2].cursor
        assert [one.cursor for one in adapter.changes(middle)] == [one.cursor for one in everything[len(everything) // 2 + 1 :]]
        assert list(adapter.changes(adapter.change_cursor())) == []

    def test_statistics_count_what_is_held(self, adapter: PacsAdapter, abilities: PacsAbilities, held: Held) -> None:
        if not abilities.statistics:
            pytest.skip("the source has no statistics")
        said = adapter.statistics()
        for value, expected in ((said.studies, STUDIES), (said.series, STUDIES), (said.instances, sum(held.counts))):
            assert value in (-1, expected)


def _uid_in(octets: bytes) -> str:
    """SOP Instance UID of a phantom in explicit little endian; empty for another encoding."""
    at = octets.find(b"\x08\x00\x18\x00UI")
    if at < 0:
        return ""
    length = int.from_bytes(octets[at + 6 : at + 8], "little")
    return octets[at + 8 : at + 8 + length].decode("latin-1").rstrip("\0 ")
