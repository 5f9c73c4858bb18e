"""Every metric: its name, its labels, and what it says. Labels never hold identifiers and take few values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How a metric is counted, and how the counts of several processes become one answer."""

    COUNTER = "counter"
    """Grows. The answer is the sum over all processes that ran, ended ones included."""
    HISTOGRAM = "histogram"
    """Grows, by ranges of what was measured; summed like a counter."""
    GAUGE = "gauge"
    """As it is now, in each process that lives; the last label is the process."""
    READ = "read"
    """A gauge that no process keeps: asked for when somebody looks."""


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric. Two are the same when they are one object, so that looking one up costs nothing.

    Attributes
    ----------
    name
        As it is scraped.
    buckets
        Of a histogram: upper bounds of its ranges, growing; one without a bound follows.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        """How many numbers it takes: one, or one for each range and one for the sum."""
        return len(self.buckets) + 2 if self.kind is Kind.HISTOGRAM else 1


_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LONG: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)

INSTANCES: Final = Metric(
    "vna_instances_total",
    Kind.COUNTER,
    ("kind", "outcome"),
    "Instances offered, by the way they came (dimse, stow, file, migration) and how they ended.",
)
FAILURES: Final = Metric("vna_instance_failures_total", Kind.COUNTER, ("code",), "Instances not acknowledged, by error code.")
SHARED: Final = Metric(
    "vna_instances_shared_total",
    Kind.COUNTER,
    ("outcome",),
    "Instances of a request given to another process that was idle: taken, or returned because it died or had got something else to do.",
)

HTTP_RECEIVED: Final = Metric("vna_http_received_bytes_total", Kind.COUNTER, (), "Octets of request bodies.")
HTTP_SENT: Final = Metric("vna_http_sent_bytes_total", Kind.COUNTER, (), "Octets of answers.")
HTTP_REQUESTS: Final = Metric("vna_http_requests_total", Kind.COUNTER, ("method", "route", "status"), "Requests answered.")
HTTP_SECONDS: Final = Metric(
    "vna_http_request_seconds",
    Kind.HISTOGRAM,
    ("route",),
    "Time from a request's head to the end of its answer.",
    _SECONDS,
)

DIMSE_ASSOCIATIONS: Final = Metric(
    "vna_dimse_associations_total", Kind.COUNTER, ("outcome",), "Associations asked for, by whether they were accepted."
)
DIMSE_ESTABLISHED: Final = Metric("vna_dimse_associations_established", Kind.GAUGE, ("process",), "Associations established now.")
DIMSE_RESPONSES: Final = Metric(
    "vna_dimse_responses_total",
    Kind.COUNTER,
    ("request", "status"),
    "Final responses of ours, by what was asked and their status (four hexadecimal digits).",
)
DIMSE_RECEIVED: Final = Metric("vna_dimse_received_bytes_total", Kind.COUNTER, (), "Octets of data sets that came by C-STORE.")

TLS_FAILURES: Final = Metric(
    "vna_tls_handshake_failures_total",
    Kind.COUNTER,
    ("face",),
    "Connections that ended before they were encrypted (DIMSE, HL7, HTTPS).",
)
TLS_DAYS: Final = Metric(
    "vna_tls_certificate_days",
    Kind.READ,
    ("file",),
    "Days until the end of each certificate that is configured; negative behind it.",
)

HL7_MESSAGES: Final = Metric(
    "vna_hl7_messages_total", Kind.COUNTER, ("acknowledgement",), "Messages of the HL7 feed, by how they were acknowledged."
)

JOBS: Final = Metric("vna_jobs", Kind.READ, ("kind", "state"), "Jobs in the catalogue: open, or failed and left to people.")
JOBS_FAILING: Final = Metric(
    "vna_jobs_failing_seconds",
    Kind.READ,
    ("kind",),
    "Time since the oldest of the open jobs of each kind was asked for whose last attempt failed: it is tried again, as long as it takes. 0: there is none.",
)
JOBS_ENDED: Final = Metric(
    "vna_jobs_ended_total",
    Kind.COUNTER,
    ("kind", "outcome"),
    "Attempts at jobs, by how they ended: done, again, failed (tried again later), given-up, stopped (given back at the end of its process), lease-lost, not-recorded.",
)
JOBS_RUNNING: Final = Metric("vna_jobs_running", Kind.GAUGE, ("process",), "Jobs being done now.")
JOB_SECONDS: Final = Metric("vna_job_seconds", Kind.HISTOGRAM, ("kind",), "Time that an attempt at a job took.", _LONG)

FEDERATION_ANSWERS: Final = Metric(
    "vna_federation_answers_total",
    Kind.COUNTER,
    ("member", "outcome"),
    "Questions to members of the federation, by how they ended.",
)
FEDERATION_MEMBER: Final = Metric(
    "vna_federation_member",
    Kind.GAUGE,
    ("member", "state", "process"),
    "1 for the state of a member's circuit, as each process that asks it sees it.",
)
FEDERATION_FAILURES: Final = Metric(
    "vna_federation_member_failures",
    Kind.GAUGE,
    ("member", "process"),
    "Questions in a row that a member did not answer; after `federation.failures` it is left alone for a while.",
)
FEDERATION_SECONDS: Final = Metric(
    "vna_federation_member_seconds",
    Kind.GAUGE,
    ("member", "process"),
    "Moving average of a member's answers; -1 before the first.",
)

HELD: Final = Metric("vna_held", Kind.READ, ("level",), "What the catalogue holds.")
CORRECTIONS: Final = Metric("vna_corrections", Kind.READ, ("member", "state"), "Corrections by how far each member is with them.")

STORE_COPIES: Final = Metric(
    "vna_store_copies",
    Kind.READ,
    ("store", "state"),
    "Copies of instances in each store by state: ok, bad (not served; see `vna repair`), cold (in an archive tier), leaving (being dropped). "
    "Counted every minute, in large archives less often.",
)
STORE_BYTES: Final = Metric("vna_store_copied_bytes", Kind.READ, ("store", "state"), "Octets of these copies.")
STORE_COUNTED: Final = Metric("vna_store_counted_seconds", Kind.READ, (), "Time since copies were counted last; -1: not yet.")
STORE_MISSING: Final = Metric(
    "vna_store_missing_copies",
    Kind.READ,
    ("store",),
    "Copies that the placement rules ask for, and that were not there, or not locked as they say, at the last attempt.",
)
STORE_MISSING_BYTES: Final = Metric("vna_store_missing_bytes", Kind.READ, ("store",), "Octets of these copies.")
STORE_MISSING_SECONDS: Final = Metric(
    "vna_store_missing_seconds",
    Kind.READ,
    ("store",),
    "How long the first of these copies has been known to be missing. 0: there is none.",
)
STORE_AWAITED: Final = Metric(
    "vna_store_jobs_waiting",
    Kind.READ,
    ("store",),
    "Jobs whose last attempt failed because the store did not answer, was full or refused.",
)
STORE_FINDINGS: Final = Metric(
    "vna_store_findings",
    Kind.READ,
    ("store", "outcome"),
    "Objects that were found wrong when they were looked at last (missing, truncated, bit-rot, orphaned, store-not-configured), and are not repaired.",
)

STARTS: Final = Metric(
    "vna_process_starts_total", Kind.COUNTER, ("process",), "Starts of each process of this run; above 1 it ended unexpectedly."
)
DROPPED: Final = Metric(
    "vna_metrics_dropped_total", Kind.COUNTER, (), "Counts that found no room in a process's memory for metrics."
)

METRICS: Final[dict[str, Metric]] = {one.name: one for one in tuple(globals().values()) if isinstance(one, Metric)}
"""All of them, by name."""
