"""Features computed while images are read are those that would be computed later, and never those of other weights."""

import contextlib
import dataclasses
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import tlmed
from tlmed.cache import Store, address, cache_folder, caching_in
from tlmed.data.reading import Pixels
from tlmed.features import early_features
from tlmed.features.early_features import EarlyFeatures, preparing
from tlmed.features.engines import OpenVino, TensorFlow
from tlmed.features.kept import Means, keep_features
from tlmed.features.keys import describe
from tlmed.graph_runs import CannotConvert
from tlmed.recipe import override
from tlmed.run import preparation, story
from tlmed.rundir import RunDir
from tlmed.voice import SILENT, Voice

pytestmark = pytest.mark.usefixtures("empty_figures")

MEANS = Means("small", "tensorflow", 2)
SETTINGS = ("backbone=CifarNet", "weights=none", "data.image_size=32,32", "phases.epochs=1", "examples=0", "cache=on")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def network():
    images = keras.Input((8, 8, 3), name="images")
    x = keras.layers.Conv2D(2, 3, name="conv")(images)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D(name="pool")(x))


@pytest.fixture
def pixels():
    pictures = np.random.RandomState(0).randint(0, 256, (3, 8, 8, 3)).astype("uint8")
    return Pixels(None, (8, 8), pictures, np.ones(3, bool), tuple(bytes([number]) * 32 for number in range(3)))


@pytest.fixture
def prepared(monkeypatch):
    """Give the networks that engines were prepared for, each as often as that was."""
    found, prepare = [], TensorFlow._compile

    def note(engine):
        found.append(engine.prefix)
        return prepare(engine)

    monkeypatch.setattr(TensorFlow, "_compile", note)
    return found


def check_free(network):
    """Check that nobody has the turn to compute the features of a network, and that no file of one is left."""
    key = address(describe(network, TensorFlow(network, 2), "float32"))
    assert not list(cache_folder().glob("*/*.turn"))
    with Store(cache_folder(), 10**9).take_turn(key) as turn:
        assert turn is not None


def keep(network, pixels, early):
    return keep_features(network, pixels, "head", SILENT, MEANS, ready=early.take)


def test_the_engine_that_was_prepared_early_computes_what_a_late_one_would(network, pixels, prepared, monkeypatch):
    with preparing(network, MEANS) as early:
        pass
    assert len(prepared) == 1
    activations, done = keep(network, pixels, early)
    assert len(prepared) == 1
    assert (done["computed"], done["batches"]) == (3, 2)
    late = TensorFlow(network, 2)
    expected = np.concatenate([late(pixels.kept[:2]), late(pixels.kept[2:])])
    np.testing.assert_array_equal(activations.take(np.arange(3)), expected)
    check_free(network)


def test_only_one_of_those_that_need_the_same_features_prepares_them(network, pixels, prepared):
    with preparing(network, MEANS) as first:
        first.ready.wait()
        with preparing(network, MEANS) as second:
            second.finish()
    assert len(prepared) == 1
    first.give_up()
    first.give_up()  # which nobody has then
    check_free(network)
    _, done = keep(network, pixels, second)
    assert done["computed"] == 3


@pytest.mark.parametrize("begins_early", [True, False])
def test_features_that_somebody_else_computes_are_waited_for(network, pixels, monkeypatch, begins_early):
    compute, begun, go_on = TensorFlow.__call__, threading.Event(), threading.Event()

    def be_slow(engine, images):
        begun.set()
        go_on.wait(60)
        return compute(engine, images)

    monkeypatch.setattr(TensorFlow, "__call__", be_slow)
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        if begins_early:
            early = stack.enter_context(preparing(network, MEANS))
            early.add(pixels.digests[0], pixels.kept[0])
            early.add(pixels.digests[1], pixels.kept[1])
        first = pool.submit(keep, network, pixels, early if begins_early else EarlyFeatures())
        begun.wait(60)
        second = pool.submit(keep, network, pixels, EarlyFeatures())
        time.sleep(0.1)
        go_on.set()
        stack.close()  # no more images are added
        found = [future.result() for future in (first, second)]
    assert [done["computed"] for _, done in found] == [3, 0]
    assert found[0][1]["waiting_seconds"] == 0
    assert found[1][1]["waiting_seconds"] > 0.05
    np.testing.assert_array_equal(*(activations.take(np.arange(3)) for activations, _ in found))
    check_free(network)


def test_an_error_lets_others_compute(network, pixels, monkeypatch):
    def fail(engine, images):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(TensorFlow, "__call__", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            keep(network, pixels, EarlyFeatures())
    check_free(network)


def test_an_engine_of_weights_that_changed_since_is_not_taken(network, pixels, prepared):
    with preparing(network, MEANS) as early:
        pass
    network.get_layer("conv").bias.assign([5.0, 7.0])
    activations, _ = keep(network, pixels, early)
    assert len(prepared) == 2
    np.testing.assert_allclose(activations.take(np.arange(2)), network.predict(pixels.kept[:2], verbose=0), rtol=1e-5)


def test_nothing_is_prepared_where_the_store_has_features(network, pixels, prepared):
    with preparing(network, MEANS) as early:
        pass
    keep(network, pixels, early)
    prepared.clear()
    with preparing(network, MEANS) as early:
        pass
    _, done = keep(network, pixels, early)
    assert prepared == []
    assert done["computed"] == 0


def test_an_engine_that_cannot_run_the_network_leaves_saying_so_to_who_needs_it(network, pixels, monkeypatch):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")

    def refuse(engine):
        raise CannotConvert("it is too odd")

    monkeypatch.setattr(OpenVino, "_compile", refuse)
    means, said = dataclasses.replace(MEANS, engine="openvino"), []
    with preparing(network, means) as early:
        pass
    _, done = keep_features(network, pixels, "head", Voice(warn=said.append), means, ready=early.take)
    assert done["engine"] == "tensorflow"
    assert [sentence for sentence in said if "it is too odd" in sentence] == said


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
@pytest.mark.parametrize("early_ones", [range(3), [2], []])
def test_features_computed_early_are_those_computed_late_to_the_bit(network, pixels, tmp_path, engine, early_ones):
    if engine == "openvino":
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
    means = dataclasses.replace(MEANS, engine=engine)
    with preparing(network, means) as early:
        for row in early_ones:
            early.add(pixels.digests[row], pixels.kept[row])
        early.finish()
        early.add(b"too late", pixels.kept[0])
    ready = early.found[0].result()[1]
    known, calls = ready.rows, ready.engine.calls
    assert set(known) == {pixels.digests[row] for row in early_ones}
    activations, done = keep_features(network, pixels, "head", SILENT, means, ready=early.take)
    assert (done["computed"], done["batches"]) == (3, calls + -(-(3 - len(early_ones)) // 2))
    with caching_in(tmp_path / "another"):
        late, _ = keep_features(network, pixels, "head", SILENT, means)
    np.testing.assert_array_equal(activations.take(np.arange(3)), late.take(np.arange(3)))


def test_images_beyond_the_most_are_left_for_later(network, pixels, monkeypatch):
    monkeypatch.setattr(early_features, "MOST", 2)
    with preparing(network, MEANS) as early:
        for row in (0, 0, 1, 2):
            early.add(pixels.digests[row], pixels.kept[row])
        early.finish()
    assert set(early.found[0].result()[1].rows) == set(pixels.digests[:2])


def test_images_wait_in_little_memory(network, pixels, monkeypatch):
    begin, prepare = threading.Event(), TensorFlow._compile
    monkeypatch.setattr(TensorFlow, "_compile", lambda engine: begin.wait(60) and prepare(engine))
    monkeypatch.setattr(early_features, "_WAITING", pixels.kept[0].nbytes)
    with preparing(network, MEANS) as early:
        for row in range(3):
            early.add(pixels.digests[row], pixels.kept[row])
        begin.set()
        early.finish()
    assert set(early.found[0].result()[1].rows) == set(pixels.digests[:1])


def test_what_is_not_finished_when_an_error_ends_the_block_is_given_up(network, pixels):
    def fail():
        nonlocal early
        with preparing(network, MEANS) as early:
            early.ready.wait()
            early.add(pixels.digests[0], pixels.kept[0])  # waits for another image, because a batch has two
            raise KeyboardInterrupt

    early = None
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert early.found == []
    check_free(network)


def test_an_error_of_the_engine_is_raised_where_features_are_needed(network, pixels, monkeypatch):
    def fail(engine, images):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(TensorFlow, "__call__", fail)
        with preparing(network, MEANS) as early:
            early.add(pixels.digests[0], pixels.kept[0])
            early.finish()
    with pytest.raises(RuntimeError, match="out of memory"):
        keep(network, pixels, early)


def test_threads_hand_the_lock_on_sooner_only_while_features_are_prepared(network):
    before = sys.getswitchinterval()
    with preparing(network, MEANS):
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before


def test_nothing_is_computed_while_the_data_are_checked(images, tmp_path, monkeypatch):
    seen, busy, check, prepare = [], [], story.check_images, preparation.preparing

    @contextlib.contextmanager
    def note_early(*arguments):
        with prepare(*arguments) as early:
            seen.append(early)
            yield early

    def note_busy(*arguments):
        busy.extend(early.is_busy for early in seen)
        return check(*arguments)

    monkeypatch.setattr(preparation, "preparing", note_early)
    monkeypatch.setattr(story, "check_images", note_busy)
    tlmed.train(override(tlmed.load_recipe("feature_extractor"), SETTINGS), tmp_path / "run", images)
    assert busy == [False]


@pytest.mark.parametrize(
    ("name", "settings", "used"),
    [
        ("feature_extractor", (), True),
        ("feature_extractor_hybrid", ("head.classifier=GaussianNB",), True),
        ("fine_tuning", ("phases.0.thaw=1",), False),
    ],
)
def test_a_run_takes_the_early_engine_where_all_blocks_are_frozen_first(
    images, tmp_path, monkeypatch, name, settings, used
):
    taken, take = [], EarlyFeatures.take

    def note(early, key):
        taken.append(take(early, key))
        return taken[-1]

    monkeypatch.setattr(EarlyFeatures, "take", note)
    chosen = [it for it in (*SETTINGS, *settings) if "phases" not in it or "hybrid" not in name]
    run = tlmed.train(override(tlmed.load_recipe(name), chosen), tmp_path / "run", images)
    extraction, *_ = RunDir(run.path).json("timing.json")["extractions"]
    found = [(type(ready.engine), len(ready.rows)) for ready in taken]
    assert found == ([(TensorFlow, extraction["computed"])] if used else [])
    assert extraction["computed"] > 0
