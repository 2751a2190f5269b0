"""What a study says, and the cells that it stands for."""

from dataclasses import replace

import pytest

from tlmed.errors import InputError
from tlmed.recipe import KFold, Search, Study, load_recipe, names_study, read_study
from tlmed.recipe.search_space import make_space
from tlmed.recipe.settings import override


def cells_of(source="images", **fields):
    return Study(**{"recipes": ("feature_extractor",), "seeds": 1} | fields).expand(source)


def test_cells_are_all_combinations_those_of_the_first_fold_and_seed_first():
    study = Study(
        recipes=("feature_extractor", "fine_tuning"),
        backbones=("MobileNetV2", "VGG16=none"),
        vary={"data.image_size": ((64, 64), "96,96")},
        seeds=2,
        folds=3,
    )
    cells = study.expand("images")
    assert len(cells) == study.size == 2 * 2 * 2 * 2 * 3
    assert len({cell.name for cell in cells}) == len(cells)
    assert [(cell.fold, cell.seed) for cell in cells[::8]] == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1)]
    assert len({cell.configuration for cell in cells}) == 8
    last = cells[-1].recipe
    assert (last.backbone, last.weights, last.seed) == ("VGG16", "none", 1)
    assert (last.data.image_size, last.data.source) == ((96, 96), "images")
    assert last.data.split == KFold(3, fold=3)
    assert cells[-1].name == "fine_tuning-VGG16-image_size=96_96-seed1-fold03"


def test_the_splits_of_all_cells_are_the_same_whatever_their_seed():
    assert {cell.recipe.data.split_seed for cell in cells_of(seeds=3, first_seed=5)} == {5}
    assert [cell.recipe.seed for cell in cells_of(seeds=3, first_seed=5)] == [5, 6, 7]


def test_a_recipe_keeps_its_backbone_and_weights_unless_a_study_names_others():
    own = load_recipe("feature_extractor")
    (cell,) = cells_of()
    assert (cell.recipe.backbone, cell.recipe.weights) == (own.backbone, own.weights)
    (cell,) = cells_of(backbones=("VGG16",))
    assert (cell.recipe.backbone, cell.recipe.weights) == ("VGG16", own.weights)


def test_weights_may_be_varied():
    cells = cells_of(vary={"weights": ("imagenet", "none")})
    assert [cell.weights for cell in cells] == ["imagenet", "none"]


def test_a_text_is_read_as_after_set_and_another_value_is_taken_as_it_is():
    (of_text,) = cells_of(vary={"phases.l2": ("0.1",)})
    (of_number,) = cells_of(vary={"phases.l2": (0.1,)})
    assert of_text.recipe == of_number.recipe
    assert {phase.l2 for phase in of_text.recipe.phases} == {0.1}
    (fixed,) = cells_of(settings={"phases.0.l2": 0.5})
    assert fixed.recipe.phases[0].l2 == 0.5


def test_values_of_phases_are_those_that_set_gives():
    recipe = load_recipe("fine_tuning")
    for key, text, value in (("phases.epochs", "3", 3), ("phases.1.thaw", "1", 1), ("head.dropout", "0.5", 0.5)):
        assert override(recipe, [f"{key}={text}"]) == override(recipe, [], {key: value})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"recipes": ()}, r"`recipes` must be one recipe or more"),
        ({"recipes": ("feature_extractr",)}, r"Did you mean 'feature_extractor'"),
        ({"vary": {"epochs": (1,)}}, r"`epochs` is not a field of Recipe. Did you mean 'phases.epochs'"),
        ({"vary": {"phases.epoch": (1,)}}, r"`phases.epoch` is not a field of Phase. Did you mean 'epochs'"),
        ({"vary": {"phases.5.epochs": (1,)}}, r"not a field of Phase"),
        ({"vary": {"seed": (1, 2)}}, r"`vary` must not name `seed`, which a study sets by fields of its own"),
        ({"vary": {"head.dropout": ()}}, r"`vary` must be a dictionary"),
        ({"vary": {"head.dropout": (0.1,)}, "settings": {"head.dropout": 0.2}}, r"one of `vary` and `settings`"),
        ({"vary": {"head.dropout": (0.1, "0.1")}}, r"there once. Received: feature_extractor more than once"),
        ({"vary": {"head.dropout": (0.1, 7)}}, r"`head.dropout` must be"),
        ({"backbones": ("VGG16", "VGG16")}, r"each once"),
        ({"vary": {"weights": ("none",)}, "backbones": ("VGG16=none",)}, r"one of `vary` and `backbones`"),
        ({"repeats": 2}, r"`folds` must be given where folds are repeated"),
        ({"folds": 1}, r"`folds` must be a whole number of 2 or more"),
        ({"seedz": 2}, r"Did you mean 'seeds'"),
    ],
)
def test_a_fault_of_a_study_is_said_in_one_line(fields, said):
    with pytest.raises(InputError, match=said) as found:
        cells_of(**fields)
    assert len(found.value.faults) == 1


@pytest.mark.parametrize(
    ("fixed", "search", "said"),
    [
        ("seed=5", None, r"must not name what a study sets by fields of its own .* Received: seed\."),
        ("data.split_seed=1", None, r"Received: data\.split_seed\."),
        ("data.split=KFold(3)", None, r"by `folds` \(`--folds K`\).* Received: data\.split=KFold\(k=3"),
        ("data.val_seed=2", Search(), r"Received: data\.val_seed\."),
    ],
)
def test_settings_that_a_study_would_pass_over_are_refused(fixed, search, said):
    study = Study(recipes=("feature_extractor",), search=search)
    with pytest.raises(InputError, match=said):
        make_space(study, (fixed,)) if search else study.expand("images", (fixed,))


def test_cells_that_a_name_would_hide_have_numbers():
    cells = cells_of(backbones=tuple(f"VGG16=/{'x' * 150}{number}.h5" for number in range(2)))
    assert len({cell.name for cell in cells}) == 2
    assert all(len(cell.name) <= 110 for cell in cells)


def test_a_file_is_a_study_if_it_defines_one(tmp_path):
    study, recipe = tmp_path / "study.py", tmp_path / "recipe.py"
    study.write_text('"""A study."""\nfrom tlmed.recipe import Study\nstudy = Study(recipes=("feature_extractor",))\n')
    recipe.write_text("from tlmed.recipes.feature_extractor import recipe\n")
    assert names_study(study)
    assert not names_study(recipe)
    assert not names_study("feature_extractor")
    assert read_study(study).seeds == 3
    study.write_text("study = 3\n")
    with pytest.raises(InputError, match="must define `study = Study"):
        read_study(study)


def test_a_recipe_with_random_weights_keeps_them_with_every_backbone():
    study = Study(
        recipes=("random_initialisation", "fine_tuning"),
        backbones=("VGG16=none", "VGG16=imagenet", "ResNet50=runs/first", "LeNet5"),
        seeds=1,
    )
    cells = study.expand("images")
    assert [(cell.title, cell.backbone, cell.weights) for cell in cells] == [
        *(("random_initialisation", name, "none") for name in ("VGG16", "ResNet50", "LeNet5")),
        *(("fine_tuning", "VGG16", weights) for weights in ("none", "imagenet")),
        *(("fine_tuning", "ResNet50", "runs/first"), ("fine_tuning", "LeNet5", "imagenet")),
    ]
    assert study.size == len(cells)
    (said,) = study.say_kept()
    assert said.startswith("random_initialisation begins with random weights, also with VGG16=imagenet, ResNet50=runs")
    assert replace(study, backbones=("VGG16=none", "LeNet5")).say_kept() == []
    assert replace(study, recipes=("fine_tuning",)).say_kept() == []
