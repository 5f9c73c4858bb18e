"""Errors of the operating system in the archive's own tree."""

from __future__ import annotations

import errno
import os
from typing import Final

from vna_core.domain.errors import InvalidRequest, ObjectMissing, OutOfResources, StoreUnavailable, VnaError

_FULL: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def translated(error: OSError, store: str, root: str, key: str = "") -> VnaError:
    """What an error in the store of that name below `root` means to its caller; `key` for what is read."""
    if error.errno == errno.ENOENT and not os.path.isdir(root):
        # an unmounted disk must not look like an archive that lost every object
        return StoreUnavailable(f"The folder of store {store!r} is gone.", store=store)
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG) and key:
        return ObjectMissing("The object is not in the store.", store=store, key=key)
    if error.errno == errno.ENOTDIR:
        return InvalidRequest("The key lies below an object.", store=store)
    if error.errno in _FULL:
        return OutOfResources(
            f"Store {store!r} is full: free space, then send again.", limit=f"stores.{store}", maximum="disk space", store=store
        )
    return StoreUnavailable(f"Store {store!r} fails: {error.strerror or error}.", store=store)
