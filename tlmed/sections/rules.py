"""Fields that carry their rules, and the check that names every fault of a section at once."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tlmed.errors import did_you_mean
from tlmed.words import shorten


class Missing:
    """The value of a required field that was not given, until the recipe reports it with all other faults."""

    def __repr__(self):
        return "nothing"


def must(text, test, near=None, **options):
    """Declare a field with its rule: what it must be, in words, and a test of a value of the right type.

    Args:
        text: What it must be.
        test: Tells whether a value of the right type is right.
        near: Returns a sentence that helps with a value that is not right, with a space before it.
        options: As of a dataclass's field.
    """
    return field(metadata={"must": text, "test": test, "near": near or (lambda value: "")}, **options)


def one_of(choices, **options):
    """Declare a field that takes one of a few words."""
    return must("one of " + ", ".join(map(repr, choices)), lambda value: value in choices, **options)


def optional_word(what, choices, synonyms, **options):
    """Declare a field that takes one of many words, or None.

    Args:
        what: What the words name.
        choices: The words.
        synonyms: Other words, with the one of `choices` that each stands for.
        options: As of a dataclass's field.
    """
    near = functools.partial(_find_near, choices, synonyms)
    return must(f"{what}, or None", lambda value: value is None or value in choices, near, **options)


def _find_near(choices, synonyms, value) -> str:
    """Suggest one of some words, or name them all."""
    return did_you_mean(value, choices, synonyms) or f" Choose from {', '.join(choices)}."


def count(what="", **options):
    """Declare a field that takes a whole number of 1 or more, of something."""
    return must(f"a whole number{what} of 1 or more", lambda value: value >= 1, **options)


def optional_count(**options):
    """Declare a field that takes a whole number of 1 or more, or None."""
    return must("a whole number of 1 or more, or None", lambda value: value is None or value >= 1, **options)


def column():
    """Declare a field that takes the name of a column, or None."""
    return must("the name of a column, or None", lambda name: name != "", default=None)


def share(**options):
    """Declare a field that takes a number above 0 and up to 1."""
    return must("a number above 0 and up to 1", lambda value: 0 < value <= 1, **options)


def positive(value) -> bool:
    """Tell whether a number is finite and above 0."""
    return math.isfinite(value) and value > 0


def not_negative(value) -> bool:
    """Tell whether a number is finite and 0 or above."""
    return math.isfinite(value) and value >= 0


def section(cls):
    """Make a frozen dataclass that leaves unknown and missing arguments for the recipe to report.

    A plain dataclass raises a TypeError at the first wrong keyword; a recipe names all its faults at once. A class
    with a static method `fill_in(given)` may add fields there that others make needless.
    """
    cls = dataclass(frozen=True)(cls)
    plain_init = cls.__init__
    names = [spec.name for spec in dataclasses.fields(cls)]

    def __init__(self, *args, **kwargs):
        given = dict(zip(names, args, strict=False))  # what is too much becomes unknown below
        unknown = {name: kwargs[name] for name in kwargs if name not in names or name in given}
        unknown.update({f"argument {i + 1}": value for i, value in enumerate(args[len(names) :], len(names))})
        given.update({name: value for name, value in kwargs.items() if name not in unknown})
        if hasattr(cls, "fill_in"):
            cls.fill_in(given)
        for spec in dataclasses.fields(cls):
            if spec.default is spec.default_factory is dataclasses.MISSING:
                given.setdefault(spec.name, Missing())
        # The class is frozen. Not a field, so that unknown names take no part in equality or in `asdict`.
        object.__setattr__(self, "_unknown", unknown)
        plain_init(self, **given)

    __init__.__wrapped__ = plain_init  # help() and inspect.signature() show the fields
    cls.__init__ = __init__
    return cls


def find_faults(part, path: str = "") -> list[str]:
    """Return one sentence for each fault of a section: of its fields, of the sections they hold, and between fields.

    A section whose fields restrict one another says how in a method `find_conflicts(path)`, which is asked only where
    each field is right by itself.

    Args:
        part: An instance of a class that `section` made.
        path: The prefix of its fields' names in a sentence, such as `"data."`.

    >>> from tlmed.sections import Phase
    >>> find_faults(Phase("head", thaw=-1, epochs=2, learning_rate=1e-3))
    ["`thaw` must be a whole number of blocks, 0 or more, or 'all'. Received: thaw=-1."]
    """
    specs = {spec.name: spec for spec in dataclasses.fields(part)}
    faults = [
        f"`{path}{name}` is not a field of {type(part).__name__}.{did_you_mean(name, specs)} "
        f"Received: {name}={shorten(repr(value))}."
        for name, value in part._unknown.items()
    ]
    hints = find_types(type(part))
    for name, spec in specs.items():
        value = getattr(part, name)
        if not fits(value, hints[name]) or not spec.metadata["test"](value):
            rule = f"{spec.metadata['must']}.{spec.metadata['near'](value)}"
            faults.append(f"`{path}{name}` must be {rule} Received: {name}={shorten(repr(value))}.")
            continue
        # A tuple may hold sections too: phases are named `phases.0.`, `phases.1.` and so on.
        items = enumerate(value) if isinstance(value, tuple) else ()
        inside = {f"{path}{name}.{i}.": item for i, item in items} or {f"{path}{name}.": value}
        for inner, item in inside.items():
            if dataclasses.is_dataclass(item):
                faults += find_faults(item, inner)
    # Rules between fields take it for granted that each field is right.
    if not faults and hasattr(part, "find_conflicts"):
        faults += part.find_conflicts(path)
    return faults


@functools.cache  # Python works them out anew each time, and a recipe is checked many times
def find_types(kind: type) -> Mapping[str, object]:
    """Return the types that the fields of a dataclass declare.

    >>> from tlmed.sections import Phase
    >>> find_types(Phase)["epochs"]
    <class 'int'>
    """
    return types.MappingProxyType(typing.get_type_hints(kind))


def fits(value, hint) -> bool:
    """Tell whether a value is of the type that a field declares.

    >>> fits((64, 64), tuple[int, int]), fits(True, int), fits(1, float), fits({"C": (1,)}, dict[str, tuple[int, ...]])
    (True, False, True, True)
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, option) for option in args)
    if origin is Literal:
        return value in args
    if origin is tuple:
        items = args[:1] * len(value) if isinstance(value, tuple) and args[-1] is ... else args
        return isinstance(value, tuple) and len(value) == len(items) and all(map(fits, value, items))
    if origin is dict:
        return isinstance(value, dict) and all(fits(key, args[0]) and fits(value[key], args[1]) for key in value)
    # In Python True is an int; in a recipe it is not one.
    if isinstance(value, bool):
        return hint is bool
    # Where a float is wanted, 1 is as good as 1.0.
    return isinstance(value, (int, float) if hint is float else hint)
