"""Whether anything got lost between the octets, what was read in them, and the canonical object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.unit.normalize.handmade import LIMITS, received
from vna_core.dicom.elements import DataSet, ParsedOctets
from vna_core.domain.instance import CanonicalInstance
from vna_core.ingest.identify import identify

LEAVING_OUT = {"E27": 1, "E28": 1, "E32": 1, "E33": 1, "F05": 1, "F21": 1, "F28": 1, "P14": 2, "P23": 1}
"""Rules that leave elements out or move them, with how many at a time."""

LEFT_BY_THE_READER = frozenset(("E09", "E13"))
"""Notes of eight octets each that enclose nothing."""

Key = tuple[str, int]


def elements_of(data_set: DataSet) -> Iterator[tuple[str, int]]:
    """Every element with the way to it, each before those inside it."""
    pending = [("", data_set)]
    while pending:
        prefix, current = pending.pop()
        for element in current.elements:
            yield prefix, element.tag
            for number, item in enumerate(element.items or ()):
                pending.append((f"{prefix}{element.tag:08X}[{number}].", item))


def lost(parsed: ParsedOctets, canonical: CanonicalInstance, object_: bytes) -> list[str]:
    """Elements that were read, are not in the canonical object, and of which the journal says nothing."""
    again = identify(received(object_[: canonical.trailer_offset]), LIMITS)
    held = Counter(elements_of(again.data_set))
    missing: Counter[Key] = Counter()
    for prefix, tag in elements_of(parsed.data_set):
        if held[prefix, tag]:
            held[prefix, tag] -= 1
        else:
            missing[prefix, tag] += 1
    gone = {f"{prefix}{tag:08X}[" for prefix, tag in missing}
    missing = Counter({key: count for key, count in missing.items() if not _inside(key[0], gone)})
    told = sum(
        change.count * LEAVING_OUT.get(change.rule, 0)
        + change.count * (change.rule.startswith("T") and change.canonical is None and change.tag.endswith("].00080005"))
        for change in canonical.transformations
    )
    return [f"{prefix}{tag:08X}" for prefix, tag in missing] if missing.total() > told else []


def _inside(prefix: str, gone: set[str]) -> bool:
    steps = prefix.split(".")[:-1]
    return any(".".join(steps[: depth + 1]).rsplit("[", 1)[0] + "[" in gone for depth in range(len(steps)))


def unread(parsed: ParsedOctets) -> int:
    """Octets between the elements that no header, delimiter or note accounts for; at most 0 when all are."""
    skipped = 8 * sum(note.rule in LEFT_BY_THE_READER for note in parsed.notes)
    worst = 0
    pending = [parsed.data_set]
    while pending:
        data_set = pending.pop()
        position = data_set.begin
        for element in data_set.elements:
            worst = max(worst, element.start - position - 12 - 8 - 1)
            position = element.start + element.length
            if element.items:
                pending.extend(element.items)
                ends = [element.start, *(item.end for item in element.items)]
                begins = [*(item.begin - 8 for item in element.items), position]
                worst = max(worst, *(begin - end - 8 for begin, end in zip(begins, ends, strict=True)))
        worst = max(worst, data_set.end - position - 8 - 1)
    return worst - skipped
