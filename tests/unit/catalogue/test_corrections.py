"""The ledger of corrections that travel, and of rejections: written with the decision, kept in order, never forgotten."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from tests.unit.catalogue.catalogue_entries import entry
from vna_core.catalogue import Catalogue
from vna_core.domain.corrections import SEND, AwaitedRejection, CorrectionKind, DeliveryState, Received, Rejection
from vna_core.domain.errors import NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import LinkKind, LinkOrigin
from vna_core.domain.stewardship import Deletion, Extent

A, B, C = (PatientKey("RAD", one) for one in "123")
EVERY = frozenset(CorrectionKind)


def decide(catalogue: Catalogue, kind: LinkKind, first: PatientKey, second: PatientKey, received: Received | None = None) -> int:
    how = {"origin": LinkOrigin.HAND, "reason": "a test", "by": "carol", "received": received}
    return catalogue.identity.decide(kind, first, second, study="1.2" if kind is LinkKind.MOVE else "", **how).id  # type: ignore[arg-type]


def waiting(catalogue: Catalogue, member: str) -> list[tuple[str, bool]]:
    return [(one.correction.kind.value, bool(one.correction.undoes)) for one in catalogue.corrections.next_for(member)]


def test_decisions_are_written_for_each_member_in_their_order_and_links_are_not(catalogue: Catalogue) -> None:
    decide(catalogue, LinkKind.MERGE, B, C)
    assert catalogue.corrections.listed() == [], "nobody is to be told"
    catalogue.corrections.tell({"heart": EVERY, "old": frozenset((CorrectionKind.MOVE,))})
    merge = decide(catalogue, LinkKind.MERGE, A, B)
    assert decide(catalogue, LinkKind.MERGE, A, B) == merge
    decide(catalogue, LinkKind.MOVE, A, C)
    decide(catalogue, LinkKind.LINK, A, C)
    for _ in range(2):
        catalogue.identity.undo(merge, by="carol", reason="two people")
    assert waiting(catalogue, "heart") == [("merge", False), ("move", False), ("merge", True)]
    assert waiting(catalogue, "old") == [("move", False)]
    assert {(one.kind, one.key) for one in catalogue.jobs.listed()} == {(SEND, "heart"), (SEND, "old")}
    undo = catalogue.corrections.listed()[-1]
    assert undo.undoes == catalogue.corrections.listed()[0].id


def test_what_a_member_has_not_applied_stays_until_it_has(catalogue: Catalogue) -> None:
    catalogue.corrections.tell({"heart": EVERY, "old": frozenset()})
    decide(catalogue, LinkKind.MERGE, A, B)
    (delivery,) = catalogue.corrections.next_for("heart")
    catalogue.corrections.ended(delivery, DeliveryState.WAITING, "no answer")
    (again,) = catalogue.corrections.next_for("heart")
    assert (again.attempts, again.error) == (1, "no answer")
    catalogue.corrections.ended(again, DeliveryState.REFUSED, "a hold")
    assert catalogue.corrections.next_for("heart") == []
    assert catalogue.corrections.counts() == {("heart", "refused"): 1, ("old", "not-taken"): 1}
    (one,) = catalogue.corrections.listed(member="heart")
    assert catalogue.corrections.retry(one.id, "heart") == 1
    (third,) = catalogue.corrections.next_for("heart")
    catalogue.corrections.ended(third, DeliveryState.APPLIED)
    assert catalogue.corrections.listed(member="heart") == []
    assert [each.state for each in catalogue.corrections.deliveries([one])[one.number]] == ["applied", "not-taken"]
    assert len(catalogue.corrections.listed(waiting=True)) == 1
    with pytest.raises(NotFound):
        catalogue.corrections.retry("2.25.1")


def test_a_received_correction_is_known_by_its_id_and_passed_on(catalogue: Catalogue) -> None:
    catalogue.corrections.tell({"heart": EVERY})
    received = Received("2.25.7", "radiology")
    link = decide(catalogue, LinkKind.MERGE, A, B, received)
    found = catalogue.corrections.find("2.25.7")
    assert found is not None and (found.origin, found.subject) == ("radiology", f"link:{link}")
    catalogue.corrections.note(CorrectionKind.MERGE, received, "again", "somebody")
    assert len(catalogue.corrections.listed()) == 1 and waiting(catalogue, "heart") == [("merge", False)]


def test_many_writers_lose_none_and_make_none(catalogue: Catalogue) -> None:
    catalogue.corrections.tell({"heart": EVERY})

    def work(number: int) -> None:
        link = decide(catalogue, LinkKind.MERGE, PatientKey("X", f"{number}"), PatientKey("Y", f"{number}"))
        catalogue.identity.undo(link, by="carol", reason="its own")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = catalogue.corrections.listed()
    assert len(found) == 32 and len({one.id for one in found}) == 32
    made = [one.id for one in found if not one.undoes]
    assert sorted(one.undoes for one in found if one.undoes) == sorted(made)
    assert len(catalogue.corrections.next_for("heart", 100)) == 32


def test_rejections_are_known_by_note_study_and_instance(catalogue: Catalogue) -> None:
    catalogue.corrections.tell({"heart": EVERY})
    catalogue.record(entry("1.2.1.1", series="1.2.1", study="1.2", study_instance_uid="1.2"))
    catalogue.record(entry("1.2.1.2", series="1.2.1", study="1.2", study_instance_uid="1.2"))
    now = datetime(2026, 3, 1, tzinfo=UTC)
    told = {"rejection": Rejection.QUALITY.value, "note": "2.25.9"}
    hidden = catalogue.deletions.hide(Deletion("d1", Extent.STUDY, "1.2", "blurred", "carol", now, **told), only={"1.2.1.1"})  # type: ignore[arg-type]
    assert (hidden.versions, hidden.rejection, hidden.note) == (1, "113001", "2.25.9")
    awaited = AwaitedRejection("2.25.9", "1.2", "1.2.1.3", "113001", ("ae-title", "CT1", "127.0.0.1"))
    for _ in range(2):
        catalogue.rejections.await_([awaited])
    assert catalogue.rejections.of_note("2.25.9") == ["d1"] and catalogue.rejections.of_note("2.25.8") == []
    (correction,) = catalogue.corrections.listed()
    assert catalogue.rejections.hidden("1.2").all == {"1.2.1.1", "1.2.1.3", correction.id}, "and the note that tells others of it"
    assert catalogue.rejections.hidden_in(["1.3", "1.2"]) == {"1.2": catalogue.rejections.hidden("1.2")}
    kept = catalogue.ledger_reader.held(
        ["1.2.1.1", "1.2.1.2", "1.2.1.3"]
    )  # what is hidden is kept: a migration misses none of it
    assert {(one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid) for one in kept} == {
        ("1.2", "1.2.1", "1.2.1.1"),
        ("1.2", "1.2.1", "1.2.1.2"),
    }
    assert catalogue.rejections.awaited("1.2.1.3") == catalogue.rejections.awaited_of("2.25.9") == [awaited]
    assert catalogue.rejections.awaited_and_held() == []
    catalogue.record(entry("1.2.1.3", series="1.2.1", study="1.2", study_instance_uid="1.2"))
    assert catalogue.rejections.awaited_and_held() == [awaited]
    catalogue.rejections.arrived("2.25.9", "1.2.1.3")
    assert not catalogue.rejections.any_awaited()
    assert (correction.kind, correction.subject, correction.content["code"]) == (CorrectionKind.REJECT, "deletion:d1", "113001")
    catalogue.deletions.begin_undo("d1", "carol", now)
    assert catalogue.rejections.hidden("1.2").all == {correction.id}, "the note stays where it was sent"
    assert waiting(catalogue, "heart") == [("reject", False), ("reject", True)]
