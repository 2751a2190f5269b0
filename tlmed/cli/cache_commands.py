"""`tlmed cache list`, `verify` and `clear`."""

import contextlib
import sys
import time

import click

from tlmed.cli.options import debug
from tlmed.errors import RunFailed
from tlmed.screen import Screen
from tlmed.tabulation import Table, numbers, texts
from tlmed.words import count


@click.group(short_help="List, check and delete features kept for later runs.")
def cache():
    """List, check and delete the features that are kept for later runs, and the graphs of networks that were served.

    They lie in TLMED_CACHE_DIR, by default the user's cache directory, and take at most TLMED_CACHE_LIMIT, by default
    20GB; what was not used for the longest time is deleted first.
    """


@contextlib.contextmanager
def _open_store():
    from tlmed.cache import Store, StoreError, cache_folder, cache_limit

    try:
        yield Store(cache_folder(), cache_limit())
    except StoreError as error:
        raise RunFailed(f"The cache must be a folder that can be read and written. Received: {error}.") from error


def _describe_entry(about) -> tuple[str, str]:
    name, engine, precision = (str(about.get(word, "?")) for word in ("name", "engine", "engine_precision"))
    return name, f"{engine} {precision}"


def _count_images(entry) -> str:
    return f"{entry.count:,}" if entry.about.get("images", entry.count) else "-"


@cache.command("list")
@debug
def list_cache():
    """List what is kept, the last used first."""
    from tlmed.cache import find_writers, list_facts, show_size

    with _open_store() as store:
        entries = store.entries()
    rows = [
        (
            *(time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)), show_size(entry.size), _count_images(entry)),
            *_describe_entry(entry.about),
        )
        for entry in entries
    ]
    table = Table(texts("last used") + numbers("size", "images") + texts("of what", "computed by"), rows)
    screen, folder = Screen(sys.stdout), store.folder.parent
    notes = [
        f"{show_size(sum(path.stat().st_size for path in paths))}: {what}"
        for what, paths in list_facts(folder).items()
        if paths
    ]
    if writers := find_writers(folder):
        screen.warn(writers)
    total = show_size(sum(entry.size for entry in entries))
    files = f"{store.folder}: {count(len(entries), 'file')}, {total} of {show_size(store.limit)}"
    screen.show([*([table] if rows else []), *notes, files])


@cache.command()
@debug
def verify():
    """Check every file, and delete what is damaged."""
    from tlmed.cache import find_writers

    screen = Screen(sys.stdout, waits=False)
    with _open_store() as store, screen.busy("Reading every file"):
        sound, damaged = store.verify()
    if writers := find_writers(store.folder.parent):
        screen.warn(writers)
    for path, reason in damaged:
        screen.warn(f"deleted, because {reason}: {path}")
    screen.say(f"{count(sound, 'file')} sound, {count(len(damaged), 'file')} damaged")


@cache.command(short_help="Delete all that is kept; it is computed again when it is needed.")
@debug
def clear():
    """Delete all that is kept; it is computed again when it is needed."""
    from tlmed.cache import show_size

    with _open_store() as store:
        files, size = store.clear()
    Screen(sys.stdout).say(f"{count(files, 'file')} deleted, {show_size(size)}")
