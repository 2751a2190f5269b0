"""Fields that do not go with several labels per image are refused: by the recipe, or once the data show such labels."""

import pytest

from tlmed.errors import InputError
from tlmed.recipe import load_recipe, override
from tlmed.recipe.label_rules import find_label_faults

COLUMNS = "data.label_columns=edema,mass"
RULES = {
    "data.positive=mass": "`data.positive` must be None",
    "sampling=balanced": "`sampling` must be 'none'",
    "costs.mass.edema=2": "`costs` must be None",
    "threshold=costs": "`threshold` must be another one",
    "prevalence=0.1": "`prevalence` must be None",
    "data.label_column=finding": "`data.label_column` must be None",
    "data.classes.ill=edema,mass": "`data.classes` must be",
    "task=ordinal": "`task` must be 'auto' or 'multi-label'",
}


@pytest.mark.parametrize("setting", RULES)
def test_what_does_not_go_with_several_labels_is_named(setting):
    with pytest.raises(InputError) as error:
        override(load_recipe("fine_tuning"), [COLUMNS, setting])
    assert RULES[setting] in str(error.value)


def test_a_recipe_without_such_fields_is_accepted_and_asks_for_several_labels():
    recipe = override(
        load_recipe("fine_tuning"), [COLUMNS, "data.uncertain=positive", "class_weight=balanced", "head.loss=focal"]
    )
    assert (recipe.resolved_task, recipe.layout.several, recipe.layout.uncertain) == ("multi-label", True, "positive")
    assert find_label_faults(recipe) == []


@pytest.mark.parametrize(("task", "several"), [("auto", None), ("single-label", False), ("multi-label", True)])
def test_the_task_says_whether_texts_hold_several_labels(task, several):
    assert override(load_recipe("fine_tuning"), [f"task={task}"]).layout.several is several
