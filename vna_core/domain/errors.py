"""The exception tree of the archive.

::

    VnaError
    ├── ConfigurationError          a setting is unknown, malformed or unsafe
    ├── PluginError                 a plugin is missing, broken or refuses to start
    ├── InvalidRequest              the caller asked for something that cannot be meant
    │   ├── OtherStudy              the instance belongs to another study than the one addressed
    │   └── UnsupportedMediaType    none of the representations asked for can be made
    │       └── NotAdaptable        the receiver's egress profile cannot be fulfilled for this instance
    ├── NotFound                    what was asked for is not held
    ├── NotAuthorized               the principal may not do this
    ├── AuditUnavailable            what must not happen unrecorded cannot be recorded now
    ├── UnderHold                   a legal hold is on it: it is not deleted
    ├── Deleted                     exactly these octets were deleted here and are not taken again
    ├── LimitExceeded               a named limit was hit; ``limit`` and ``maximum`` say which
    │   └── OutOfResources          a passing shortage (memory budget, disk): try again later
    ├── Unarchivable                octets that cannot be archived as DICOM: they go to quarantine
    │   ├── NotDicom                no plausible chain of elements
    │   ├── Truncated               cut short before its declared end
    │   ├── Malformed               damaged beyond what the rules can decide by bytes
    │   └── RebuildMismatch         the octets as received could not be proven to come back
    ├── EmptyPayload                nothing was offered; the only content that is refused
    ├── StorageError                a store failed
    │   ├── ObjectMissing           the key is not there
    │   ├── ObjectExists            the key is there already (create-if-absent)
    │   ├── ObjectArchived          the object lies in a cold tier and must be recalled first
    │   │   └── RecallPending       it is being recalled: ask again later; transient
    │   ├── DigestMismatch          the octets are not those the digest was made of
    │   ├── KeyUnavailable          the key that encrypts an object is not at hand; the object may be whole
    │   └── StoreUnavailable        the store does not answer; transient
    │       ├── StoreRefused        it answers, and lets us not in, or the bucket is not there
    │       └── StoreUnrecognized   what lies in its place is not that store: not mounted, emptied, another one
    ├── CatalogueError              the catalogue failed
    │   ├── CatalogueUnavailable    the database does not answer; transient
    │   └── LeaseLost               another worker has taken a job over
    ├── PeerError                   another archive misbehaved or answered with failure
    │   ├── AnswerCapped            it says that it has more answers than it gave
    │   ├── NotOffered              it does not offer what was asked for
    │   ├── NotAskedFor             it delivered an instance that was not asked for
    │   ├── FetchPending            what was asked for is being fetched from it: ask again later; transient
    │   ├── FetchIncomplete         it did not deliver all that was asked for
    │   ├── PeerRefused             it answers, and lets us not in: credentials, rights
    │   ├── InventoryShrank         it lists so much less than before that this is not believed
    │   └── PeerUnavailable         it does not answer; transient
    └── DecodeError                 the pixels of one image cannot be decoded

Each class has a ``code`` (stable, for machines), a DIMSE ``status`` (PS3.7 annex C, PS3.4 table B.2-1), an HTTP status and
whether a later try of the same call may succeed (``transient``).
"""

from __future__ import annotations


class VnaError(Exception):
    """Root of everything the archive raises on purpose.

    Parameters
    ----------
    message
        One sentence for the person who must act: what happened, and what to do next. Never patient data.
    fields
        Machine-readable details (limit names, keys, counts).
    """

    code = "internal-error"
    dimse_status = 0x0110
    http_status = 500
    transient = False

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    def as_dict(self) -> dict[str, object]:
        """``{"code", "message"}`` and the fields, as answered over HTTP and printed with ``--json``."""
        return {"code": self.code, "message": self.message, **self.fields}


class ConfigurationError(VnaError):
    """A setting is unknown, malformed or unsafe."""

    code = "configuration"


class PluginError(VnaError):
    """A plugin is missing, broken or refuses to start."""

    code = "plugin"


class InvalidRequest(VnaError):
    """The caller asked for something that cannot be meant."""

    code = "invalid-request"
    dimse_status = 0xA900
    http_status = 400


class UnsupportedMediaType(InvalidRequest):
    """None of the representations asked for can be made (406), or the body's type is not understood (415)."""

    code = "unsupported-media-type"
    http_status = 406


class OtherStudy(InvalidRequest):
    """The instance belongs to another study than the one addressed. It is kept in quarantine."""

    code = "other-study"
    dimse_status = 0xC409
    http_status = 409


class NotAdaptable(UnsupportedMediaType):
    """The receiver's egress profile cannot be fulfilled for this instance; ``fields`` carry the element's ``tag``."""

    code = "not-adaptable"
    dimse_status = 0xA900


class NotFound(VnaError):
    """What was asked for is not held."""

    code = "not-found"
    dimse_status = 0x0112
    http_status = 404


class NotAuthorized(VnaError):
    """The principal may not do this."""

    code = "not-authorized"
    dimse_status = 0x0124
    http_status = 403


class AuditUnavailable(VnaError):
    """What must not happen unrecorded (broken glass, deletion, correction) cannot be recorded now, so it is refused."""

    code = "audit-unavailable"
    dimse_status = 0xA700
    http_status = 503
    transient = True


class UnderHold(VnaError):
    """A legal hold is on it: it is not deleted by any route. ``fields`` carry ``hold``."""

    code = "under-hold"
    dimse_status = 0x0124
    http_status = 409


class Deleted(VnaError):
    """Exactly these octets were deleted here and are not taken again; ``fields`` carry ``deletion``."""

    code = "deleted"
    dimse_status = 0xC010
    http_status = 410


class LimitExceeded(VnaError):
    """A named limit was hit; ``fields`` carry ``limit`` (the setting's name) and ``maximum``."""

    code = "limit-exceeded"
    dimse_status = 0xC000
    http_status = 413


class OutOfResources(LimitExceeded):
    """A passing shortage (memory budget, disk full): the sender should try again later."""

    code = "out-of-resources"
    dimse_status = 0xA700
    http_status = 503
    transient = True


class Unarchivable(VnaError):
    """Octets that cannot be archived as DICOM: they are kept in quarantine and the sender hears failure."""

    code = "unarchivable"
    dimse_status = 0xC000
    http_status = 409


class NotDicom(Unarchivable):
    """No plausible chain of elements was found in the octets."""

    code = "not-dicom"


class Truncated(Unarchivable):
    """The octets end before the end they declare."""

    code = "truncated"


class Malformed(Unarchivable):
    """Damaged beyond what the rules can decide by bytes."""

    code = "malformed"


class RebuildMismatch(Unarchivable):
    """The octets as received could not be proven to come back bit-exact from the canonical object."""

    code = "rebuild-mismatch"


class EmptyPayload(VnaError):
    """Nothing was offered. The only content that is refused instead of quarantined."""

    code = "empty-payload"
    dimse_status = 0xC000
    http_status = 400


class StorageError(VnaError):
    """A store failed."""

    code = "storage"
    dimse_status = 0xA700
    http_status = 500


class ObjectMissing(StorageError):
    """The key is not in the store."""

    code = "object-missing"
    dimse_status = 0xC001
    http_status = 500


class ObjectExists(StorageError):
    """The key is in the store already; nothing was written."""

    code = "object-exists"


class ObjectArchived(StorageError):
    """The object lies in a cold tier: recall it, then read it."""

    code = "object-archived"
    http_status = 503


class RecallPending(ObjectArchived):
    """The object lies in a cold tier and is being recalled: ask again later. ``fields`` carry ``retry_after`` in seconds."""

    code = "recall-pending"
    dimse_status = 0xA702
    transient = True


class DigestMismatch(StorageError):
    """The octets are not those the digest was made of. A bad copy is never served silently."""

    code = "digest-mismatch"
    dimse_status = 0xC001


class KeyUnavailable(StorageError):
    """The key that encrypts an object is not at hand. Nothing is said about the object, which may be whole."""

    code = "key-unavailable"
    http_status = 503


class StoreUnavailable(StorageError):
    """The store does not answer."""

    code = "store-unavailable"
    http_status = 503
    transient = True


class StoreRefused(StoreUnavailable):
    """The store answers and lets us not in: credentials, rights, or a bucket that is not there. It passes when somebody mends it."""

    code = "store-refused"


class StoreUnrecognized(StoreUnavailable):
    """What lies where a store is configured is not that store: it is not mounted, was emptied, or is another one."""

    code = "store-unrecognized"


class CatalogueError(VnaError):
    """The catalogue failed."""

    code = "catalogue"
    dimse_status = 0xA700


class CatalogueUnavailable(CatalogueError):
    """The database does not answer."""

    code = "catalogue-unavailable"
    http_status = 503
    transient = True


class LeaseLost(CatalogueError):
    """Another worker has taken a job over: what is left of it is that worker's."""

    code = "lease-lost"
    http_status = 409


class PeerError(VnaError):
    """Another archive misbehaved or answered with failure."""

    code = "peer"
    dimse_status = 0xC002
    http_status = 502


class AnswerCapped(PeerError):
    """Another archive says that it has more answers than it gave; ask in smaller parts. ``fields`` carry ``answers``."""

    code = "answer-capped"


class NotOffered(PeerError):
    """Another archive does not offer what was asked for, as its declared abilities tell."""

    code = "not-offered"
    http_status = 501


class NotAskedFor(PeerError):
    """Another archive delivered an instance that was not asked for."""

    code = "not-asked-for"


class FetchPending(PeerError):
    """What was asked for is being fetched from another archive: ask again later. ``fields`` carry ``retry_after`` in seconds."""

    code = "fetch-pending"
    dimse_status = 0xA702
    http_status = 503
    transient = True


class FetchIncomplete(PeerError):
    """Another archive did not deliver all that was asked for; ``fields`` carry how many instances are ``missing``."""

    code = "fetch-incomplete"
    dimse_status = 0xA702


class InventoryShrank(PeerError):
    """A source lists so much less than before that nobody is to believe it unseen; ``fields`` carry how many studies are ``gone``
    of those ``known``."""

    code = "inventory-shrank"


class PeerRefused(PeerError):
    """Another archive answers and lets us not in: a token, a password or a right. It passes when somebody mends it."""

    code = "peer-refused"


class PeerUnavailable(PeerError):
    """Another archive does not answer."""

    code = "peer-unavailable"
    http_status = 504
    transient = True


class DecodeError(VnaError):
    """The pixels of one image cannot be decoded, so that there is no form of it beside the stored one (406); every other image is unaffected."""

    code = "decode"
    dimse_status = 0xC003
    http_status = 406
