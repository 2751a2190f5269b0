"""A recipe: frozen dataclasses that decide a run, read from top to bottom, checked in full before anything starts.

A recipe is Python code: loading a recipe file runs it, so load only files that you would run.
This package imports neither Keras nor TensorFlow; loading a recipe takes milliseconds.
"""

from tlmed.recipe.modules import changed_modules, digest_modules
from tlmed.recipe.recipe import PRECISIONS, STRATEGIES, Recipe, find_faults
from tlmed.recipe.recipe_files import (
    RecipeFile,
    find_recipe,
    load_recipe,
    read_recipe,
    read_text,
    shipped_recipes,
    shipped_studies,
    summary,
)
from tlmed.recipe.resolved import (
    UNDECIDING,
    digest,
    divide_fields,
    find_parts,
    flatten,
    from_json,
    join_fields,
    name_differences,
    to_json,
)
from tlmed.recipe.settings import override, parse, read_stated
from tlmed.recipe.source import to_source
from tlmed.recipe.study import Cell, Search, Study, names_study, read_study
from tlmed.sections import Augment, Degrees, Dense, Hybrid, Images, KFold, Phase, Stated

__all__ = [
    "PRECISIONS",
    "STRATEGIES",
    "UNDECIDING",
    "Augment",
    "Cell",
    "Degrees",
    "Dense",
    "Hybrid",
    "Images",
    "KFold",
    "Phase",
    "Recipe",
    "RecipeFile",
    "Search",
    "Stated",
    "Study",
    "changed_modules",
    "digest",
    "digest_modules",
    "divide_fields",
    "find_faults",
    "find_parts",
    "find_recipe",
    "flatten",
    "from_json",
    "join_fields",
    "load_recipe",
    "name_differences",
    "names_study",
    "override",
    "parse",
    "read_recipe",
    "read_stated",
    "read_study",
    "read_text",
    "shipped_recipes",
    "shipped_studies",
    "summary",
    "to_json",
    "to_source",
]
