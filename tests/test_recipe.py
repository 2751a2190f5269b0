import subprocess
import sys

import pytest

from tlmed.errors import InputError
from tlmed.recipe import (
    Augment,
    Dense,
    Images,
    Phase,
    Recipe,
    find_recipe,
    load_recipe,
    override,
    shipped_recipes,
    summary,
    to_source,
)


def make(**fields):
    fields = {
        "data": Images("images"),
        "backbone": "MobileNetV2",
        "phases": (Phase("head", thaw=0, epochs=1, learning_rate=1e-3),),
        **fields,
    }
    return Recipe(**fields)


def phase(**fields):
    return Phase(**{"name": "head", "thaw": 0, "epochs": 1, "learning_rate": 1e-3, **fields})


FAULTS = [
    ({"backbone": ""}, "`backbone`", "backbone=''"),
    ({"weights": None}, "`weights`", "weights=None"),
    ({"seed": -1}, "`seed`", "seed=-1"),
    ({"seed": 1.5}, "`seed`", "seed=1.5"),
    ({"seed": True}, "`seed`", "seed=True"),
    ({"keep": "first"}, "'best', 'last'", "keep='first'"),
    ({"monitor": "auc"}, "'val_auc'", "monitor='auc'"),
    ({"class_weight": "auto"}, "'balanced'", "class_weight='auto'"),
    ({"phases": ()}, "`phases`", "phases=()"),
    ({"phases": [phase()]}, "`phases`", "in a tuple"),
    ({"phases": (phase(), phase())}, "names of their own", "'head' more than once"),
    ({"phases": (phase(thaw=-1),)}, "`phases.0.thaw`", "thaw=-1"),
    ({"phases": (phase(thaw="most"),)}, "`phases.0.thaw`", "thaw='most'"),
    ({"phases": (phase(epochs=0),)}, "`phases.0.epochs`", "epochs=0"),
    ({"phases": (phase(learning_rate=0),)}, "`phases.0.learning_rate`", "learning_rate=0"),
    ({"phases": (phase(learning_rate=float("nan")),)}, "`phases.0.learning_rate`", "learning_rate=nan"),
    ({"phases": (phase(patience=0),)}, "`phases.0.patience`", "patience=0"),
    ({"phases": (phase(batch_norm="off"),)}, "`phases.0.batch_norm`", "batch_norm='off'"),
    ({"phases": (phase(optimizer="lion king"),)}, "`phases.0.optimizer`", "optimizer='lion king'"),
    ({"phases": (phase(name="a/b"),)}, "`phases.0.name`", "name='a/b'"),
    ({"data": Images("x", image_size=(64,))}, "`data.image_size`", "image_size=(64,)"),
    ({"data": Images("x", image_size=(8, 64))}, "`data.image_size`", "image_size=(8, 64)"),
    ({"data": Images("x", split=(0.5, 0.5, 0.5))}, "`data.split`", "split=(0.5, 0.5, 0.5)"),
    ({"data": Images("x", batch_size=0)}, "`data.batch_size`", "batch_size=0"),
    ({"data": Images("")}, "`data.source`", "source=''"),
    ({"head": Dense(dropout=1.0)}, "`head.dropout`", "dropout=1.0"),
    ({"head": Dense(pooling="mean")}, "`head.pooling`", "pooling='mean'"),
    ({"head": Dense(units=(0,))}, "`head.units`", "units=(0,)"),
    ({"augment": Augment(flip="diagonal")}, "`augment.flip`", "flip='diagonal'"),
    ({"augment": Augment(rotation=2)}, "`augment.rotation`", "rotation=2"),
    ({"data": Images("x", batchsize=3)}, "Did you mean 'batch_size'?", "batchsize=3"),
    ({"sed": 3}, "Did you mean 'seed'?", "sed=3"),
]


@pytest.mark.parametrize(("fields", "rule", "received"), FAULTS)
def test_a_fault_names_field_rule_and_received_value(fields, rule, received):
    with pytest.raises(InputError) as caught:
        make(**fields)
    assert len(caught.value.faults) == 1
    assert rule in str(caught.value)
    assert received in str(caught.value)


def test_all_faults_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        Recipe(data=Images("x", batch_size=0), keep="first", phases=(phase(epochs=0), Phase("b", 0, epoch=1)))
    fields = ["data.batch_size", "backbone", "keep", "phases.0.epochs", "phases.1.epoch", "phases.1.learning_rate"]
    assert all(f"`{field}`" in str(caught.value) for field in fields)


def test_a_recipe_is_frozen_and_equal_to_its_twin():
    recipe = make()
    with pytest.raises(AttributeError):
        recipe.seed = 1
    assert recipe == make()
    assert recipe != make(seed=1)


OVERRIDES = [
    ("data.image_size=64,48", lambda r: r.data.image_size, (64, 48)),
    ("data.batch_size=8", lambda r: r.data.batch_size, 8),
    ("data.positive=malignant", lambda r: r.data.positive, "malignant"),
    ("data.positive=none", lambda r: r.data.positive, None),
    ("data.source=a=b", lambda r: r.data.source, "a=b"),
    ("backbone=VGG16", lambda r: r.backbone, "VGG16"),
    ("weights=none", lambda r: r.weights, "none"),
    ("seed=7", lambda r: r.seed, 7),
    ("keep=last", lambda r: r.keep, "last"),
    ("monitor=val_loss", lambda r: r.monitor, "val_loss"),
    ("head.dropout=0", lambda r: r.head.dropout, 0.0),
    ("head.units=64,32", lambda r: r.head.units, (64, 32)),
    ("augment.flip=horizontal", lambda r: r.augment.flip, "horizontal"),
    ("baselines=True", lambda r: r.baselines, True),
    ("phases.0.epochs=3", lambda r: [p.epochs for p in r.phases], [3, 20]),
    ("phases.epochs=1", lambda r: [p.epochs for p in r.phases], [1, 1]),
    ("phases.1.thaw=all", lambda r: r.phases[1].thaw, "all"),
    ("phases.1.thaw=3", lambda r: r.phases[1].thaw, 3),
    ("phases.patience=none", lambda r: [p.patience for p in r.phases], [None, None]),
    ("phases.0.patience=4", lambda r: r.phases[0].patience, 4),
    ("phases.learning_rate=1e-5", lambda r: r.phases[1].learning_rate, 1e-5),
    ("phases.1.batch_norm=affine", lambda r: r.phases[1].batch_norm, "affine"),
    ("phases.1.name=top2", lambda r: r.phases[1].name, "top2"),
]


@pytest.mark.parametrize(("setting", "read", "value"), OVERRIDES)
def test_set_gives_a_field_a_value_of_its_type(setting, read, value):
    before = load_recipe("fine_tuning")
    after = override(before, [setting])
    assert read(after) == value
    assert type(read(after)) is type(value)
    assert before == load_recipe("fine_tuning")


BAD_SETTINGS = [
    ("sed=1", "Did you mean 'seed'?"),
    ("data.image=1,2", "Did you mean 'image_size'?"),
    ("seed", "KEY=VALUE"),
    ("seed=many", "seed='many'"),
    ("data=x", "set one of them"),
    ("seed.x=1", "holds no fields"),
    ("phases.5.epochs=1", "from 0 to 1"),
    ("phases.0=1", "a field"),
    ("baselines=maybe", "baselines='maybe'"),
    ("data.image_size=64", "image_size=(64,)"),
]


@pytest.mark.parametrize(("setting", "words"), BAD_SETTINGS)
def test_a_bad_setting_is_an_error_that_shows_it(setting, words):
    with pytest.raises(InputError, match="Received") as caught:
        override(load_recipe("fine_tuning"), [setting])
    assert words in str(caught.value)


def test_all_bad_settings_are_reported_at_once():
    with pytest.raises(InputError) as caught:
        override(load_recipe("fine_tuning"), [setting for setting, _ in BAD_SETTINGS])
    assert len(caught.value.faults) == len(BAD_SETTINGS)


def test_the_table_of_shipped_recipes_is_not_empty():
    assert {"quickstart", "feature_extractor", "fine_tuning", "fine_tuning_from_scratch"} <= set(shipped_recipes())


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_a_shipped_recipe_loads_is_described_and_stands_alone(name):
    text = find_recipe(name).read_text()
    assert isinstance(load_recipe(name), Recipe)
    assert summary(find_recipe(name)).endswith(".")
    assert f"tlmed train {name}" in text
    assert "tlmed.recipes" not in text


@pytest.mark.parametrize("name", list(shipped_recipes()))
def test_source_made_from_a_recipe_makes_that_recipe(name, tmp_path):
    (tmp_path / "again.py").write_text(to_source(load_recipe(name)))
    assert load_recipe(tmp_path / "again.py") == load_recipe(name)


BAD_FILES = [
    ("recipe = (", "line 1"),
    ("import nonexistent_module", "nonexistent_module"),
    ("recipe = Recip()", "NameError"),
    ("recipe = 3", "recipe=3"),
    ("x = 1", "recipe=None"),
    ("from tlmed.recipe import *\nrecipe = Recipe(bakbone='x')", "Did you mean 'backbone'?"),
]


@pytest.mark.parametrize(("text", "words"), BAD_FILES)
def test_a_bad_recipe_file_is_one_clear_error(text, words, tmp_path):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(InputError) as caught:
        load_recipe(tmp_path / "bad.py")
    assert words in str(caught.value)


def test_an_unknown_recipe_gets_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean 'fine_tuning'"):
        load_recipe("fine_tunning")


def test_loading_a_recipe_imports_neither_keras_nor_tensorflow():
    code = (
        "import sys, tlmed; from tlmed.recipes import feature_extractor; tlmed.load_recipe('fine_tuning');"
        "heavy = {'keras', 'tensorflow', 'sklearn', 'numpy'} & set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
