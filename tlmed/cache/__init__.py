"""The cache, for what can be computed again: its folder, its limit, room for pixels and the store of feature rows."""

from tlmed.cache.folder import (
    cache_folder,
    cache_limit,
    caching_in,
    find_writers,
    list_notes,
    make_private,
    open_private,
    show_size,
)
from tlmed.cache.room import make_room
from tlmed.cache.store import Store, StoreError

__all__ = [
    "Store",
    "StoreError",
    "cache_folder",
    "cache_limit",
    "caching_in",
    "find_writers",
    "list_notes",
    "make_private",
    "make_room",
    "open_private",
    "show_size",
]
