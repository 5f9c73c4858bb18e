"""What rules do to many instances: how many each fires on, with samples of values before and after."""

from __future__ import annotations

from dataclasses import dataclass, field

from vna_core.domain.errors import VnaError
from vna_core.domain.instance import CanonicalInstance

FINDING = "finding"


@dataclass(frozen=True, slots=True)
class Sample:
    """One change as it would be. `message` is a finding's, which changes nothing."""

    instance: str
    tag: str
    keyword: str = ""
    original: str | None = None
    canonical: str | None = None
    message: str = ""


@dataclass(slots=True)
class RuleCount:
    """One rule. `instances` counts those it fires on, `changed` those among them whose data set would become another."""

    rule: str
    version: int
    confidence: str
    instances: int = 0
    changed: int = 0
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class RuleTally:
    """Counts of all rules.

    Parameters
    ----------
    versions
        Version of each rule by its id.
    samples
        How many samples of each rule to keep.
    """

    versions: dict[str, int]
    samples: int = 3
    examined: int = 0
    changed: int = 0
    failures: list[tuple[str, VnaError]] = field(default_factory=list)
    _counts: dict[tuple[str, str], RuleCount] = field(default_factory=dict)

    def add(self, name: str, canonical: CanonicalInstance, *, differs: bool) -> None:
        """Count an instance that can be normalized; `name` is how its samples call it."""
        self.examined += 1
        self.changed += differs
        fired = set()
        for change in canonical.transformations:
            fired.add((change.rule, change.confidence.value))
            self._keep(
                (change.rule, change.confidence.value),
                Sample(name, change.tag, change.keyword, change.original, change.canonical, change.detail),
            )
        for finding in canonical.findings:
            fired.add((finding.rule, FINDING))
            self._keep((finding.rule, FINDING), Sample(name, finding.tag, message=finding.message))
        for key in fired:
            self._counts[key].instances += 1
            self._counts[key].changed += differs

    def fail(self, name: str, error: VnaError) -> None:
        """Count an instance that would go to quarantine."""
        self.examined += 1
        self.failures.append((name, error))

    def _keep(self, key: tuple[str, str], sample: Sample) -> None:
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = RuleCount(key[0], self.versions.get(key[0], 1), key[1])
        if len(count.samples) < self.samples:
            count.samples.append(sample)

    @property
    def counts(self) -> list[RuleCount]:
        """Rules by id."""
        return [self._counts[key] for key in sorted(self._counts)]
