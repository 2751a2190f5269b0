"""Replace fields of a recipe by text, as `--set KEY=VALUE` does."""

import ast
import dataclasses
import re
import types
import typing
from collections.abc import Iterable, Mapping

from tlmed.errors import InputError, did_you_mean
from tlmed.recipe.recipe import Recipe, find_faults
from tlmed.recipe.suggestions import suggest
from tlmed.sections import Augment, Degrees, Phase, Stated
from tlmed.sections.augment_presets import PRESETS, suggest_preset
from tlmed.sections.rules import find_faults as find_section_faults
from tlmed.sections.rules import find_types, fits
from tlmed.words import shorten

_NUMBER = re.compile(r"-?[0-9]+")
_QUOTED = re.compile(r""""[^"]*"|'[^']*'""")
# An item between commas; in quotes it may hold commas itself. The possessive `*+` and `?+` keep it from backtracking.
_ITEM = re.compile(rf"\s*+((?:{_QUOTED.pattern})(?=\s*+(?:,|$))|[^,]++)(?:,|$)?+")


def override(recipe: Recipe, settings: Iterable[str], values: Mapping[str, object] | None = None) -> Recipe:
    """Return the recipe with some fields replaced, as `--set KEY=VALUE` and the options of their own do.

    Args:
        recipe: The recipe to start from; it stays as it is.
        settings: Texts `KEY=VALUE`. KEY is dotted (`data.batch_size`; `phases.0.epochs` for one phase,
            `phases.epochs` for all; `head.grid.C` for one parameter of a grid). VALUE gets the field's type; tuples
            are written with commas, a whole section or dictionary as a recipe writes it: `data.split=KFold(5)`, one
            entry of a dictionary by its name: `data.classes.ill=1,2`, `costs.ill.well=10`, and a text that would be
            read as something else in quotes: `data.positive="none"`. `augment.preset=NAME` sets the fields of a preset,
            and switches off those that it does not name.
        values: Values by their dotted keys; they are not parsed, and replace those of `settings`.

    Raises:
        InputError: With every unknown key and every value that breaks a rule.

    >>> from tlmed.recipes.feature_extractor import recipe
    >>> override(recipe, ["data.image_size=64,64", "phases.epochs=1"]).data.image_size
    (64, 64)
    >>> override(recipe, ["data.positive=none"], {"data.source": "none"}).data.source
    'none'
    """
    faults = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            faults.append(f"`--set` takes KEY=VALUE. Received: --set {shorten(setting)}.")
            continue
        try:
            recipe = _replace(recipe, key.strip().split("."), text.strip(), "")
        except _UnknownField as error:
            faults.append(_describe_unknown(error, recipe, setting))
        except InputError as error:
            faults += [f"{fault} Received: --set {shorten(setting)}." for fault in error.faults]
    for key, value in (values or {}).items():
        try:
            recipe = _put(recipe, key.split("."), value)
        except _UnknownField as error:
            faults.append(_describe_unknown(error, recipe, f"{key}={value!r}"))
    faults += find_faults(recipe)
    if faults:
        raise InputError(faults)
    return recipe


def read_stated(settings: Iterable[str]) -> dict[str, object]:
    """Return the fields of a `Stated` that texts KEY=VALUE name, as `evaluate --state` takes them.

    Raises:
        InputError: With every unknown key and every value that breaks a rule.

    >>> read_stated(["beta=1", "net_benefit=0.05,0.1", "kappa_weights=((0, 1), (5, 0))"])
    {'beta': 1.0, 'net_benefit': (0.05, 0.1), 'kappa_weights': ((0, 1), (5, 0))}
    """
    faults, stated, fields = [], Stated(), {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals:
            faults.append(f"`--state` takes KEY=VALUE. Received: --state {shorten(setting)}.")
            continue
        try:
            stated = _replace(stated, [key], text, "")
            fields[key] = getattr(stated, key)
        except _UnknownField as error:
            names = [spec.name for spec in dataclasses.fields(Stated)]
            near = did_you_mean(key, names) or f" Its fields: {', '.join(names)}."
            faults.append(f"{error}{near} Received: --state {shorten(setting)}.")
    if faults := faults + find_section_faults(stated):
        raise InputError(faults)
    return fields


class _UnknownField(InputError):
    """A section has no field of that name."""

    def __init__(self, path: str, name: str, section: type):
        self.path, self.name, self.section = path, name, section
        super().__init__(f"`{shorten(path + name)}` is not a field of {section.__name__}.")


def _describe_unknown(error, recipe, setting) -> str:
    # Suggestions name fields of phases without a number, because all phases have the same fields.
    near = suggest(error.name, recipe, re.sub(r"[0-9]+\.", "", error.path))
    fields = "" if near else f" Its fields: {', '.join(spec.name for spec in dataclasses.fields(error.section))}."
    return f"{error}{near or fields} Received: --set {shorten(setting)}."


def _replace(part, keys, text, path):
    """Return `part` with one field replaced, unchecked: `override` checks the whole once all are set.

    The errors do not say what was received: `override` adds it.
    """
    if isinstance(part, tuple):
        return _replace_phase(part, keys, text, path)
    if isinstance(part, Augment) and keys == ["preset"]:
        return _choose_preset(part, text)
    specs = {spec.name: spec for spec in dataclasses.fields(part)}
    name, rest = keys[0], keys[1:]
    if isinstance(part, Degrees) and _NUMBER.fullmatch(name):
        raise InputError(
            f"`phases` must be a list for one of them to be set; a Degrees(...) makes its phases once the backbone is "
            f"known: set `{path}{'.'.join(rest)}` for all of them, or write the list with `tlmed plan --write FILE`, "
            "edit it and run it."
        )
    if name not in specs:
        raise _UnknownField(path, name, type(part))
    value, hint = getattr(part, name), find_types(type(part))[name]
    if rest and (items := _find_items(hint)):
        return _with(part, name, _replace_entry(value or {}, rest, text, items))
    nested = dataclasses.is_dataclass(value) or isinstance(value, dict) or name == "phases"
    if nested and rest:
        return _with(part, name, _replace(value, rest, text, f"{path}{name}."))
    whole = parse(text, hint)
    if nested and not fits(whole, hint):
        raise InputError(f"`{path}{name}` holds fields of its own: set one of them.")
    if rest:
        has = "".join(f"; a {option.__name__}(...) has some, if it is set first" for option in _sections(hint))
        raise InputError(f"`{path}{name}` holds no fields{has}.")
    return _with(part, name, whole)


def _replace_entry(entries, keys, text, hint):
    """Return a dictionary with one entry replaced: of classes, costs, or a grid, whose keys are scikit-learn's."""
    deeper = typing.get_args(hint)[1] if typing.get_origin(hint) is dict else None
    if deeper is None or len(keys) == 1:
        return {**entries, ".".join(keys): parse(text, hint)}
    inner = entries.get(keys[0], {})
    return {**entries, keys[0]: _replace_entry(inner, keys[1:], text, deeper)}


def _choose_preset(augment, name) -> Augment:
    if name.lower() == "none":
        return Augment()
    if name not in PRESETS:
        raise InputError(suggest_preset(name))
    return Augment.preset(name, views=augment.views)


def _put(part, names, value, path=""):
    """Return `part` with one field replaced, which may be a field of a section inside it, or of all phases."""
    name, *rest = names
    if isinstance(part, dict):
        return {**part, ".".join(names): value}
    if isinstance(part, tuple):
        chosen = [number for number in range(len(part)) if not _NUMBER.fullmatch(name) or number == int(name)]
        if _NUMBER.fullmatch(name) and not (chosen and rest):
            raise _UnknownField(path, name, Phase)
        keys = rest if _NUMBER.fullmatch(name) else names
        return tuple(_put(phase, keys, value, path) if number in chosen else phase for number, phase in enumerate(part))
    if name not in {spec.name for spec in dataclasses.fields(part)}:
        raise _UnknownField(path, name, type(part))
    inside = getattr(part, name)
    if rest and not (dataclasses.is_dataclass(inside) or isinstance(inside, dict | tuple)):
        raise _UnknownField(f"{path}{name}.", rest[0], type(part))
    return _with(part, name, _put(inside, rest, value, f"{path}{name}.") if rest else value)


def _sections(hint) -> list[type]:
    """Return the sections that a field can hold."""
    return [option for option in (typing.get_args(hint) or (hint,)) if dataclasses.is_dataclass(option)]


def _find_items(hint):
    """Return the type of the values of a field that can hold a dictionary; None for other fields."""
    options = (hint, *typing.get_args(hint))
    return next((typing.get_args(option)[1] for option in options if typing.get_origin(option) is dict), None)


def _with(part, name, value):
    # Not `dataclasses.replace`: it would check a recipe after each setting, and a later one may mend what is wrong now.
    copy = object.__new__(type(part))
    for spec in dataclasses.fields(part):
        object.__setattr__(copy, spec.name, value if spec.name == name else getattr(part, spec.name))
    object.__setattr__(copy, "_unknown", part._unknown)
    return copy


def _replace_phase(phases, keys, text, path):
    if not _NUMBER.fullmatch(keys[0]):
        # Without phases nothing changes, so that one command serves all recipes. A wrong name is still a fault.
        if not phases and keys[0] not in [spec.name for spec in dataclasses.fields(Phase)]:
            raise _UnknownField(path, keys[0], Phase)
        return tuple(_replace(phase, keys, text, path) for phase in phases)
    if not phases:
        raise InputError("`phases` must not be empty for one of them to be set.")
    index = parse(keys[0], int)
    if index not in range(len(phases)) or len(keys) == 1:
        raise InputError(f"`phases` takes a number from 0 to {len(phases) - 1} and a field.")
    changed = _replace(phases[index], keys[1:], text, f"{path}{index}.")
    return (*phases[:index], changed, *phases[index + 1 :])


def parse(text: str, hint):
    """Read `text` as a value of the type `hint`; if that fails, the text is returned, and the field's rule reports it.

    >>> parse("64,64", tuple[int, int]), parse("none", int | None), parse("0.5", int | float | None)
    ((64, 64), None, 0.5)
    >>> parse("VGG16", str | tuple[str, ...]), parse("LeNet5,VGG16", str | tuple[str, ...])
    ('VGG16', ('LeNet5', 'VGG16'))
    >>> parse('"none"', str | None), parse('"a,b.h5", c.h5', str | tuple[str, ...])
    ('none', ('a,b.h5', 'c.h5'))
    >>> parse('{"ill": ("1", "2")}', dict[str, tuple[str, ...]] | None)
    {'ill': ('1', '2')}
    >>> from tlmed.recipe import KFold
    >>> parse("KFold(5, repeats=3)", tuple[float, float, float] | KFold)
    KFold(k=5, repeats=3, val=0.15, fold=None)
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _parse_section(text, hint)
    if _QUOTED.fullmatch(text) and fits("", hint):
        return text[1:-1]
    if origin in (types.UnionType, typing.Union):
        return _parse_union(text, args)
    if origin is tuple and typing.get_origin(args[0]) is tuple:
        return _parse_literal(text)
    if origin is tuple:
        whole = text[1:-1] if text.startswith("(") and text.endswith(")") else text
        items = [item.strip() for item in _ITEM.findall(whole) if item.strip()]
        return tuple(parse(item, args[0]) for item in items)
    if origin is dict:
        return _parse_literal(text)
    if hint is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return hint(text) if hint in (int, float) else text
    except ValueError:
        return text


def _parse_literal(text):
    """Read a dictionary or a table as a recipe writes it; no code is run."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return text


def _parse_section(text, hint):
    """Read a call of a section whose arguments are literals; no code is run."""
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != hint.__name__:
            return text
        given = [ast.literal_eval(argument) for argument in call.args]
        named = [(keyword.arg, ast.literal_eval(keyword.value)) for keyword in call.keywords]
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):  # the last two: thousands of brackets
        return text
    names = [name for name, _ in named]
    return hint(*given, **dict(named)) if all(names) and len(set(names)) == len(names) else text


def _parse_union(text, options):
    """Read text as the first of these that fits: None, a tuple (if there are commas), a number, a text."""
    if type(None) in options and text.lower() == "none":
        return None
    order = sorted(options, key=lambda option: (typing.get_origin(option) is not tuple, option is str))
    for option in order:
        if typing.get_origin(option) is tuple and "," not in text:
            continue
        value = parse(text, option)
        if option is not type(None) and fits(value, option):
            return value
    return text
