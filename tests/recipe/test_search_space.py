"""What a search may choose, and the recipes that its choices make."""

import pytest

from tlmed.errors import InputError
from tlmed.recipe import Augment, KFold, Search, Study, find_recipe, load_recipe
from tlmed.recipe.candidate_cells import make_candidate, make_final, make_probe, start_at
from tlmed.recipe.search_space import describe_space, make_space

GIVEN = {"data.source": "images"}


def space_of(*recipes, fixed=(), **fields):
    return make_space(Study(recipes=recipes, search=Search(), **fields), fixed, GIVEN)


def values_of(space):
    return {each.name: each.values or each.bounds for each in space.dimensions}


def test_recipes_bring_what_they_have_and_only_they():
    space = space_of("feature_extractor", "fine_tuning", backbones=("LeNet5", "VGG16=none"))
    assert values_of(space) == {
        "recipe": ("feature_extractor", "fine_tuning"),
        "backbone": ("LeNet5", "VGG16=none"),
        "data.image_size": ("224,224", "112,112"),
        "thaw": ("1", "2", "3", "4"),
        "rate_factor": (0.1, 10.0),
        "head.dropout": ("0.0", "0.2", "0.5"),
        "augment": ("none", "mild"),
    }
    assert [each.name for each in space.list_for("feature_extractor")] == ["backbone", "data.image_size"]
    assert "rate_factor: 0.1 to 10 (fine_tuning)" in describe_space(space)


def test_what_a_user_sets_or_varies_takes_the_place_of_a_dimension():
    names = set(values_of(space_of("fine_tuning")))
    assert names - set(values_of(space_of("fine_tuning", fixed=("data.image_size=64,64",)))) == {"data.image_size"}
    assert names - set(values_of(space_of("fine_tuning", settings={"phases.1.thaw": 3}))) == {"thaw"}
    assert names - set(values_of(space_of("fine_tuning", fixed=("augment.flip=none",)))) == {"augment"}
    assert names - set(values_of(space_of("fine_tuning", fixed=("phases.learning_rate=1e-3",)))) == {"rate_factor"}
    varied = values_of(space_of("fine_tuning", vary={"head.dropout": ("0.1", 0.3), "phases.epochs": (5, 9)}))
    assert (varied["head.dropout"], varied["phases.epochs"]) == (("0.1", "0.3"), ("5", "9"))


def test_a_varied_field_is_that_of_the_recipes_that_have_it():
    pair, values = ("feature_extractor", "feature_extractor_hybrid"), ("0.01", "1")

    def having(name, values, *recipes):
        return {each.name: each.recipes for each in space_of(*recipes, vary={name: values}).dimensions}[name]

    assert having("phases.l2", values, *pair) == pair[:1]  # a hybrid has no phases
    assert having("phases.0.l2", values, *pair) == pair[:1]
    assert having("head.C", ("1",), *pair) == pair  # nobody has it, so that all say so
    assert having("head.folds", (3, 4), *pair) == pair[1:]
    assert having("data.batch_size", (8, 16), *pair) == pair
    assert having("phases.l2", ("auto",), *pair) == pair  # what a recipe has already


@pytest.mark.parametrize("name", [*find_recipe("fine_tuning").parent.glob("*.py")], ids=lambda path: path.stem)
def test_every_recipe_that_comes_with_tlmed_can_be_searched_and_starts_as_it_is(name):
    if name.stem == "__init__":
        return
    own = load_recipe(name.stem)
    space = space_of(name.stem)
    cell = make_final(space, start_at(space, name.stem), seed=own.seed, fold=None)
    same = make_space(Study(recipes=(name.stem,)), (), GIVEN)
    assert cell.recipe == make_final(same, {}, own.seed, None).recipe
    assert cell.recipe.phases == own.phases
    assert cell.recipe.head == own.head


def test_values_change_what_they_name_and_nothing_else():
    space, own = space_of("fine_tuning"), load_recipe("fine_tuning")
    chosen = {"data.image_size": "112,112", "thaw": "4", "rate_factor": 0.5, "head.dropout": "0.5", "augment": "mild"}
    made = make_candidate(space, chosen, 3, None).recipe
    assert made.data.image_size == (112, 112)
    assert (made.phases[0], made.phases[1].thaw) == (own.phases[0], 4)
    assert made.phases[1].learning_rate == own.phases[1].learning_rate / 2
    assert made.head.dropout == 0.5
    assert made.augment == Augment(flip="horizontal", rotation=0.028)
    assert made.data.val_seed == 3
    final = make_final(space, chosen, 7, None)
    assert (final.recipe.data.val_seed, final.recipe.seed, final.draw) == (None, 7, None)


def test_draws_have_other_validation_images_and_seeds_and_the_same_splits():
    space = space_of("fine_tuning", folds=4, first_seed=5)
    cells = [make_candidate(space, start_at(space, "fine_tuning"), draw, 2) for draw in (1, 2)]
    assert [cell.recipe.data.val_seed for cell in cells] == [1, 2]
    assert {cell.recipe.data.split for cell in cells} == {KFold(4, fold=2)}
    assert {cell.recipe.data.split_seed for cell in cells} == {5}
    assert len({cell.recipe.seed for cell in cells}) == len({cell.name for cell in cells}) == 2
    assert {5, 6, 7}.isdisjoint(cell.recipe.seed for cell in cells)  # the winner is trained with seeds of its own


def test_a_probe_solves_a_head_on_frozen_features_at_the_size_of_the_recipe():
    space = space_of("fine_tuning", fixed=("data.image_size=64,64", "class_weight=balanced"), backbones=("LeNet5",))
    recipe = make_probe(space, "LeNet5", None).recipe
    assert [(phase.thaw, phase.solver) for phase in recipe.phases] == [(0, "lbfgs")]
    assert (recipe.data.image_size, recipe.class_weight, recipe.data.val_seed) == ((64, 64), "balanced", 1)


def test_faults_are_told_before_anything_begins():
    with pytest.raises(InputError, match=r"`phases.epoch` is not a field"):
        start_at(space_of("fine_tuning", vary={"phases.epoch": ("1", "2")}), "fine_tuning")
    with pytest.raises(InputError, match=r"must have names of their own. Received: fine_tuning twice"):
        space_of("fine_tuning", "fine_tuning")
    with pytest.raises(InputError, match=r"`folds` must be given for a nested search"):
        Study(recipes=("lora",), search=Search(nested=True))
