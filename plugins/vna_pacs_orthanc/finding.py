"""Orthanc's ``/tools/find``: queries as JSON, answers with the main DICOM tags of a resource."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vna_core.dicom.answers import asked_values, contradicts, single_questions, wanted_of
from vna_core.dicom.dictionary import keyword_of, tag_of
from vna_core.dicom.json_header import encode_attributes
from vna_core.dicom.network.web_client import WebClient
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import NotFound, PeerError
from vna_core.domain.query import Condition, Equals, Level, Query
from vna_core.ports.pacs import DicomJson
from vna_pacs_orthanc.identifiers import safe
from vna_pacs_orthanc.sequences import Sequences

_NAMES: Final = {Level.PATIENT: "Patient", Level.STUDY: "Study", Level.SERIES: "Series", Level.IMAGE: "Instance"}
_REMEMBERED: Final = 1024
_STUDY, _SERIES = 0x0020000D, 0x0020000E


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """An instance, and Orthanc's own identifier of it."""

    identifier: str
    series_instance_uid: str
    sop_instance_uid: str
    size: int
    modality: str = ""
    sop_class_uid: str = ""


class Finder:
    """Questions to one Orthanc."""

    def __init__(self, client: WebClient, page: int) -> None:
        self._client = client
        self._page = page

    def answers(self, query: Query, attributes: tuple[int, ...], deadline: Deadline | None) -> Iterator[DicomJson]:
        """Every match once, as DICOM JSON."""
        parents: dict[str, Mapping[str, Any]] = {}
        sequences = Sequences(self._client, query.level, attributes, lambda path: self._parent(path, parents, deadline), deadline)
        for resource, answer in wanted_of(query, self._all(query, parents, deadline)):
            yield {**answer, **sequences.of(resource)}

    def _all(
        self, query: Query, parents: dict[str, Mapping[str, Any]], deadline: Deadline | None
    ) -> Generator[tuple[Mapping[str, Any], DicomJson], None, None]:
        """Every match once, with Orthanc's description of it."""
        seen: set[str] = set()
        for question in single_questions(query):
            for resource in self._resources(query.level, question.conditions, deadline):
                identifier = str(resource.get("ID", ""))
                if identifier in seen:
                    continue
                answer = self._answer(query.level, resource, parents, deadline)
                if contradicts(answer, question.conditions):
                    continue
                seen.add(identifier)
                yield resource, answer

    def instances(self, study: str, series: str | None, deadline: Deadline | None) -> Iterator[FoundInstance]:
        """The instances of a study or series, with their SOP Classes.

        A series names its instances, and Orthanc from version 1.9.4 on describes many of them at once: that costs it half of what a search
        for them does, and tells the SOP Class, which is metadata and no main DICOM tag. An older one is searched, and tells none.
        """
        conditions: tuple[Condition, ...] = (Equals(_STUDY, (study,)),)
        if series is not None:
            conditions = (*conditions, Equals(_SERIES, (series,)))
        found = list(self._resources(Level.SERIES, conditions, deadline))
        try:
            for one in found:
                identifiers = _children(one)
                for at in range(0, len(identifiers), self._page):
                    for resource in self._described(identifiers[at : at + self._page], deadline):
                        yield _found(resource, _tags(one))
        except NotFound:
            names = {str(one.get("ID", "")): _tags(one) for one in found}
            for resource in self._resources(Level.IMAGE, conditions, deadline):
                yield _found(resource, names.get(str(resource.get("ParentSeries", "")), {}))

    def _described(self, identifiers: Sequence[str], deadline: Deadline | None) -> list[Mapping[str, Any]]:
        asked = {"Resources": list(identifiers), "Level": "Instance", "Metadata": True}
        found = self._client.document("/tools/bulk-content", body=asked, deadline=deadline)
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise PeerError("Orthanc answered a question for several resources with something else than a list of them.")
        return found

    def _resources(
        self, level: Level, conditions: tuple[Condition, ...], deadline: Deadline | None
    ) -> Iterator[Mapping[str, Any]]:
        asked = {
            "Level": _NAMES[level],
            "Expand": True,
            "CaseSensitive": False,
            "Query": {keyword_of(one.tag) or f"{one.tag:08x}": "\\".join(asked_values(one)) for one in conditions},
            "Limit": self._page,
        }
        since = 0
        while True:
            found = self._client.document("/tools/find", body={**asked, "Since": since}, deadline=deadline)
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                raise PeerError("Orthanc answered a search with something else than a list of resources.")
            yield from found
            # A page can be shorter than asked for because Orthanc is configured so: only an empty one is the end.
            if not found:
                return
            since += len(found)

    def _answer(
        self, level: Level, resource: Mapping[str, Any], parents: dict[str, Mapping[str, Any]], deadline: Deadline | None
    ) -> DicomJson:
        tags = {**_strings(resource.get("PatientMainDicomTags")), **_tags(resource)}
        if level is Level.SERIES and "ParentStudy" in resource:
            tags = {**_main_tags(self._parent(f"/studies/{safe(resource['ParentStudy'])}", parents, deadline)), **tags}
        elif level is Level.IMAGE and "ParentSeries" in resource:
            series = self._parent(f"/series/{safe(resource['ParentSeries'])}", parents, deadline)
            study = self._parent(f"/studies/{safe(series.get('ParentStudy', ''))}", parents, deadline)
            tags = {**_main_tags(study), **_tags(series), **tags}
        values = {number: tuple(text.split("\\")) for name, text in tags.items() if (number := tag_of(name))}
        return encode_attributes(values)

    def _parent(self, path: str, parents: dict[str, Mapping[str, Any]], deadline: Deadline | None) -> Mapping[str, Any]:
        """A series or study, asked for once as long as its neighbours follow one another."""
        if path not in parents:
            if len(parents) >= _REMEMBERED:
                parents.clear()
            found = self._client.document(path, deadline=deadline)
            parents[path] = found if isinstance(found, dict) else {}
        return parents[path]


def _children(series: Mapping[str, Any]) -> list[str]:
    """Orthanc's identifiers of the instances of a series."""
    named = series.get("Instances")
    if not isinstance(named, list):
        raise PeerError("Orthanc described a series without a list of its instances.")
    return [safe(identifier) for identifier in named]


def _found(instance: Mapping[str, Any], series: Mapping[str, str]) -> FoundInstance:
    """An instance as Orthanc describes it, with the main tags of its series."""
    size = instance.get("FileSize")
    return FoundInstance(
        str(instance.get("ID", "")),
        series.get("SeriesInstanceUID", ""),
        _tags(instance).get("SOPInstanceUID", ""),
        size if isinstance(size, int) else -1,
        series.get("Modality", ""),
        _strings(instance.get("Metadata")).get("SopClassUid", ""),
    )


def _tags(resource: Mapping[str, Any]) -> dict[str, str]:
    return _strings(resource.get("MainDicomTags"))


def _main_tags(study: Mapping[str, Any]) -> dict[str, str]:
    """Main tags of a study, its patient's among them."""
    return {**_strings(study.get("PatientMainDicomTags")), **_tags(study)}


def _strings(tags: object) -> dict[str, str]:
    return {str(name): str(text) for name, text in tags.items() if text} if isinstance(tags, Mapping) else {}
