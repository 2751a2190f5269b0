"""The audit of a published benchmark: its mistakes are those that are said, and its AUC is scikit-learn's."""

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.audit_busi import Arm, Images, Network, add_head, disguise, estimate, list_arms, read_folds
from tlmed import backbones

RANDOM = np.random.default_rng(0)
COUNT = 50


def make_images():
    tested = np.arange(COUNT) % 5 + 1
    splits = {
        fold: np.where(tested == fold, "test", np.where(tested == fold % 5 + 1, "val", "train")) for fold in range(1, 6)
    }
    return Images(tuple(f"{i:02}.png" for i in range(COUNT)), None, np.arange(COUNT) // 5 % 2 == 1, splits)


def write_tables(folder, images):
    for fold, splits in images.splits.items():
        lines = [
            f"{p},{'malignant' if m else 'benign'},{s}"
            for p, m, s in zip(images.paths, images.positive, splits, strict=True)
        ]
        (folder / f"radimagenet_fold{fold}.csv").write_text("\n".join(["path,label,split", *lines]))


def test_the_folds_are_read_and_refused_if_an_image_is_tested_twice(tmp_path):
    images = make_images()
    write_tables(tmp_path, images)
    found = read_folds(tmp_path)
    assert found.paths == images.paths
    np.testing.assert_array_equal(found.positive, images.positive)
    images.splits[2][:] = images.splits[1]
    write_tables(tmp_path, images)
    with pytest.raises(SystemExit, match="each tested once"):
        read_folds(tmp_path)


def test_the_auc_of_a_fold_is_the_mean_over_seeds_of_scikit_learns_on_images_that_all_arms_have():
    images = make_images()
    one, two = RANDOM.random((3, COUNT)), RANDOM.random((2, COUNT))
    two[:, 3] = np.nan
    areas, spreads = estimate(images, [one, two])
    for fold, found in zip(range(1, 6), areas, strict=True):
        rows = (images.splits[fold] == "test") & (np.arange(COUNT) != 3)
        for value, scores in zip(found, (one, two), strict=True):
            assert value == pytest.approx(np.mean([roc_auc_score(images.positive[rows], row[rows]) for row in scores]))
    assert spreads.shape == (5, 2, 2)
    assert np.all(np.linalg.eigvalsh(spreads) > -1e-12)


def test_disguised_pixels_reach_the_network_as_the_published_script_prepares_them():
    body = backbones.build("MobileNet:0.25", "none", (32, 32)).model
    pixels = RANDOM.integers(0, 256, (2, 32, 32, 3)).astype("float32")
    published = keras.applications.imagenet_utils.preprocess_input(pixels.copy(), mode="caffe") * (1.0 / 255)
    prepared = np.asarray(body.get_layer("preprocessing")(disguise(pixels, body)))
    np.testing.assert_allclose(prepared, published, atol=1e-5)
    assert abs(np.asarray(body.get_layer("preprocessing")(pixels)) - published).max() > 0.1


def samples(shape, count=40):
    labels = np.arange(count) % 2
    return RANDOM.normal(labels.reshape(-1, *[1] * len(shape)), 1, (count, *shape)).astype("float32"), np.eye(
        2, dtype="float32"
    )[labels]


def test_a_network_that_begins_anew_forgets_and_one_that_goes_on_does_not():
    keras.utils.set_random_seed(0)
    network = Network(add_head(None, Arm("", "", (0, 0), 1e-2), (6,)), 1e-2)
    parts = [samples((6,)) for _ in range(3)]

    def train():
        return network.train(*parts, 3, np.random.default_rng(0))

    first, second = train(), train()
    network.begin_anew()
    np.testing.assert_allclose(train(), first, rtol=1e-6)
    assert abs(second - first).max() > 1e-3


@pytest.mark.parametrize("kind", ["moving", "tuned"])
def test_in_the_arm_with_moving_statistics_nothing_else_of_the_backbone_moves(kind):
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3))
    norm = keras.layers.BatchNormalization(name="norm")
    body = keras.Model(images, norm(keras.layers.Conv2D(4, 3, name="conv")(images)))
    model = add_head(body, Arm("", "", (8, 8), 1e-2, network=kind), (8, 8, 3))
    before = {weight.path: np.asarray(weight) for weight in body.weights}
    Network(model, 1e-2).train(*(samples((8, 8, 3)) for _ in range(3)), 2, np.random.default_rng(0))
    moved = {weight.path for weight in body.weights if not np.array_equal(before[weight.path], weight)}
    statistics = {"norm/moving_mean", "norm/moving_variance"}
    assert moved == (statistics if kind == "moving" else {weight.path for weight in body.weights})


def test_each_arm_differs_in_one_thing_from_what_it_is_compared_with_or_has_an_arm_for_each():
    arms = {arm.name: arm for arm in list_arms()}
    assert len(arms) == len(list_arms()) > 10
    fields = ("published", "rebuilt", "paired", "network")
    for arm in arms.values():
        if arm.against:
            base = arms[arm.against]
            changed = [field for field in fields if getattr(arm, field) != getattr(base, field)]
            assert len(changed) == 1 or changed == ["published", "rebuilt"]
            assert (arm.backbone, arm.size, arm.learning_rate, arm.epochs) == (
                *(base.backbone, base.size),
                *(base.learning_rate, base.epochs),
            )
