import subprocess
import sys

import joblib
import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline

from tests.conftest import draw
from tlmed import FeatureExtractor, backbones
from tlmed.backbones.token_grids import TokenGrid, find_grid
from tlmed.data import decode, resize
from tlmed.errors import InputError
from tlmed.features import feature_model, pool
from tlmed.features.extractor import _build

# VGG16 is the quickest to build; MobileNet has BatchNorm.
SMALL = {"weights": "none", "image_size": (32, 32), "batch_size": 8}
IMAGES = np.stack([draw(i % 3, i) for i in range(21)])
LABELS = np.arange(21) % 3


@pytest.fixture(scope="module")
def fitted():
    """Give an extractor with random weights and BatchNorm, fitted."""
    return FeatureExtractor("MobileNet", **SMALL).fit(IMAGES)


@pytest.fixture(scope="module")
def vgg16():
    return backbones.build("VGG16", "none", (32, 32)).model


def test_tapping_one_block_pools_that_block(vgg16):
    images = IMAGES[:2, :32, :32].astype("float32")
    inside = keras.Model(vgg16.inputs[0], vgg16.get_layer("block3_pool").output).predict(images, verbose=0)
    for pooling, reduce in {"avg": np.mean, "max": np.max}.items():
        model = feature_model(vgg16, "block3", pooling)
        np.testing.assert_allclose(model.predict(images, verbose=0), reduce(inside, axis=(1, 2)), rtol=1e-6, atol=1e-7)
        assert [layer.name for layer in model.layers][-1] == "pool"


def test_last_is_what_the_backbone_gives(vgg16):
    assert feature_model(vgg16).output_shape == feature_model(vgg16, "block5").output_shape == (None, 512)


@pytest.mark.parametrize(("shape", "features"), [((4, 5, 6), 6), ((7, 6), 6), ((6,), 6)])
@pytest.mark.parametrize(("pooling", "reduce"), [("avg", np.mean), ("max", np.max)])
def test_feature_maps_tokens_and_vectors_are_pooled(shape, features, pooling, reduce):
    values = np.random.RandomState(0).normal(size=(2, *shape)).astype("float32")
    inputs = keras.Input(shape)
    pooled = keras.Model(inputs, pool(inputs, pooling)).predict(values, verbose=0)
    np.testing.assert_allclose(pooled, reduce(values.reshape(2, -1, features), axis=1), rtol=1e-6, atol=1e-7)


class Patches(keras.layers.Layer):
    """Patches of 4 x 4 pixels in a row, after a class token of ones and a register of twos."""

    patch_size = 4

    def call(self, images):
        x = keras.layers.AveragePooling2D(4)(images)
        x = keras.ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))
        return keras.ops.concatenate([keras.ops.ones_like(x[:, :1]), 2 * keras.ops.ones_like(x[:, :1]), x], axis=1)


def test_a_class_token_is_pooled_alone_or_before_the_mean_of_the_patches():
    images = IMAGES[:2, :32, :24].astype("float32")
    inputs = keras.Input((32, 24, 3))
    tokens = keras.layers.Identity()(Patches()(inputs))
    assert find_grid(tokens) == TokenGrid(extra=2, rows=8, columns=6)
    means, ones = images.mean(axis=(1, 2)), np.ones((2, 3))
    expected = {"avg": means, "class": ones, "class+avg": np.concatenate([ones, means], axis=1)}
    for pooling, values in expected.items():
        found = keras.Model(inputs, pool(tokens, pooling))(images)
        np.testing.assert_allclose(found, values, rtol=1e-5, err_msg=pooling)


@pytest.mark.parametrize("outputs", [keras.Input((7, 6)), keras.Input((4, 4, 6)), keras.Input((6,))])
def test_a_class_token_that_is_not_there_is_refused(outputs):
    with pytest.raises(InputError, match="'avg' or 'max' for a backbone without a class token"):
        pool(outputs, "class")


def test_several_outputs_follow_one_another_under_names_of_their_own():
    inputs = [keras.Input((2, 2, 3)), keras.Input((4, 5))]
    model = keras.Model(inputs, pool(inputs))
    assert model.output_shape == (None, 8)
    assert [layer.name for layer in model.layers[2:]] == ["pool_1", "pool_2", "features"]


@pytest.mark.parametrize(
    ("tap", "said"),
    [
        ("block9", "one of block1, block2, block3, block4, block5, last. Did you mean 'block"),
        ("lats", "Did you mean 'last'? Received: tap='lats'."),
    ],
)
def test_an_unknown_tap_lists_the_blocks(vgg16, tap, said):
    with pytest.raises(InputError, match="`tap` must be") as caught:
        feature_model(vgg16, tap)
    assert said in str(caught.value)


def test_a_backbone_that_cannot_be_cut_offers_what_it_gives():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Dense(4)(keras.layers.Flatten()(inputs)))
    assert feature_model(model).output_shape == (None, 4)
    with pytest.raises(InputError, match="`tap` must be 'last' for a backbone that cannot be cut into blocks"):
        feature_model(model, "block1")


def test_an_unknown_pooling_is_refused(vgg16):
    with pytest.raises(InputError, match="`pooling` must be 'avg', 'max', 'class' or 'class\\+avg'"):
        feature_model(vgg16, pooling="mean")


def test_features_are_those_of_the_network_on_images_resized_as_everywhere():
    extractor = FeatureExtractor("VGG16", **SMALL, tap="block4").fit(IMAGES)
    network = extractor._build()[0]
    resized = np.stack([resize(image, (32, 32)) for image in IMAGES])
    features = extractor.transform(IMAGES)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, network.predict(resized, verbose=0), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("rows", [slice(None, None, -1), slice(4, 5), slice(3, 14), [20, 0, 7, 7]], ids=str)
def test_a_row_depends_on_its_image_alone(fitted, rows):
    # Bit for bit: batches are always full, whatever is asked for.
    np.testing.assert_array_equal(fitted.transform(IMAGES[rows]), fitted.transform(IMAGES)[rows])


def test_images_may_come_as_arrays_lists_or_files(fitted, tmp_path):
    expected = fitted.transform(IMAGES[:5])
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path, image in zip(paths, IMAGES, strict=False):
        Image.fromarray(image).save(path)
    for given in (
        list(IMAGES[:5]),
        np.array([*IMAGES[:5], None], object)[:5],
        IMAGES[:5].astype("float32"),
        paths,
        list(map(str, paths)),
        np.array(paths, object),
        np.array(list(map(str, paths))),
        np.array(list(map(str, paths)), object)[:, None],
        IMAGES[:5].astype(">u1"),
        (IMAGES[:5].astype("uint16") * 257),
        (IMAGES[:5].astype(">u2") * 257).astype(">u2"),
    ):
        np.testing.assert_array_equal(fitted.transform(given), expected)


def test_sizes_may_differ_and_gray_is_repeated(fitted):
    images = [IMAGES[1, :20, :30, 0], IMAGES[0], np.concatenate([IMAGES[2], IMAGES[3]])[:64, :16, :1]]
    expected = fitted.transform([resize(decode(image), (32, 32)) for image in images])
    np.testing.assert_array_equal(fitted.transform(images), expected)


def test_random_weights_are_alive_with_the_statistics_of_the_images(fitted):
    assert len(fitted.statistics_) == 27
    assert fitted.transform(IMAGES).std(axis=0).mean() > 0.01
    other = clone(fitted).fit(IMAGES[:7])
    before = fitted.transform(IMAGES)
    assert not np.allclose(other.transform(IMAGES), before)
    # Both use one network; each brings its statistics.
    np.testing.assert_array_equal(fitted.transform(IMAGES), before)
    assert other._build()[0] is fitted._build()[0]


def test_it_is_cloned_and_has_parameters_like_any_estimator(fitted):
    parameters = fitted.get_params()
    shown = {
        "planes": None,
        "axis": "axial",
        "channels": "repeat",
        "window": "auto",
        "resize": "stretch",
        "spacing": None,
    }
    assert parameters == {"backbone": "MobileNet", **SMALL, "tap": "last", "pooling": "avg", "seed": 0, **shown}
    copy = clone(fitted)
    assert copy.get_params() == parameters
    with pytest.raises(NotFittedError):
        copy.transform(IMAGES)
    assert copy.set_params(tap="block2").fit_transform(IMAGES).shape == (21, 64)
    assert fitted.n_features_out_ == len(fitted.get_feature_names_out()) == 1024


@pytest.mark.slow
def test_a_pickle_is_small_and_gives_the_same_rows_in_a_new_process(fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "extractor.joblib")
    assert (tmp_path / "extractor.joblib").stat().st_size < 200_000
    np.save(tmp_path / "images.npy", IMAGES)
    code = (
        "import joblib, numpy as np\n"
        "extractor = joblib.load('extractor.joblib')\n"
        "np.save('features.npy', extractor.transform(np.load('images.npy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), fitted.transform(IMAGES))
    again = joblib.load(tmp_path / "extractor.joblib")
    assert again._build()[0] is fitted._build()[0]


@pytest.mark.slow
def test_a_grid_is_searched_over_tap_and_classifier_in_two_processes():
    pipeline = Pipeline([("features", FeatureExtractor("VGG16", **SMALL)), ("classifier", LogisticRegression())])
    grid = {"features__tap": ["block1", "block2"], "classifier__C": [0.1, 10.0]}
    alone = GridSearchCV(pipeline, grid, cv=3).fit(IMAGES, LABELS)
    both = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(IMAGES, LABELS)
    np.testing.assert_array_equal(alone.cv_results_["mean_test_score"], both.cv_results_["mean_test_score"])
    assert both.predict(IMAGES).shape == (21,)
    assert alone.best_score_ > 0.9


def own_model():
    net = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3)])
    return keras.Model(net.inputs, net.outputs, name="own")


@pytest.mark.parametrize("many", [OneVsRestClassifier, MultiOutputClassifier])
def test_several_labels_are_learned_in_a_pipeline_of_scikit_learn(many):
    labels = np.stack([LABELS == 0, LABELS < 2], axis=1).astype(int)
    extractor = FeatureExtractor(own_model(), weights="own", image_size=(32, 32))
    pipeline = Pipeline([("features", extractor), ("classifier", many(LogisticRegression()))]).fit(IMAGES, labels)
    assert pipeline.predict(IMAGES).shape == (21, 2)
    features = extractor.transform(IMAGES)
    for own, fitted in zip(labels.T, pipeline[-1].estimators_, strict=True):
        alone = LogisticRegression().fit(features, own)
        np.testing.assert_allclose(fitted.predict_proba(features), alone.predict_proba(features), atol=1e-10)
    # Each of two folds fits the extractor anew.
    assert cross_val_score(pipeline, IMAGES, labels, cv=2, error_score="raise").shape == (2,)


def test_a_model_of_ones_own_is_shared_by_clones_and_pickled_as_keras_saves_it(tmp_path):
    extractor = FeatureExtractor(own_model(), weights="own", image_size=(32, 32)).fit(IMAGES)
    features = extractor.transform(IMAGES)
    assert features.shape == (21, 4)
    assert clone(extractor).backbone is extractor.backbone
    joblib.dump(extractor, tmp_path / "own.joblib")
    again = joblib.load(tmp_path / "own.joblib")
    assert again.backbone is not extractor.backbone
    np.testing.assert_array_equal(again.transform(IMAGES), features)


def test_a_model_that_was_trained_further_is_to_be_fitted_anew():
    extractor = FeatureExtractor(own_model(), weights="own", image_size=(32, 32)).fit(IMAGES)
    before = extractor.transform(IMAGES)
    extractor.backbone.set_weights([weight + 1 for weight in extractor.backbone.get_weights()])
    with pytest.raises(InputError, match="weights must be those that the extractor was fitted with"):
        extractor.transform(IMAGES)
    assert not np.allclose(extractor.fit_transform(IMAGES), before)


def test_code_in_a_pickled_model_is_not_run(tmp_path):
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    joblib.dump(FeatureExtractor(model, weights="own", image_size=(32, 32)), tmp_path / "own.joblib")
    with pytest.raises(InputError, match="that Keras loads in safe mode"):
        joblib.load(tmp_path / "own.joblib")


@pytest.mark.slow
def test_several_backbones_follow_one_another():
    pair = FeatureExtractor(("VGG16", "MobileNet"), **SMALL).fit(IMAGES)
    features = pair.transform(IMAGES)
    assert features.shape == (21, 512 + 1024)
    assert len(pair.statistics_) == 27
    assert features[:, 512:].std(axis=0).mean() > 0.01
    assert clone(pair).set_params(tap="block2").fit_transform(IMAGES).shape[0] == 21


def test_few_networks_are_kept():
    assert _build.cache_info().maxsize <= 4


def scale_some(n):
    """Return all images as floats, the first n of them in 0..1."""
    return np.where(np.arange(21)[:, None, None, None] < n, IMAGES / np.float32(255), IMAGES)


def test_black_images_among_others_are_taken_as_floats_too(fitted):
    images = IMAGES.copy()
    images[:2], images[2:4] = 0, images[2:4] > 127
    told = r"2 of 21 images \(0, 1\) are shown in a single colour|2 of 21 images \(2, 3\) hold nothing above 1"
    with pytest.warns(UserWarning, match=told):
        expected = fitted.transform(images)
    for form in (images.astype("float32"), list(images.astype("float64"))):
        with pytest.warns(UserWarning, match=told):
            np.testing.assert_array_equal(fitted.transform(form), expected)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (IMAGES[0], "an array of shape [40, 40, 3]"),
        (IMAGES[..., :2], "shape [40, 40, 2]"),
        (IMAGES[:0], "Received: none"),
        ("scan.png", "the single path 'scan.png'"),
        (7, "a int"),
        (["no.png", "neither.png"], "Received: 'no.png', 'neither.png'"),
        (IMAGES / 255, "which are to be multiplied by 255"),
        (IMAGES - 300.0, "numbers from -300"),
        (
            np.where(np.arange(21)[:, None, None, None] % 4 == 3, np.nan, IMAGES),
            "NaN or infinite numbers in 5 images (3, 7",
        ),
        ([IMAGES[0] / 1.0, IMAGES[1] - np.inf], "NaN or infinite numbers in 1 image (1)"),
        (IMAGES - 300.0, "in 21 images (0, 1, 2 and 18 more)"),
        (IMAGES * 16.0, "numbers from 0 to"),
        (IMAGES / 127.5 - 1, "which are to be multiplied by 127.5 after adding 1"),
        ([IMAGES[0], IMAGES[1] / 255], "in 1 image (1), which are to be multiplied by 255"),
        (scale_some(5), "numbers from 0 to 1 in 5 images (0, 1, 2 and 2 more), which are to be multiplied by 255"),
        (list(scale_some(20)), "numbers from 0 to 1 in 20 images (0, 1, 2 and 17 more)"),
        (scale_some(20), "numbers from 0 to 1 in 20 images (0, 1, 2 and 17 more)"),
        ((IMAGES > 127).astype("float32"), "numbers from 0 to 1 in 21 images"),
        (IMAGES[..., 0], "gray images need a channel axis, X[..., None]"),
        (IMAGES[0], "of one image it is X[None]"),
        (IMAGES.transpose(0, 3, 1, 2), "with the channels first"),
        (list(IMAGES.transpose(0, 3, 1, 2)), "image 1: shape [3, 40, 40], with the channels first"),
        (np.ma.masked_array(IMAGES, IMAGES > 200), "without masked values"),
        ([np.ma.masked_array(IMAGES[0], IMAGES[0] > 20)], "image 0: masked values"),
        (IMAGES > 4, "numbers of type bool"),
        ([IMAGES[0], IMAGES[:2]], "image 1: shape [2, 40, 40, 3]"),
        ([IMAGES[0], None], "image 1: a NoneType"),
    ],
)
def test_what_is_no_image_is_named(fitted, images, said):
    with pytest.raises(InputError) as caught:
        fitted.transform(images)
    assert said in str(caught.value)


DEEP = np.random.RandomState(0).randint(0, 4096, (4, 40, 40, 3)).astype("uint16")


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (DEEP, ["4 images (0, 1, 2 and 1 more) with more than 8 bits keep at most 16 of 256 grey levels"]),
        (
            DEEP.astype(">u2"),
            ["4 images (0, 1, 2 and 1 more) with more than 8 bits keep at most 16 of 256 grey levels"],
        ),
        ([IMAGES[0], DEEP[0, ..., 0]], ["1 image (1) with more than 8 bits keeps at most 16"]),
        (
            IMAGES.astype("uint16"),
            ["keep at most 1 of 256 grey levels", "21 of 21 images (0, 1, 2 and 18 more) are shown in a single"],
        ),
        (
            IMAGES * (np.arange(21) > 1)[:, None, None, None].astype("uint8"),
            ["2 of 21 images (0, 1) are shown in a"],
        ),
        (IMAGES[:3] * 0, ["3 of 3 images (0, 1, 2) are shown in a single"]),
        ((IMAGES > 127).astype("uint8"), ["21 of 21 images (0, 1, 2 and 18 more) hold nothing above 1 of 255"]),
        (IMAGES / 60, ["21 of 21 images (0, 1, 2 and 18 more) hold nothing above 4 of 255"]),
        ([*IMAGES[:4], *(IMAGES[4:] > 127).astype("int64")], ["17 of 21 images (4, 5, 6 and 14 more) hold nothing"]),
    ],
)
def test_valid_images_that_are_hardly_meant_so_are_warned_of(fitted, images, told):
    with pytest.warns(UserWarning, match=r"\w") as caught:
        fitted.transform(images)
    said = [str(warning.message) for warning in caught]
    assert len(said) == len(told), said
    assert all(words in sentence for words, sentence in zip(told, said, strict=True)), said
    assert {warning.filename for warning in caught} == {__file__}


def test_files_are_warned_of_by_their_path(fitted, tmp_path):
    Image.fromarray(DEEP[0, ..., 0]).save(tmp_path / "deep.png")
    Image.fromarray(IMAGES[0]).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(IMAGES[1])])
    with pytest.warns(UserWarning, match=r"\w") as caught:
        fitted.transform([IMAGES[0], tmp_path / "deep.png", str(tmp_path / "pages.tif")])
    deep, pages = (str(warning.message) for warning in caught)
    assert deep.startswith(f"1 image ({tmp_path}/deep.png) with more than 8 bits")
    assert pages.startswith(f"1 image ({tmp_path}/pages.tif) holds several pages")


def test_parameters_that_decide_the_features_are_those_of_fit(fitted):
    extractor = clone(fitted).fit(IMAGES)
    expected = extractor.transform(IMAGES)
    for changes in ({"tap": "block1", "pooling": "max"}, {"image_size": (40, 40)}, {"batch_size": 0}):
        before = extractor.get_params()
        with pytest.raises(InputError) as caught:
            extractor.set_params(**changes).transform(IMAGES)
        assert len(caught.value.faults) == len(changes)
        extractor.set_params(**before)
    np.testing.assert_allclose(extractor.set_params(batch_size=5).transform(IMAGES), expected, rtol=1e-5, atol=1e-6)


def test_threads_share_a_network_and_keep_their_own_statistics(fitted):
    other = clone(fitted).fit(IMAGES[:7])
    expected = [extractor.transform(IMAGES) for extractor in (fitted, other)]
    assert not np.allclose(*expected)
    found = joblib.Parallel(2, backend="threading")(
        joblib.delayed(extractor.transform)(IMAGES) for extractor in (fitted, other) * 3
    )
    for i, features in enumerate(found):
        np.testing.assert_array_equal(features, expected[i % 2])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_features_come_as_a_data_frame_where_that_is_asked_for(fitted, library):
    frames = pytest.importorskip(library)
    extractor = clone(fitted).set_output(transform=library)
    frame = extractor.fit_transform(IMAGES[:5])
    assert isinstance(frame, frames.DataFrame)
    assert list(frame.columns) == extractor.get_feature_names_out().tolist()
    assert clone(extractor)._sklearn_output_config == {"transform": library}
    np.testing.assert_array_equal(frame.to_numpy(), clone(fitted).fit_transform(IMAGES[:5]))


def test_every_broken_file_is_named(fitted, tmp_path):
    names = ["a.png", "b.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(InputError) as caught:
        fitted.transform([IMAGES[0], *(tmp_path / name for name in names)])
    assert all(name in str(caught.value) for name in names)


def test_all_faults_of_the_parameters_are_told_at_once():
    wrong = {"image_size": 32, "batch_size": 0, "seed": -1, "pooling": "men", "weights": None, "tap": 3, "backbone": 1}
    with pytest.raises(InputError) as caught:
        FeatureExtractor(**wrong).fit(IMAGES)
    assert len(caught.value.faults) == len(wrong)
    assert all(f"`{name}` must be" in str(caught.value) for name in wrong)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"backbone": "VGG61"}, "Did you mean 'VGG16'?"),
        ({"backbone": "VGG16", "tap": "block6"}, "`tap` must be one of"),
    ],
)
def test_an_unknown_backbone_or_tap_is_an_input_error(parameters, said):
    with pytest.raises(InputError) as caught:
        FeatureExtractor(**{**SMALL, **parameters}).fit(IMAGES)
    assert said in str(caught.value)
