"""Find and load recipes: files, and those that come with tlmed."""

import ast
import importlib.util
import traceback
from dataclasses import dataclass
from pathlib import Path

from tlmed.errors import InputError, Interrupted, Terminated, did_you_mean
from tlmed.recipe.modules import digest_modules
from tlmed.recipe.recipe import Recipe
from tlmed.words import shorten

MOST_BYTES = 2**20  # a recipe is short; a larger file is refused without reading all of it
_SOURCE = Path(__file__).parents[2] / "recipes"
_STUDIES = "studies"  # the folder of those that compare several recipes


@dataclass(frozen=True)
class RecipeFile:
    """A recipe's file as it was when it was read. Its code has run once and does not run again.

    Attributes:
        path: Where it lies.
        text: What it says.
        recipe: The recipe that its code made.
        modules: The SHA-256 of each of the user's own modules that it imports, by the module's name.
    """

    path: Path
    text: str
    recipe: Recipe
    modules: dict[str, str]


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with tlmed: name to file, sorted by name."""
    return {file.stem: file for file in _list_shipped() if file.parent.name != _STUDIES}


def shipped_studies() -> dict[str, Path]:
    """Return the studies that come with tlmed: name to file, sorted by name."""
    return {file.stem: file for file in _list_shipped() if file.parent.name == _STUDIES}


def _list_shipped() -> list[Path]:
    # An installed tlmed has its recipes in the package `tlmed.recipes`; in the folder of its source there is none.
    spec = importlib.util.find_spec("tlmed.recipes")
    folders = [_SOURCE] if spec is None else spec.submodule_search_locations
    files = [file for folder in folders for file in Path(folder).rglob("*.py") if file.name != "__init__.py"]
    return sorted(files, key=lambda file: file.stem)


def find_recipe(path_or_name: str | Path) -> Path:
    """Return the file of a recipe, given by path or by a shipped recipe's name.

    Raises:
        InputError: If there is neither; the nearest shipped name is suggested.
    """
    path, shipped = Path(path_or_name), shipped_recipes()
    if path.suffix == ".py" and path.is_file():
        return path
    if path.suffix == ".py" and path.exists():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise InputError(f"RECIPE must be a file. Received: {path}, which is {kind}.")
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    missing = ", which does not exist" if path.suffix == ".py" else ""
    beside = f" Did you mean '{path}.py'?" if Path(f"{path}.py").is_file() else did_you_mean(path.stem, shipped)
    raise InputError(
        f"RECIPE must be a .py file or one of {', '.join(shipped)}.{beside} "
        f"Received: {shorten(repr(str(path_or_name)))}{missing}."
    )


def load_recipe(path_or_name: str | Path) -> Recipe:
    """Load a recipe from a file, or a shipped one by its name. This runs the file's code.

    Raises:
        InputError: As `read_recipe`.

    >>> load_recipe("feature_extractor").backbone
    'MobileNetV2'
    """
    return read_recipe(path_or_name).recipe


def read_recipe(path_or_name: str | Path) -> RecipeFile:
    """Read a recipe's file, or that of a shipped one by its name, and run its code.

    Raises:
        InputError: If there is no such recipe, its code fails, or the recipe has faults (all are named, with the line).
    """
    file = find_recipe(path_or_name)
    text = read_text(file)
    code = _compile(text, file)
    modules = digest_modules(file)  # before the code runs, because they may change while the run goes on
    namespace = _run(code, file)
    recipe = namespace.get("recipe")
    if not isinstance(recipe, Recipe):
        raise InputError(f"A recipe file must define `recipe = Recipe(...)`. Received: {file}, {_describe(namespace)}.")
    return RecipeFile(file, text, recipe, modules)


def run_file(file: Path) -> dict:
    """Run the code of a recipe's or a study's file, and return the names that it defines.

    Raises:
        InputError: If it cannot be read, is no valid Python, or ends in an error.
    """
    return _run(_compile(read_text(file), file), file)


def read_text(file: Path) -> str:
    """Return the text of a recipe file, which must be UTF-8, with or without a mark at its beginning.

    Raises:
        InputError: If it cannot be read, is too long, or is no such text.
    """
    try:
        # One byte more than allowed tells that it is too long, without reading a file of gigabytes.
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"A recipe must be a file that can be read. Received: {file}: {error.strerror}.") from error
    if len(content) > MOST_BYTES:
        raise InputError(f"A recipe must be a file of at most {MOST_BYTES:,} bytes. Received: {file}, which is longer.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"A recipe must be a text in UTF-8. Received: {file}, line {line}: the byte {content[error.start]:#x}."
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"A recipe must be a text in UTF-8. Received: {file}, line {line}: a null character.")
    return text


def _compile(text, file):
    try:
        return compile(text, str(file), "exec")
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise InputError(f"A recipe must be valid Python. Received: {file}{line}: {error.msg}.") from error
    except (RecursionError, MemoryError) as error:
        # Python's parser and compiler recurse once for each bracket and each operator of an expression.
        raise InputError(
            f"A recipe must be valid Python. Received: {file}: an expression that is nested too deeply to compile."
        ) from error


def _run(code, file) -> dict:
    """Run a recipe's code and return the names that it defines; any exception of it becomes an InputError."""
    # Not `__main__`, so that what a file does only when it is run as a script is left out.
    namespace = {"__name__": f"tlmed_recipe_{file.stem}", "__file__": str(file)}
    try:
        exec(code, namespace)
    except (KeyboardInterrupt, Interrupted, Terminated):
        raise
    except InputError as error:
        raise InputError([*error.faults, f"Received in {file}, line {_find_line(error, file)}."]) from error
    except BaseException as error:  # SystemExit, too: a recipe must not end the command that loads it
        words = " ".join("".join(traceback.format_exception_only(error)).split())
        raise InputError(
            f"A recipe must run without an error. Received: {file}, line {_find_line(error, file)}: {shorten(words)}."
        ) from error
    return namespace


def _find_line(error, file) -> int:
    """Return the line of a file at which an error left it, whether raised there or in a function that it called."""
    return [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(file)][-1]


def _describe(namespace) -> str:
    """Say what a file defines instead of a recipe."""
    others = [name for name, value in namespace.items() if isinstance(value, Recipe)]
    if others:
        return f"which calls it `{others[0]}`"
    if "recipe" not in namespace:
        return "which defines no `recipe`"
    kind = type(namespace["recipe"]).__name__
    return f"where `recipe` is {'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def summary(file: Path) -> str:
    """Return the first line of a recipe file's docstring."""
    doc = ast.get_docstring(ast.parse(read_text(file)))
    return (doc or "").partition("\n")[0]
