"""The cache, for what can be computed again: its folder, its limit, room for pixels, features, and known facts."""

from tlmed.cache.fact_tables import KeptTable, list_facts, open_digests, open_pixels
from tlmed.cache.folder import (
    cache_folder,
    cache_limit,
    caching_in,
    find_writers,
    make_private,
    open_private,
    show_size,
)
from tlmed.cache.room import IN_MEMORY, Room, limit_features, make_room
from tlmed.cache.store import Store, StoreError, address
from tlmed.cache.turns import Turn

__all__ = [
    "IN_MEMORY",
    "KeptTable",
    "Room",
    "Store",
    "StoreError",
    "Turn",
    "address",
    "cache_folder",
    "cache_limit",
    "caching_in",
    "find_writers",
    "limit_features",
    "list_facts",
    "make_private",
    "make_room",
    "open_digests",
    "open_pixels",
    "open_private",
    "show_size",
]
