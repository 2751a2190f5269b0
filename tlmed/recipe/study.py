"""A study: which recipes are trained with which backbones, values, seeds and folds; and the recipe of each training."""

import ast
import dataclasses
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlmed.errors import InputError
from tlmed.recipe.recipe import Recipe
from tlmed.recipe.recipe_files import read_recipe, read_text, run_file, shipped_studies
from tlmed.recipe.resolved import digest
from tlmed.recipe.settings import override
from tlmed.sections import KFold
from tlmed.sections.rules import count, find_faults, must, section
from tlmed.words import listed, shorten

LONGEST = 100  # characters of a cell's name, which is the name of a folder
RANDOM = "none"  # the weights of a recipe that begins with none
_OWN = ("backbone", "seed", "data.split", "data.split_seed", "data.source")  # fields that a study sets


def _holds_values(vary) -> bool:
    return all(isinstance(values, tuple) and len(values) > 0 for values in vary.values())


@section
class Search:
    """A search: instead of training every combination, try those that promise most, judged by validation images alone.

    Attributes:
        trials: How many combinations are tried, at most.
        nested: Search once in each fold, without its test images, to measure how far the search flatters itself.
    """

    trials: int = count(default=40)
    nested: bool = must("True or False", lambda _: True, default=False)


@section
class Study:
    """Recipes, each with every backbone and every value of the fields that are varied, over seeds and folds.

    All cells of a study have the same images in train, val and test, or in those of a fold: `seeds` changes what
    training draws (initial weights, order, dropout, augmentation), and not the splits.

    Attributes:
        recipes: Shipped recipes by name, recipe files by path, or recipes.
        backbones: Names from `tlmed backbones`, each with the weights of the recipe, or with others: `"VGG16=none"`.
            A recipe that begins with random weights keeps these with every backbone: that is what it is there for.
            Empty: each recipe's own.
        vary: The dotted name of a recipe's field to the values that it takes. A text is read as after `--set`; other
            values are taken as they are. Every value is combined with those of all other fields.
        settings: The dotted name of a field to its value in all cells.
        seeds: How many seeds each configuration is trained with.
        first_seed: The first of them; it decides the splits, too.
        folds: How many folds the images are divided into; None: each recipe's own split.
        repeats: How often they are divided into folds.
        search: A `Search(...)` tries part of the combinations, and more that it finds in the recipes; None: all are
            trained.

    Raises:
        InputError: With every fault.

    >>> study = Study(recipes=("feature_extractor", "fine_tuning"), backbones=("MobileNetV2", "VGG16=none"), seeds=2)
    >>> len(study.expand())
    8
    """

    recipes: tuple[str | Recipe, ...] = must("one recipe or more in a tuple", bool)
    backbones: tuple[str, ...] = must(
        "names of backbones, each once", lambda names: len({*names}) == len(names), default=()
    )
    vary: dict = must("a dictionary: the name of a field -> its values in a tuple", _holds_values, default_factory=dict)
    settings: dict = must("a dictionary: the name of a field -> its value", lambda _: True, default_factory=dict)
    seeds: int = count(default=3)
    first_seed: int = must("a whole number from 0 to 2**31", lambda seed: 0 <= seed <= 2**31, default=0)
    folds: int | None = must("a whole number of 2 or more, or None", lambda k: k is None or k >= 2, default=None)
    repeats: int = count(default=1)
    search: Search | None = must("a Search(...), or None", lambda _: True, default=None)

    def __post_init__(self):
        if faults := find_faults(self):
            raise InputError(faults)

    def find_conflicts(self, path: str) -> list[str]:
        """Return a sentence where fields contradict each other."""
        faults = [
            f"`{path}{where}` must not name `{name}`, which a study sets by fields of its own. Received: {name!r}."
            for where in ("vary", "settings")
            for name in self.find_own(getattr(self, where), may_split=where == "settings")
        ]
        if twice := sorted(self.vary.keys() & self.settings.keys()):
            faults.append(
                f"A field must be in one of `{path}vary` and `{path}settings`. Received: {twice[0]!r} in both."
            )
        named = [name for name in self.backbones if "=" in name]
        if named and "weights" in {*self.vary, *self.settings}:
            faults.append(f"Weights must be in one of `{path}vary` and `{path}backbones`. Received: {named[0]!r}.")
        if self.search is not None and self.search.nested and self.folds is None:
            faults.append(f"`{path}folds` must be given for a nested search. Received: folds=None with nested=True.")
        if self.search is not None and self.repeats > 1:
            faults.append(f"`{path}repeats` must be 1 for a search. Received: repeats={self.repeats}.")
        if self.folds is None and self.repeats > 1:
            faults.append(f"`{path}folds` must be given where folds are repeated. Received: repeats={self.repeats}.")
        return faults

    def find_own(self, names: Iterable[str], may_split: bool) -> list[str]:
        """Return which of some dotted names are fields that the study sets itself.

        Args:
            names: The names.
            may_split: Whether a split that is the same in all cells is no such field, unless there are folds.
        """
        own = {*_OWN, *(("data.val_seed",) if self.search is not None else ())}
        if may_split and self.folds is None:
            own -= {"data.split"}
        return [name for name in names if name in own]

    def check_fixed(self, fixed: Sequence[str]) -> None:
        """Refuse settings, as after `--set`, of fields that the study sets itself."""
        named = [setting.partition("=")[0].strip() for setting in fixed]
        if own := self.find_own(named, may_split=True):
            raise InputError(
                f"Settings of all cells must not name what a study sets by fields of its own ({', '.join(_OWN)}; a "
                f"search also data.val_seed). Received: {', '.join(own)}."
            )

    def expand(self, source: str | None = None, fixed: Sequence[str] = (), own: dict | None = None) -> list["Cell"]:
        """Return the cells, those of the first fold and seed first, so that a part of a study compares all.

        Args:
            source: Where the images come from; None: as each recipe says.
            fixed: More settings of all cells, as after `--set`.
            own: More values of all cells by dotted names, which are not parsed.

        Raises:
            InputError: With every fault of every recipe, each once.
        """
        self.check_fixed(fixed)
        given = {**(own or {}), **({"data.source": source} if source is not None else {})}
        cells, faults = [], []
        seeds, configurations = range(self.first_seed, self.first_seed + self.seeds), self._list_configurations()
        for fold, seed, configuration in itertools.product(self.list_folds(), seeds, configurations):
            try:
                cells.append(make_cell(self, configuration, (seed, fold), fixed, given))
            except InputError as error:
                faults += error.faults
        if faults:
            raise InputError(list(dict.fromkeys(faults)))
        return _name_all(cells)

    @property
    def size(self) -> int:
        """Return how many cells there are, without making them."""
        varied = math.prod(map(len, self.vary.values()))
        networks = sum(len(self._list_backbones(recipe)) for _, recipe in self._read_recipes())
        return networks * varied * self.seeds * len(self.list_folds())

    def say_kept(self) -> list[str]:
        """Return a sentence about the recipes that keep random weights though backbones are given others."""
        given = [name for name in self.backbones if name.partition("=")[2] not in ("", RANDOM)]
        kept = [title for title, recipe in self._read_recipes() if is_random(recipe)] if given else []
        return [
            f"{title} begins with random weights, also with {listed(given, 3)}: a recipe with weights={RANDOM!r} keeps "
            "these."
            for title in kept
        ]

    def list_folds(self) -> list[int | None]:
        """Return the numbers of the folds; only None where the images are divided once."""
        return [None] if self.folds is None else list(range(1, self.folds * self.repeats + 1))

    def _list_configurations(self) -> list[tuple]:
        varied = [[(name, value) for value in values] for name, values in self.vary.items()]
        return [
            (named, backbone, values)
            for named in self._read_recipes()
            for backbone in self._list_backbones(named[1])
            for values in itertools.product(*varied)
        ]

    def _read_recipes(self) -> list[tuple[str, Recipe]]:
        return [read_named(recipe, number) for number, recipe in enumerate(self.recipes, 1)]

    def _list_backbones(self, recipe) -> list[str | None]:
        if is_random(recipe):  # whatever weights a backbone is given: it is there once
            return list(dict.fromkeys(name.partition("=")[0] for name in self.backbones)) or [None]
        return [*self.backbones] or [None]


@dataclass(frozen=True)
class Cell:
    """One training of a study.

    Attributes:
        name: Unique in the study, and the name of its run directory.
        recipe: What is trained.
        title: The name of the recipe that the study names.
        varied: The dotted name of each varied field to its value, as text.
        seed: The seed of training.
        fold: The fold, from 1; None where the images are divided once.
        draw: Which draw of validation images judges it in a search; None: its test images do.
    """

    name: str
    recipe: Recipe
    title: str
    varied: dict[str, str]
    seed: int
    fold: int | None
    draw: int | None = None

    @property
    def backbone(self) -> str:
        """Return the name of the backbone, of several joined by `+`."""
        return _join(self.recipe.backbone)

    @property
    def weights(self) -> str:
        """Return where its weights come from."""
        return _join(self.recipe.weights)

    @property
    def configuration(self) -> tuple[str, ...]:
        """Return what differs between cells besides seed and fold."""
        return (self.title, self.backbone, self.weights, *self.varied.values())


def is_random(recipe: Recipe) -> bool:
    """Tell whether a recipe begins with random weights, which it keeps whatever a backbone is given."""
    return recipe.weights == RANDOM or {*recipe.weights} == {RANDOM}


def _join(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else "+".join(names)


def names_study(path_or_name: str | Path) -> bool:
    """Tell whether a shipped study's name or the path of a file that defines `study` was given; no code is run."""
    if str(path_or_name) in shipped_studies():
        return True
    file = Path(path_or_name)
    if file.suffix != ".py" or not file.is_file():
        return False
    try:
        body = ast.parse(read_text(file)).body
    except (SyntaxError, RecursionError, MemoryError):
        return False
    return any(
        isinstance(target, ast.Name) and target.id == "study"
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
    )


def read_study(path_or_name: str | Path) -> Study:
    """Return the study of a file, or of a shipped one by its name. This runs the file's code.

    Raises:
        InputError: If its code fails, or the study has faults.
    """
    file = shipped_studies().get(str(path_or_name), Path(path_or_name))
    study = run_file(file).get("study")
    if not isinstance(study, Study):
        raise InputError(
            f"A study's file must define `study = Study(...)`. Received: {file}, where `study` is a "
            f"{type(study).__name__}."
        )
    return study


def read_named(recipe: str | Recipe, number: int) -> tuple[str, Recipe]:
    """Return the name of a recipe of a study, and the recipe.

    Args:
        recipe: A shipped recipe's name, the path of a file, or a recipe.
        number: Names a recipe without a title.
    """
    if isinstance(recipe, Recipe):
        return recipe.name or f"recipe{number}", recipe
    file = read_recipe(recipe)
    return file.path.stem, file.recipe


def make_cell(study: Study, configuration: tuple, place: tuple, fixed: Sequence[str], given: Mapping) -> Cell:
    """Return one cell of a study, without a name.

    Args:
        study: The study.
        configuration: The title of a recipe and the recipe; a backbone, or None; names of fields with their values.
        place: The seed; and the fold, or None.
        fixed: As for `Study.expand`.
        given: Values by dotted names, which are not parsed.

    Raises:
        InputError: If a value does not fit the recipe.
    """
    (title, recipe), backbone, varied = configuration
    (seed, fold), texts, values = place, [*fixed], dict(given)
    for name, value in (*study.settings.items(), *varied):
        if isinstance(value, str):
            texts.append(f"{name}={value}")
        else:
            values[name] = value
    if backbone is not None:
        network, equals, weights = backbone.partition("=")
        values |= {"backbone": network} | ({"weights": weights} if equals else {})
    values |= {"seed": seed, "data.split_seed": study.first_seed}
    if fold is not None:
        values["data.split"] = KFold(study.folds, study.repeats, fold=fold)
    # Pictures of examples take longer than a solved head: whoever wants them asks for them.
    made = override(recipe, ("examples=0", *texts), values)
    if isinstance(made.data.split, KFold) and made.data.split.fold is None:
        raise InputError(
            "A study divides images into folds by `folds` (`--folds K`), which makes a cell of each. "
            f"Received: data.split={made.data.split!r} in {title}."
        )
    return Cell("", made, title, {name: show_value(value) for name, value in varied}, seed, fold)


def show_value(value) -> str:
    """Return a varied value as the text that a table holds.

    >>> show_value((64, 64)), show_value("none"), show_value(0.1)
    ('64,64', 'none', '0.1')
    """
    if isinstance(value, tuple) and not any(dataclasses.is_dataclass(item) for item in value):
        return ",".join(map(show_value, value))
    return value if isinstance(value, str) else repr(value)


def _name_all(cells: list[Cell]) -> list[Cell]:
    """Give each cell its name; where two would be the same after shortening, a number keeps them apart."""
    weights = Counter(backbone for backbone, _ in {(cell.backbone, cell.weights) for cell in cells})
    bases = [_name(cell, weights[cell.backbone] > 1) for cell in cells]
    total, seen, named = Counter(bases), Counter(), []
    for cell, base in zip(cells, bases, strict=True):
        seen[base] += 1
        named.append(dataclasses.replace(cell, name=f"{base}.{seen[base]}" if total[base] > 1 else base))
    amounts = Counter((cell.title, digest(cell.recipe)) for cell in named)
    if twice := [title for (title, _), number in amounts.items() if number > 1]:
        names = listed([shorten(title) for title in twice], 3)
        raise InputError(f"Each configuration of a study must be there once. Received: {names} more than once.")
    return named


def _name(cell: Cell, with_weights: bool) -> str:
    """Return the parts that make a cell differ, in characters that every file system takes."""
    parts = [cell.title, cell.backbone, *([Path(cell.weights).stem] if with_weights else [])]
    parts += [f"{name.rpartition('.')[2]}={value}" for name, value in cell.varied.items()]
    return spell_name(parts, [f"seed{cell.seed}", *([] if cell.fold is None else [f"fold{cell.fold:02d}"])])


def spell_name(parts: Sequence[str], ends: Sequence[str]) -> str:
    """Return a name in characters that every file system takes, whose parts are cut short where it is too long.

    >>> spell_name(["my recipe", "VGG16"], ["seed0", "fold01"])
    'my_recipe-VGG16-seed0-fold01'
    """
    spelled = [re.sub(r"[^A-Za-z0-9_.=+]+", "_", part) for part in parts]
    room = LONGEST - sum(len(end) + 1 for end in ends)
    return "-".join(["-".join(spelled)[:room].rstrip("-"), *ends])
