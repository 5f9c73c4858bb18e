"""What a source says a study consists of, asked for at no more levels and with no more keys than that needs.

The SOP Class of each instance is a key that sources may answer from their files, one by one: Orthanc spends ten times as long on it as on
the rest. A source that names one SOP Class for the whole study (0008,0062) is not asked for it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from vna_core.dicom.network.identifier import Identifier
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerError
from vna_core.domain.numbers import whole_number
from vna_core.domain.query import Level
from vna_core.ports.pacs import InventoriedInstance
from vna_pacs_dimse.asking import CLASS, MODALITY, RETURN, SERIES, SOP, STUDY, ask, asking
from vna_pacs_dimse.connection import Peer

CLASSES_IN_STUDY: Final = 0x00080062
NUMBER_OF_INSTANCES: Final = 0x00201208
_REMEMBERED: Final = 64
_FRESH: Final = 300.0
"""Seconds for which an inventory is good enough to know what a retrieval should bring."""
_PATIENCE: Final = 3
"""Questions about whole studies that may fail before a source is not asked them any more."""


@dataclass(frozen=True, slots=True)
class WholeStudy:
    """What a source says of a study at its level: SOP Classes (none: it does not say), and how many instances (0: it does not say)."""

    sop_class_uids: tuple[str, ...] = ()
    instances: int = 0


@dataclass(frozen=True, slots=True)
class StudyInventory:
    """Instances of a study, and modalities of its series. `inferred`: their SOP Class is the one that the source names for the study."""

    instances: tuple[InventoriedInstance, ...]
    modalities: tuple[str, ...]
    inferred: bool


class Inventories:
    """Asks one source, and remembers for some minutes what it said. Safe to use from several threads."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._lock = threading.Lock()
        self._taken: OrderedDict[str, tuple[float, StudyInventory]] = OrderedDict()
        self._doubted: OrderedDict[str, None] = OrderedDict()
        self._failed = 0

    def doubt(self, study: str) -> None:
        """Do not believe what the source says of this study as a whole."""
        with self._lock:
            self._doubted[study] = None
            while len(self._doubted) > _REMEMBERED:
                self._doubted.popitem(last=False)

    def whole(self, study: str, deadline: Deadline | None) -> WholeStudy:
        """What the source says of the study itself; nothing where it cannot be asked that."""
        if self._failed >= _PATIENCE or study in self._doubted:
            return WholeStudy()
        keys: dict[int, tuple[str, ...]] = {STUDY: (study,), CLASSES_IN_STUDY: (), NUMBER_OF_INSTANCES: ()}
        try:
            with asking(self._peer, Level.STUDY, deadline) as association:
                answers = ask(self._peer, association, Level.STUDY, keys, deadline)
                told = {_told(one) for one in answers if one.first(STUDY) == study}
        except PeerError:  # whether the source is gone shows the next question, which it has to answer
            self._failed += 1
            return WholeStudy()
        self._failed = 0
        return told.pop() if len(told) == 1 else WholeStudy()

    def take(self, study: str, deadline: Deadline | None, *, certain: bool = False) -> StudyInventory:
        """Ask for series first, then for the instances of each, as the hierarchical model wants it.

        Parameters
        ----------
        certain
            Ask each instance for its SOP Class.
        """
        named = () if certain else self.whole(study, deadline).sop_class_uids
        instances: list[InventoriedInstance] = []
        with asking(self._peer, Level.IMAGE, deadline) as association:
            series_keys = {**dict.fromkeys(RETURN[Level.SERIES], ()), STUDY: (study,)}
            found = ask(self._peer, association, Level.SERIES, series_keys, deadline)
            series = {one.first(SERIES): one.first(MODALITY) for one in found if one.first(SERIES)}
            modalities = tuple(dict.fromkeys(series.values()))
            # Objects of several modalities are not of one class: a source that names one then has not named all.
            inferred = named[0] if len(named) == 1 and len(modalities) == 1 else ""
            wanted = [tag for tag in RETURN[Level.IMAGE] if tag != CLASS or not inferred]
            for uid, modality in series.items():
                image_keys = {**dict.fromkeys(wanted, ()), STUDY: (study,), SERIES: (uid,)}
                for one in ask(self._peer, association, Level.IMAGE, image_keys, deadline):
                    sop_class = one.first(CLASS) or inferred
                    instances.append(InventoriedInstance(study, uid, one.first(SOP), sop_class, modality=modality))
        taken = StudyInventory(tuple(instances), modalities, bool(inferred))
        with self._lock:
            self._taken[study] = (time.monotonic(), taken)
            self._taken.move_to_end(study)
            while len(self._taken) > _REMEMBERED:
                self._taken.popitem(last=False)
        return taken

    def remembered(self, study: str) -> StudyInventory | None:
        """What was taken some minutes ago at most."""
        with self._lock:
            made, taken = self._taken.get(study, (0.0, None))
        return taken if taken is not None and time.monotonic() - made < _FRESH else None


def _told(answer: Identifier) -> WholeStudy:
    number = whole_number(answer.first(NUMBER_OF_INSTANCES).strip())
    classes = tuple(dict.fromkeys(one for one in answer.values.get(CLASSES_IN_STUDY, ()) if one))
    return WholeStudy(classes, number or 0)
