import keras
import numpy as np
import pytest

from tests.test_phases import IMAGES, SIZE, fit, make, phase
from tlmed.backbones import BACKBONES, build
from tlmed.batch_statistics import reestimate_statistics
from tlmed.certificate import certify, fingerprint, make_claim
from tlmed.errors import RunFailed
from tlmed.frozen import batch_norms, whole
from tlmed.heads.dense import attach_head
from tlmed.phases import recalibrate, thaw

# One backbone of each family. Inception and Xception refuse anything smaller.
FAMILIES = {
    "VGG16": 32,
    "ResNet50": 32,
    "ResNet50V2": 32,
    "InceptionV3": 75,
    "Xception": 71,
    "DenseNet121": 32,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "MobileNetV3Small": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "ConvNeXtTiny": 32,
    "NASNetMobile": 32,
}


def train(model, *phases):
    """Train a step of each phase; return its certificate."""
    entries = []
    for each in phases:
        thaw(model, each)
        claim, before = make_claim(model), fingerprint(model)
        fit(model)
        entries.append(certify(each.name, claim, before, fingerprint(model)))
    return entries


def check_one_step(name, size):
    """Train one eager step with the last block thawed; compare every weight, bit by bit, with what may move."""
    keras.backend.clear_session()
    network = build(name, "none", (size, size)).model
    images = np.random.RandomState(0).randint(0, 256, (2, size, size, 3)).astype("uint8")
    if norms := batch_norms([whole(network)]):
        reestimate_statistics(network, [images], norms)
    model = thaw(attach_head(network, 2, seed=1), phase(1))
    model.run_eagerly = True
    before = {weight.path: weight.numpy() for weight in model.weights}
    claim, prints = make_claim(model), fingerprint(model)
    model.train_on_batch(images, np.arange(2))
    entry = certify("p", claim, prints, fingerprint(model))
    changed = {weight.path for weight in model.weights if not np.array_equal(before[weight.path], weight.numpy())}
    assert changed == set(entry["moved"])
    assert not changed & set(entry["frozen"])
    assert {"probabilities/kernel", "probabilities/bias"} <= changed
    assert list(entry["blocks"].values()).count("frozen") == len(entry["blocks"]) - 2
    assert {"frozen", "thawed"} == set(entry["blocks"].values())


# It has whatever moves in the others, and stochastic depth; the small networks of other tests have no BatchNorm.
QUICK = ("EfficientNetB0",)


@pytest.mark.parametrize(
    ("name", "size"),
    [pytest.param(*pair, marks=() if pair[0] in QUICK else pytest.mark.slow) for pair in FAMILIES.items()],
)
def test_what_is_frozen_stays_and_what_is_thawed_moves_to_the_bit_in_every_family(name, size):
    check_one_step(name, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(BACKBONES) - set(FAMILIES)))
def test_what_is_frozen_stays_and_what_is_thawed_moves_to_the_bit_in_every_backbone(name):
    check_one_step(name, 96)


def test_every_family_of_applications_is_in_the_table():
    families = {BACKBONES[name].builder.__module__ for name in BACKBONES}
    relatives = {"vgg19", "inception_resnet_v2"}  # of VGG16 and of Inception
    missing = {family.split(".")[-1] for family in families - {BACKBONES[name].builder.__module__ for name in FAMILIES}}
    assert missing == relatives | {"classic"}


def test_a_frozen_weight_that_moves_is_named():
    model = thaw(make(), phase(1))
    claim, before = make_claim(model), fingerprint(model)
    fit(model)
    model.get_layer("norm1").moving_mean.assign_add([1.0] * 8)
    with pytest.raises(RunFailed, match="norm1/moving_mean") as caught:
        certify("top", claim, before, fingerprint(model))
    assert "'top'" in str(caught.value)
    assert "conv3" not in str(caught.value)


def test_a_thawed_block_in_which_nothing_moves_is_named():
    model = thaw(make(), phase(2))
    claim, before = make_claim(model), fingerprint(model)
    after = dict(before) | {name: "other" for name in before if name.startswith(("conv3", "probabilities"))}
    with pytest.raises(RunFailed, match="block2") as caught:
        certify("top", claim, before, after)
    assert "block3" not in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "frozen"),
    [("frozen", 4), ("affine", 2), ("recalibrate", 0), ("update", 0)],
)
def test_the_claim_counts_batch_norm_by_its_policy(policy, frozen):
    claim = make_claim(thaw(make(), phase("all", policy)))
    assert len(claim.frozen) == 3 * frozen  # three BatchNorms
    assert claim.still == ()


def test_the_claim_goes_by_blocks_and_not_by_keras_flags():
    model = thaw(make(), phase(1))
    model.get_layer("conv1").trainable = True  # as a wrong `thaw` would leave it
    claim, before = make_claim(model), fingerprint(model)
    fit(thaw(model, phase("all")))
    with pytest.raises(RunFailed, match="conv1/kernel"):
        certify("p", claim, before, fingerprint(model))


def test_recalibrated_statistics_move_in_thawed_blocks_only():
    model = make()
    thaw(model, phase(1, "recalibrate"))
    claim, before = make_claim(model), fingerprint(model)
    fit(model)
    assert recalibrate(model, [IMAGES]) == len(IMAGES)
    moved = set(certify("p", claim, before, fingerprint(model))["moved"])
    assert {"norm3/moving_mean", "norm3/moving_variance", "norm3/gamma"} <= moved
    assert not {name for name in moved if name.startswith(("norm1", "norm2"))}


def test_seeds_of_dropout_are_no_weights():
    model = make("EfficientNetB0", dropout=0.5)
    assert not [name for name in fingerprint(model) if "seed" in name]


def test_each_phase_has_its_entry():
    entries = train(make(), phase(0), phase(1), phase("all"))
    assert [entry["blocks"]["block3"] for entry in entries] == ["frozen", "thawed", "thawed"]
    assert [entry["blocks"]["block1"] for entry in entries] == ["frozen", "frozen", "thawed"]
    assert all(len(before) == len(after) == 64 for entry in entries for before, after in entry["moved"].values())


def test_two_backbones_are_frozen_and_thawed_together():
    network = build(("VGG16", "MobileNet"), "none", SIZE).model
    reestimate_statistics(network, [IMAGES])
    model = attach_head(network, 3, seed=1)
    (entry,) = train(model, phase(1))
    moved = {name.split("_")[0] for name in entry["moved"]}
    assert moved == {"branch1", "branch2", "probabilities/kernel", "probabilities/bias"}
    assert {"branch1_block4_conv3/kernel", "branch2_conv1/kernel"} <= set(entry["frozen"])
    assert "branch1_block5_conv1/kernel" in entry["moved"]


def test_weights_after_the_last_feature_map_stay_while_the_backbone_is_frozen():
    images = keras.Input((*SIZE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="conv")(images))
    model = attach_head(keras.Model(images, keras.layers.Dense(5, name="end")(x)), 3)
    entry, other = train(model, phase(0), phase(1))
    assert list(entry["moved"]) == ["probabilities/kernel", "probabilities/bias"]
    assert {"conv/kernel", "conv/bias", "end/kernel", "end/bias"} == set(entry["frozen"])
    assert {"conv/kernel", "end/kernel"} < set(other["moved"])
    assert other["blocks"] == {"block1": "thawed", "head": "thawed"}


def test_a_weight_in_no_thawed_part_must_stay():
    model = thaw(make(), phase(1))
    claim = make_claim(model)
    free = {name for names in claim.free.values() for name in names}
    assert claim.frozen | free == set(fingerprint(model))
    assert not claim.frozen & free
