"""Find and load recipes: files, and those that come with tlmed."""

import ast
import importlib.util
import traceback
from pathlib import Path

from tlmed.errors import InputError, did_you_mean
from tlmed.recipe.recipe import Recipe


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
    doc = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    return (doc or "").partition("\n")[0]
