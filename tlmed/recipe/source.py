"""Write a recipe as the Python code that makes it, laid out as a person would."""

import dataclasses
import math

from tlmed.recipe.recipe import Recipe

WIDTH = 120  # characters of a line


def to_source(recipe: Recipe, docstring: str = "") -> str:
    """Return Python code that makes this recipe.

    Args:
        recipe: A recipe without faults.
        docstring: The docstring of the file.

    Returns:
        The docstring, the import of the sections that are used, and `recipe = Recipe(...)` without the fields that
        have their default.
    """
    words = docstring.replace("\\", "\\\\").replace('"""', r"\"\"\"").strip()
    opening = f'"""{words}\n"""\n\n' if words else ""
    names = ", ".join(sorted(_section_names(recipe)))
    return f"{opening}from tlmed.recipe import {names}\n\nrecipe = {_write(recipe, len('recipe = '))}\n"


def _section_names(value) -> set[str]:
    """Name the sections that a recipe's code calls: those of the fields that are written."""
    if isinstance(value, tuple):
        return {name for item in value for name in _section_names(item)}
    if not dataclasses.is_dataclass(value):
        return set()
    inside = {name for spec in _set_fields(value) for name in _section_names(getattr(value, spec.name))}
    return {type(value).__name__} | inside


def _set_fields(section) -> list[dataclasses.Field]:
    """Return the fields that have another value than their default."""
    return [spec for spec in dataclasses.fields(section) if getattr(section, spec.name) != _default(spec)]


def _default(spec):
    made = spec.default_factory is not dataclasses.MISSING
    return spec.default_factory() if made else spec.default


def _write(value, column: int, indent: str = "") -> str:
    """Write a value that starts at a column: in one line if it fits, else one part a line."""
    opening, parts, closing = _split(value)
    if parts is None:
        return opening
    comma = "," if isinstance(value, tuple) and len(parts) == 1 else ""
    line = opening + ", ".join(label + _write(part, 0) for label, part in parts) + comma + closing
    # One column more for the comma after it. A whole recipe always has one field in a line.
    if "\n" not in line and column + len(line) + 1 <= WIDTH and not isinstance(value, Recipe):
        return line
    deeper = indent + "    "
    lines = [deeper + label + _write(part, len(deeper + label), deeper) + ",\n" for label, part in parts]
    return f"{opening}\n{''.join(lines)}{indent}{closing}"


def _split(value) -> tuple[str, list[tuple[str, object]] | None, str]:
    """Return how a value opens, its parts with the labels before them (None for a plain value), how it closes."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        # A required first field that is a text (a source, a name) is written without its keyword, as people do.
        first = fields[0].name if fields[0].type is str and _default(fields[0]) is dataclasses.MISSING else None
        parts = [
            ("" if spec.name == first else f"{spec.name}=", getattr(value, spec.name)) for spec in _set_fields(value)
        ]
        return f"{type(value).__name__}(", parts, ")"
    if isinstance(value, tuple):
        return "(", [("", item) for item in value], ")"
    if isinstance(value, dict):
        return "{", [(f"{_write_plain(key)}: ", item) for key, item in value.items()], "}"
    return _write_plain(value), None, ""


def _write_plain(value) -> str:
    """Write a text, a number, a boolean or None.

    >>> [_write_plain(value) for value in (2.5e-05, 0.0001, 0.01, 0.5, 3, "VGG16", None)]
    ['2.5e-5', '1e-4', '0.01', '0.5', '3', '"VGG16"', 'None']
    """
    text = repr(value)
    if isinstance(value, str):
        return text if '"' in value or "'" in value else f'"{text[1:-1]}"'
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{text}")'
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        # The shortest form that reads back as the same number; 17 digits always suffice.
        digits = next(f"{value:.{n}e}" for n in range(17) if float(f"{value:.{n}e}") == value)
        mantissa, _, exponent = digits.partition("e")
        return f"{mantissa}e{int(exponent)}"
    return text
