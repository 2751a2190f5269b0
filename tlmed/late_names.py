"""Public names of a package whose modules are imported when the name is first used (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping


def import_late(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return what is a package's `__getattr__`, which finds its public names.

    Args:
        package: Its `__name__`.
        homes: Each name to the module where it lives.

    >>> find = import_late("tlmed.words_of_all", {"count": "tlmed.words"})
    >>> find("count")(2, "image")
    '2 images'
    >>> find("cuont")
    Traceback (most recent call last):
    AttributeError: module 'tlmed.words_of_all' has no attribute 'cuont'
    """

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return find
