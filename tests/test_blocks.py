import functools

import keras
import numpy as np
import pytest

from tlmed import backbones
from tlmed.backbones import BACKBONES, applications
from tlmed.blocks import count_parameters, find_reused, partition
from tlmed.heads.dense import attach_head

VGG = [f"block{i}_pool" for i in range(1, 6)]
RESNET50 = ["pool1_pool", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]
MOBILENET_V2 = ["expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add", "out_relu"]
DENSENET121 = ["pool1", "pool2_pool", "pool3_pool", "pool4_pool", "relu"]
ENDS = {"VGG16": VGG, "VGG19": VGG, "ResNet50": RESNET50, "MobileNetV2": MOBILENET_V2, "DenseNet121": DENSENET121}
COUNTS = {"MobileNetV3Small": 5, "EfficientNetB0": 5, "NASNetMobile": 2}
MORE = {"InceptionV3": 5, "Xception": 5, "EfficientNetV2B0": 5, "ConvNeXtTiny": 4, "ResNet50V2": 5}
LARGE = [name for name in BACKBONES if name not in {*ENDS, *COUNTS}]


@functools.cache  # building takes longer than what is tested
def build(name):
    keras.backend.clear_session()
    return BACKBONES[name].builder(weights=None, include_top=False, input_shape=(96, 96, 3))


def weights_of(blocks):
    """Return the identities of the weights of some blocks, each as often as blocks hold it."""
    held = ({id(weight) for layer in block.layers for weight in layer.weights} for block in blocks)
    return sorted(weight for block in held for weight in block)


def check_partition(net):
    """Every weight in exactly one block; a cut at any block gives the same features to the bit."""
    blocks = partition(net)
    images = np.random.RandomState(0).uniform(0, 255, (1, *net.input_shape[1:])).astype("float32")
    of_blocks = [id(weight) for block in blocks for layer in block.layers for weight in layer.weights]
    assert sorted(of_blocks) == sorted({id(weight) for weight in net.weights})
    assert [block.name for block in blocks] == [f"block{i + 1}" for i in range(len(blocks))]
    cut = blocks[len(blocks) // 2 - 1].output
    halves = keras.Model(cut, net.outputs[0])(keras.Model(net.inputs[0], cut)(images, training=False), training=False)
    np.testing.assert_array_equal(halves, net(images, training=False))
    return blocks


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in ("DenseNet121", "VGG19") else ()) for name in ENDS]
)
def test_blocks_are_the_stages_of_the_paper(name):
    assert [block.layers[-1].name for block in check_partition(build(name))] == ENDS[name]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "EfficientNetB0" else pytest.mark.slow) for name in COUNTS]
)
def test_other_families_have_their_number_of_blocks(name):
    assert len(check_partition(build(name))) == COUNTS[name]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *{"VGG16": 13, "ResNet50": 17}.items(),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in {"DenseNet121": 62, "NASNetMobile": 2}.items()),
    ],
)
def test_layers_are_the_weighted_ones_that_follow_each_other(name, count):
    net = build(name)
    layers = partition(net, "layer")
    assert len(layers) == count
    assert [layer.name for layer in layers] == [f"layer{i + 1}" for i in range(count)]
    weights = [id(weight) for block in layers for layer in block.layers for weight in layer.weights]
    assert sorted(weights) == sorted(id(weight) for weight in net.weights)


def test_batch_norm_and_relu_belong_to_the_convolution_before_them():
    ends = [layer.layers[-1].name for layer in partition(build("MobileNetV2"), "layer")]
    assert ends[:3] == ["Conv1_relu", "expanded_conv_depthwise_relu", "expanded_conv_project_BN"]


def test_an_unknown_unit_is_refused():
    with pytest.raises(ValueError, match="unit='stage'"):
        partition(chain(with_dense_end), "stage")


def test_backbones_side_by_side_are_cut_each_by_itself():
    net = backbones.build(("VGG16", "CifarNet"), "none", (32, 32)).model
    blocks = partition(net)
    assert [block.name for block in blocks] == [f"block{i}" for i in range(1, 6)]
    assert [layer.name for layer in blocks[4].layers[:2]] == ["branch1_block5_conv1", "branch1_block5_conv2"]
    # CifarNet has three blocks: at the fourth from the output nothing of it is thawed any more but its entrance.
    assert [tuple(tensor.shape[1:]) for tensor in blocks[1].output] == [(8, 8, 128), (32, 32, 3)]
    assert not [layer.name for layer in blocks[1].layers if layer.name.startswith("branch2")]
    weights = [id(weight) for block in blocks for layer in block.layers for weight in layer.weights]
    assert sorted(weights) == sorted(id(weight) for weight in net.weights)


def test_a_saved_network_of_two_backbones_is_cut_as_before(tmp_path):
    net = backbones.build(("VGG16", "CifarNet"), "none", (32, 32)).model
    model = attach_head(net, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    before, after = ([[layer.name for layer in block.layers] for block in partition(each)] for each in (net, loaded))
    assert after == before


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_every_application_can_be_partitioned(name):
    blocks = check_partition(build(name))
    assert len(blocks) == MORE.get(name, len(blocks))
    assert len(blocks) >= 2


def test_a_cut_is_made_where_least_has_to_be_kept():
    assert tuple(partition(build("MobileNetV2"))[3].output.shape[1:]) == (6, 6, 96)


# The table of the papers' stages is met at 96.
@pytest.mark.parametrize("size", [pytest.param(32, marks=pytest.mark.slow), 75])
def test_blocks_do_not_depend_on_the_image_size(size):
    with applications.unallocated():
        net = BACKBONES["MobileNetV2"].builder(weights=None, include_top=False, input_shape=(size, size, 3))
    assert [block.layers[-1].name for block in partition(net)] == MOBILENET_V2


def test_a_head_is_in_no_block():
    net = keras.applications.VGG16(weights=None, input_shape=(32, 32, 3), classes=5)
    layers = [layer.name for block in partition(net) for layer in block.layers]
    assert layers[-1] == "block5_pool"
    assert "fc1" not in layers


def test_parameters_are_those_that_keras_counts():
    net = build("MobileNetV2")
    assert count_parameters(net.layers) == net.count_params()


def test_a_network_that_cannot_be_partitioned_says_so():
    dense = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="feature map"):
        partition(dense)
    with pytest.raises(ValueError, match="one input"):
        partition(keras.Sequential([keras.layers.Dense(2)]))


L = keras.layers


def with_layer_used_twice():
    conv = L.Conv2D(3, 3, padding="same", name="shared")
    return [conv, L.MaxPool2D(), conv, L.MaxPool2D(), L.Conv2D(8, 3, name="last")]


def with_model_called_twice():
    inner = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(3, 3, padding="same")], name="inner")
    return [L.Conv2D(3, 3, name="first"), L.MaxPool2D(), inner, L.MaxPool2D(), inner, L.MaxPool2D(), L.Conv2D(8, 3)]


def with_norm_used_twice():
    norm = L.BatchNormalization(name="norm")
    return [
        L.Conv2D(3, 3, name="a"),
        norm,
        L.MaxPool2D(),
        L.Conv2D(3, 3, name="b"),
        norm,
        L.MaxPool2D(),
        L.Conv2D(8, 3),
    ]


class Tied(L.Layer):
    """A layer that scales by the bias of another."""

    def __init__(self, other, **options):
        super().__init__(**options)
        self.scale = other.bias

    def call(self, inputs):
        return inputs * (1 + self.scale)


def with_weight_in_two_layers():
    conv = L.Conv2D(3, 3, padding="same", name="conv")
    conv.build((None, 64, 64, 3))
    return [conv, L.MaxPool2D(), Tied(conv, name="tied"), L.MaxPool2D(), L.Conv2D(8, 3)]


def used_from_end_to_end():
    conv = L.Conv2D(3, 3, padding="same", name="conv")
    return [conv, L.MaxPool2D(), L.Conv2D(3, 3), L.MaxPool2D(), conv]


def with_activation_used_twice():
    relu = L.ReLU()
    return [L.Conv2D(3, 3), relu, L.MaxPool2D(), L.Conv2D(3, 3), relu, L.MaxPool2D(), L.Conv2D(8, 3)]


def with_dense_end():
    return [L.Conv2D(4, 3), L.MaxPool2D(), L.Conv2D(4, 3), L.GlobalAveragePooling2D(), L.Dense(5), L.Dense(6)]


def with_layer_used_after_the_last_map():
    dense = L.Dense(4, name="dense")
    return [L.Conv2D(4, 3), L.MaxPool2D(), L.Conv2D(4, 3), dense, L.GlobalAveragePooling2D(), dense]


OWN = {
    with_layer_used_twice: (2, 2, ("shared",)),
    with_model_called_twice: (3, 3, ("inner",)),
    with_norm_used_twice: (3, 3, ("norm",)),
    with_weight_in_two_layers: (2, 2, ("conv", "tied")),
    used_from_end_to_end: (1, 1, ("conv",)),
    with_activation_used_twice: (3, 3, ()),
    with_dense_end: (2, 2, ()),
    with_layer_used_after_the_last_map: (2, 3, ("dense",)),
}


def chain(make):
    images = x = keras.Input((64, 64, 3), name="images")
    for layer in make():
        x = layer(x)
    return keras.Model(images, x, name="mine")


@pytest.mark.parametrize("make", OWN, ids=lambda make: make.__name__)
def test_every_weight_of_a_backbone_is_in_one_block_however_often_it_is_used(make):
    net = chain(make)
    count, layer_count, reused = OWN[make]
    assert find_reused(net) == reused
    for unit, wanted in (("block", count), ("layer", layer_count)):
        blocks = partition(net, unit, tail=True)
        assert len(blocks) == wanted
        assert weights_of(blocks) == sorted({id(weight) for weight in net.weights})
        assert sum(count_parameters(block.layers) for block in blocks) == net.count_params()
        for i, block in enumerate(blocks[:-1], 1):
            suffix = keras.Model(block.output, net.outputs[0])
            assert weights_of(blocks[i:]) == sorted({id(weight) for weight in suffix.weights})


def test_uses_of_a_layer_that_backbones_share_lie_in_one_block():
    images, conv = keras.Input((64, 64, 3), name="images"), L.Conv2D(3, 3, padding="same", name="shared")
    pool = L.MaxPool2D
    long = L.Conv2D(4, 3)(pool()(conv(pool()(L.Conv2D(3, 3)(L.Rescaling(1 / 255)(images))))))
    short = conv(L.Rescaling(1 / 127.5)(images))
    ends = [L.GlobalAveragePooling2D()(end) for end in (long, short)]
    net = keras.Model(images, L.Dense(7)(L.Concatenate()(ends)))
    blocks = partition(net, tail=True)
    assert [block.name for block in blocks] == ["block1", "block2"]
    assert weights_of(blocks) == sorted({id(weight) for weight in net.weights})
    assert [layer.name for layer in blocks[1].layers].count("shared") == 1
