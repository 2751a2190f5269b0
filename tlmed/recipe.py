"""What a run is: frozen data, read top to bottom, checked in full before anything starts.

A recipe is Python code: loading a recipe file runs it, so load only files that you would run.
This module imports neither Keras nor TensorFlow; loading a recipe takes milliseconds.
"""

import dataclasses
import importlib.util
import math
import re
import traceback
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tlmed.errors import InputError, did_you_mean

BATCH_NORM = ("frozen", "affine", "update")
CLASS_WEIGHTS = ("none", "balanced")
FLIPS = ("none", "horizontal", "vertical", "both")
KEEP = ("best", "last")
MONITORS = {"val_auc": "max", "val_accuracy": "max", "val_loss": "min"}
OPTIMIZERS = ("adam", "adamw", "nadam", "rmsprop", "sgd")
POOLING = ("avg", "max")


class Missing:
    """Stand for a required field that was not given, until the recipe reports it with all other faults."""

    def __repr__(self):
        return "nothing"


def must(text, test, **options):
    """Declare a field with its rule: what it must be, in words, and a test of a value of the right type."""
    return field(metadata={"must": text, "test": test}, **options)


def one_of(choices, **options):
    """Declare a field that takes one of a few words."""
    return must("one of " + ", ".join(map(repr, choices)), lambda value: value in choices, **options)


def section(cls):
    """Make a frozen dataclass that leaves unknown and missing arguments for the recipe to report.

    A plain dataclass raises a TypeError at the first wrong keyword; a recipe names all its faults at once.
    """
    cls = dataclass(frozen=True)(cls)
    plain_init = cls.__init__
    names = [spec.name for spec in dataclasses.fields(cls)]

    def __init__(self, *args, **kwargs):
        given = dict(zip(names, args, strict=False))
        unknown = {name: kwargs[name] for name in kwargs if name not in names or name in given}
        unknown.update({f"argument {i + 1}": value for i, value in enumerate(args[len(names) :], len(names))})
        given.update({name: value for name, value in kwargs.items() if name not in unknown})
        for spec in dataclasses.fields(cls):
            if spec.default is spec.default_factory is dataclasses.MISSING:
                given.setdefault(spec.name, Missing())
        object.__setattr__(self, "_unknown", unknown)
        plain_init(self, **given)

    __init__.__wrapped__ = plain_init  # help() and inspect.signature() show the fields
    cls.__init__ = __init__
    return cls


def _positive(value):
    return math.isfinite(value) and value > 0


@section
class Images:
    """Where the images come from and how they are read.

    Attributes:
        source: A folder, a `.csv`, a MedMNIST `.npz`, or `tfds:NAME`; see the guide on data.
        image_size: Height and width, in pixels, that every image is resized to.
        split: Fractions of train, validation and test, used where the data brings no split of its own.
        batch_size: Images per training step.
        positive: The positive class of a two-class task; by default the second in sorted order.
    """

    source: str = must("a path or 'tfds:NAME'", bool)
    image_size: tuple[int, int] = must(
        "two whole numbers from 16 to 4096, height and width",
        lambda size: all(16 <= side <= 4096 for side in size),
        default=(224, 224),
    )
    split: tuple[float, float, float] = must(
        "three fractions above 0 that sum to 1: train, val, test",
        lambda split: all(map(_positive, split)) and abs(sum(split) - 1) < 1e-6,
        default=(0.70, 0.15, 0.15),
    )
    batch_size: int = must("a whole number of 1 or more", lambda size: size >= 1, default=32)
    positive: str | None = must("the name of a class, or None", lambda name: name != "", default=None)


@section
class Augment:
    """Random changes to training images; all off by default.

    Attributes:
        flip: Mirror at random along this axis.
        rotation: Largest rotation, as a fraction of a full turn, in both directions (0.1: up to 36 degrees).
        zoom: Largest change of scale, as a fraction, in both directions.
        contrast: Largest change of contrast, as a fraction, in both directions.
    """

    flip: str = one_of(FLIPS, default="none")
    rotation: float = must("a fraction of a turn from 0 to 0.5", lambda v: 0 <= v <= 0.5, default=0.0)
    zoom: float = must("a fraction from 0 to below 1", lambda v: 0 <= v < 1, default=0.0)
    contrast: float = must("a fraction from 0 to below 1", lambda v: 0 <= v < 1, default=0.0)


@section
class Dense:
    """A Keras head: global pooling, then dense layers, then one probability per class.

    Attributes:
        dropout: Fraction of inputs dropped before the last layer while training.
        pooling: How the last feature map becomes one vector.
        units: Widths of hidden ReLU layers; none by default, which makes the head a linear classifier.
    """

    dropout: float = must("a fraction from 0 to below 1", lambda rate: 0 <= rate < 1, default=0.0)
    pooling: str = one_of(POOLING, default="avg")
    units: tuple[int, ...] = must(
        "whole numbers of 1 or more", lambda widths: all(width >= 1 for width in widths), default=()
    )


@section
class Phase:
    """One stretch of training: what is thawed, for how long, at which rate.

    Attributes:
        name: Names the phase in files and on screen.
        thaw: Blocks thawed, counted from the output; `"all"` for every block, 0 for the head alone.
        epochs: Passes over the training images, at most.
        learning_rate: Step size of the optimizer.
        patience: Epochs without improvement of the recipe's `monitor` before the phase ends; None: never.
        batch_norm: What BatchNorm does in thawed blocks. `"frozen"`: nothing moves; `"affine"`: gamma and beta
            train, statistics stay; `"update"`: everything trains, on the statistics of each batch.
        optimizer: A Keras optimizer, made afresh for the phase.
    """

    name: str = must("a word of letters, digits, '_', '-' or '.'", lambda name: re.fullmatch(r"[\w.-]+", name))
    thaw: int | Literal["all"] = must("a whole number of blocks, 0 or more, or 'all'", lambda n: n == "all" or n >= 0)
    epochs: int = must("a whole number of 1 or more", lambda epochs: epochs >= 1)
    learning_rate: float = must("a number above 0", _positive)
    patience: int | None = must("a whole number of 1 or more, or None", lambda n: n is None or n >= 1, default=None)
    batch_norm: str = one_of(BATCH_NORM, default="frozen")
    optimizer: str = one_of(OPTIMIZERS, default="adam")


@section
class Recipe:
    """Everything that decides a run.

    Attributes:
        data: The images.
        backbone: A name from `tlmed backbones`.
        phases: What is trained, in order.
        weights: Where the backbone's weights come from: `"imagenet"`, `"bsds500"`, `"none"` (random), a weight
            file, or the directory of a finished run.
        head: The classifier on top.
        augment: Random changes to training images.
        class_weight: `"balanced"` weighs each class by the inverse of its share of the training images.
        keep: Which phase is the result: the one with the `"best"` validation score (ties go to the earlier one), or
            the `"last"`.
        monitor: The validation score that picks the best epoch of a phase, and the best phase.
        seed: Decides splits, initial weights, order, dropout, augmentation and resampling.
        baselines: Also score a linear classifier on the features of randomly initialised weights.

    Raises:
        InputError: With every fault of the recipe.
    """

    data: Images = must("an Images(...)", lambda _: True)
    backbone: str = must("the name of a backbone (see `tlmed backbones`)", bool)
    phases: tuple[Phase, ...] = must("one Phase(...) or more, in a tuple", len)
    weights: str = must("'imagenet', 'none', another source's name or a path", bool, default="imagenet")
    head: Dense = must("a Dense(...)", lambda _: True, default=Dense())
    augment: Augment = must("an Augment(...)", lambda _: True, default=Augment())
    class_weight: str = one_of(CLASS_WEIGHTS, default="none")
    keep: str = one_of(KEEP, default="best")
    monitor: str = one_of(tuple(MONITORS), default="val_auc")
    seed: int = must("a whole number from 0 to 2**32 - 1", lambda seed: 0 <= seed < 2**32, default=0)
    baselines: bool = must("True or False", lambda _: True, default=False)

    def __post_init__(self):
        if faults := find_faults(self):
            raise InputError(faults)

    def build(self, num_classes: int):
        """Build the network and compile it for the first phase.

        Args:
            num_classes: How many classes the head tells apart, 2 or more.

        Returns:
            A compiled `keras.Model` that takes raw RGB images, 0..255, at the recipe's size and gives one
            probability per class. `tlmed.phases.thaw` prepares it for the phases that follow.
        """
        from tlmed.run import build  # the one exception to "imports go left": building needs Keras

        return build(self, num_classes)


def find_faults(part, path: str = "") -> list[str]:
    """Return one sentence for each fault of a recipe, or of one of its parts.

    >>> find_faults(Phase("head", thaw=-1, epochs=2, learning_rate=1e-3))
    ["`thaw` must be a whole number of blocks, 0 or more, or 'all'. Received: thaw=-1."]
    """
    specs = {spec.name: spec for spec in dataclasses.fields(part)}
    faults = [
        f"`{path}{name}` is not a field of {type(part).__name__}.{did_you_mean(name, specs)} "
        f"Received: {name}={value!r}."
        for name, value in part._unknown.items()
    ]
    hints = typing.get_type_hints(type(part))
    for name, spec in specs.items():
        value = getattr(part, name)
        if not _fits(value, hints[name]) or not spec.metadata["test"](value):
            faults.append(f"`{path}{name}` must be {spec.metadata['must']}. Received: {name}={value!r}.")
        elif dataclasses.is_dataclass(value):
            faults += find_faults(value, f"{path}{name}.")
        elif name == "phases":
            faults += _find_phase_faults(value)
    return faults


def _find_phase_faults(phases):
    faults = [fault for i, phase in enumerate(phases) for fault in find_faults(phase, f"phases.{i}.")]
    names = [phase.name for phase in phases if isinstance(phase.name, str)]
    twice = sorted({name for name in names if names.count(name) > 1})
    return faults + [f"`phases` must have names of their own. Received: {name!r} more than once." for name in twice]


def _fits(value, hint) -> bool:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, option) for option in args)
    if origin is Literal:
        return value in args
    if origin is tuple:
        items = args[:1] * len(value) if isinstance(value, tuple) and args[-1] is ... else args
        return isinstance(value, tuple) and len(value) == len(items) and all(map(_fits, value, items))
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def override(recipe: Recipe, settings) -> Recipe:
    """Return the recipe with some fields replaced, as `--set KEY=VALUE` does.

    Args:
        recipe: The recipe to start from; it stays as it is.
        settings: Texts `KEY=VALUE`. KEY is dotted (`data.batch_size`; `phases.0.epochs` for one phase,
            `phases.epochs` for all). VALUE gets the field's type; tuples are written with commas.

    Raises:
        InputError: With every unknown key and every value that breaks a rule.

    >>> from tlmed.recipes.feature_extractor import recipe
    >>> override(recipe, ["data.image_size=64,64", "phases.epochs=1"]).data.image_size
    (64, 64)
    """
    faults = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            faults.append(f"`--set` takes KEY=VALUE. Received: --set {setting}.")
            continue
        try:
            recipe = _replace(recipe, key.strip().split("."), text.strip(), "")
        except InputError as error:
            faults += error.faults
    faults += find_faults(recipe)
    if faults:
        raise InputError(faults)
    return recipe


def _replace(part, keys, text, path):
    """Return `part` with one field replaced, unchecked: `override` checks the whole once all are set."""
    if isinstance(part, tuple):
        return _replace_phase(part, keys, text, path)
    specs = {spec.name: spec for spec in dataclasses.fields(part)}
    name, rest = keys[0], keys[1:]
    if name not in specs:
        known = ", ".join(specs)
        raise InputError(
            f"`{path}{name}` is not a field of {type(part).__name__} ({known}).{did_you_mean(name, specs)} "
            f"Received: --set {path}{'.'.join(keys)}={text}."
        )
    value = getattr(part, name)
    nested = dataclasses.is_dataclass(value) or name == "phases"
    if nested != bool(rest):
        raise InputError(
            f"`{path}{name}` {'holds fields of its own: set one of them' if nested else 'holds no fields'}. "
            f"Received: --set {path}{'.'.join(keys)}={text}."
        )
    hint = typing.get_type_hints(type(part))[name]
    changed = _replace(value, rest, text, f"{path}{name}.") if nested else parse(text, hint)
    copy = object.__new__(type(part))
    for spec_name in specs:
        object.__setattr__(copy, spec_name, changed if spec_name == name else getattr(part, spec_name))
    object.__setattr__(copy, "_unknown", part._unknown)
    return copy


def _replace_phase(phases, keys, text, path):
    if not keys[0].lstrip("-").isdigit():
        return tuple(_replace(phase, keys, text, path) for phase in phases)
    index = int(keys[0])
    if not 0 <= index < len(phases) or len(keys) == 1:
        raise InputError(
            f"`phases` takes a number from 0 to {len(phases) - 1} and a field. "
            f"Received: --set {path}{'.'.join(keys)}={text}."
        )
    changed = _replace(phases[index], keys[1:], text, f"{path}{index}.")
    return (*phases[:index], changed, *phases[index + 1 :])


def parse(text: str, hint):
    """Read `text` as a value of the type `hint`; text that cannot be read so is returned as it is.

    >>> parse("64,64", tuple[int, int]), parse("none", int | None), parse("all", int | Literal["all"])
    ((64, 64), None, 'all')
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if type(None) in args and text.lower() == "none":
            return None
        return parse(text, next(option for option in args if option is not type(None)))
    if origin is tuple:
        items = [item.strip() for item in text.strip("()").split(",") if item.strip()]
        return tuple(parse(item, args[0]) for item in items)
    if hint is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return hint(text) if hint in (int, float) else text
    except ValueError:
        return text


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with tlmed: name to file, sorted by name."""
    folders = importlib.util.find_spec("tlmed.recipes").submodule_search_locations
    files = [file for folder in folders for file in Path(folder).rglob("*.py") if file.name != "__init__.py"]
    return {file.stem: file for file in sorted(files, key=lambda file: file.stem)}


def find_recipe(path_or_name: str | Path) -> Path:
    """Return the file of a recipe, given by path or by a shipped recipe's name.

    Raises:
        InputError: If there is neither; the nearest shipped name is suggested.
    """
    path, shipped = Path(path_or_name), shipped_recipes()
    if path.suffix == ".py" and path.is_file():
        return path
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    raise InputError(
        f"RECIPE must be a .py file or one of {', '.join(shipped)}.{did_you_mean(path.stem, shipped)} "
        f"Received: {str(path_or_name)!r}."
    )


def load_recipe(path_or_name: str | Path) -> Recipe:
    """Load a recipe from a file, or a shipped one by its name. This runs the file's code.

    Raises:
        InputError: If there is no such recipe, its code fails, or the recipe has faults (all are named).

    >>> load_recipe("feature_extractor").backbone
    'MobileNetV2'
    """
    file = find_recipe(path_or_name)
    namespace = {"__name__": f"tlmed_recipe_{file.stem}", "__file__": str(file)}
    try:
        exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), namespace)
    except SyntaxError as error:
        raise InputError(
            f"A recipe must be valid Python. Received: {file}, line {error.lineno}: {error.msg}."
        ) from error
    except (ArithmeticError, AttributeError, ImportError, LookupError, NameError, TypeError, UnicodeError) as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise InputError(
            f"A recipe must run without an error. Received: {file}, line {line}: {type(error).__name__}: {error}."
        ) from error
    recipe = namespace.get("recipe")
    if not isinstance(recipe, Recipe):
        raise InputError(f"A recipe file must define `recipe = Recipe(...)`. Received: {file}, recipe={recipe!r}.")
    return recipe


def summary(file: Path) -> str:
    """Return the first line of a recipe file's docstring."""
    import ast

    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    return (doc or "").partition("\n")[0]


def to_source(recipe: Recipe) -> str:
    """Return Python code that makes this recipe, for a recipe that was made in memory and has no file."""
    names = ", ".join(sorted({"Augment", "Dense", "Images", "Phase", "Recipe"}))
    return f"from tlmed.recipe import {names}\n\nrecipe = {recipe!r}\n"
