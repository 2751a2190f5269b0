"""What tlmed may compute again and therefore keeps: where it lies, how much of it, and the store of feature rows."""

from tlmed.cache.folder import (
    FOLDER,
    cache_folder,
    cache_limit,
    find_writers,
    list_notes,
    make_private,
    open_private,
    show_size,
)
from tlmed.cache.store import Store, StoreError

__all__ = [
    "FOLDER",
    "Store",
    "StoreError",
    "cache_folder",
    "cache_limit",
    "find_writers",
    "list_notes",
    "make_private",
    "open_private",
    "show_size",
]
