"""Packs: one immutable object for a settled series, at once a TAR archive, a Zarr shard of its frames, and the source of ranges.

`format` says where everything is, `writing` makes a pack, `reading` lists and proves one, `volume` describes its frames to Zarr.
"""

from vna_core.archival_storage.packs.format import Pack, PackMember, member_name
from vna_core.archival_storage.packs.reading import PackCheck, check_pack, read_pack
from vna_core.archival_storage.packs.salvage import members_before_damage
from vna_core.archival_storage.packs.volume import Volume, looked_at, volume_of, volume_order
from vna_core.archival_storage.packs.writing import PackInput, PackWriter

__all__ = [
    "members_before_damage",
    "Pack",
    "PackCheck",
    "PackInput",
    "PackMember",
    "PackWriter",
    "Volume",
    "check_pack",
    "looked_at",
    "member_name",
    "read_pack",
    "volume_of",
    "volume_order",
]
