"""What a plan says of adapters, and what it refuses."""

import keras
import numpy as np
import pytest

from tests.test_phases import SIZE
from tlmed.adapters import find_adapters
from tlmed.backbones import build
from tlmed.certificate import list_weights, make_claim
from tlmed.frozen import leaves, whole
from tlmed.heads.dense import attach_head
from tlmed.phases import merge, thaw
from tlmed.plan import describe_phases, find_schedule_faults, make_plan
from tlmed.sections import Phase
from tlmed.sections.adaptation import ADAPTERS


def phase(name, thaw, **fields):
    return Phase(name, thaw=thaw, epochs=1, learning_rate=1e-3, **fields)


HEAD = phase("head", 0)


@pytest.fixture(scope="module")
def network():
    return build("MobileNet", "none", SIZE).model


@pytest.fixture
def model(network):
    made = attach_head(network, 3)
    for layer in made.layers:
        layer.trainable = True  # another test's phase may have frozen it
    return made


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("thawed", [2, "all"])
def test_the_plan_counts_what_keras_trains(model, kind, thawed):
    step = phase("p", thawed, adapt=kind)
    plan = make_plan(model, (HEAD, step))
    planned = plan["phases"][1]
    thaw(model, step)
    claim, sizes = make_claim(model), {name: it.value.shape.num_elements() for name, it in list_weights(model).items()}
    assert planned["trainable_parameters"] == sum(int(np.prod(it.shape)) for it in model.trainable_weights)
    assert planned["frozen_parameters"] == sum(sizes[name] for name in claim.frozen)
    assert planned["adapters"]["layers"] == len(model.adapters.adapters)
    assert planned["adapters"]["parameters"] == planned["trainable_parameters"] - 1024 * 3 - 3
    assert planned["adapters"].get("rank") == (8 if kind == "lora" else None)
    assert set(planned["layers"]) == {"probabilities", *(it.layer.name for it in model.adapters.adapters)}
    merge(model)
    assert model.count_params() == plan["parameters"]


def test_the_plan_says_in_words_what_is_adapted(model):
    steps = [phase("lora", 1, adapt="lora", rank=4), phase("ssf", 2, adapt="ssf"), phase("bitfit", 3, adapt="bitfit")]
    lines = [line for line in describe_phases(make_plan(model, (HEAD, *steps))) if isinstance(line, str)]
    # From 256 to 512 channels, five times from 512 to 512, from 512 to 1,024, and from 1,024 to 1,024.
    numbers = 4 * (256 + 512) + 5 * 4 * (512 + 512) + 4 * (512 + 1024) + 4 * (1024 + 1024)
    assert lines[0] == f"lora: LoRA of rank 4 in place of the thawed blocks' weights ({numbers:,} numbers for 8 layers)"
    assert lines[1].startswith(
        "ssf: a scale and a shift for each channel (SSF) in place of the thawed blocks' weights ("
    )
    assert lines[2].startswith("bitfit: biases and shifts alone (BitFit) in place of the thawed blocks' weights (")


def test_other_adapters_are_something_new_and_the_same_one_is_not(network):
    steps = [HEAD, *(phase(kind, "all", adapt=kind) for kind in ADAPTERS), phase("all", "all")]
    assert find_schedule_faults(network, steps) == []
    (fault,) = find_schedule_faults(network, [HEAD, phase("a", 2, adapt="lora"), phase("b", 2, adapt="lora", rank=4)])
    assert "'b' thaws what 'a' does" in fault
    (fault,) = find_schedule_faults(network, [HEAD, phase("all", "all"), phase("a", 2, adapt="lora")])
    assert "'a' can never be reached" in fault


def test_every_fault_of_an_adapter_is_one_sentence(network):
    steps = [HEAD, phase("a", 1, adapt="lora", rank=600), phase("b", 6, adapt="ssf")]
    first, second = find_schedule_faults(network, steps)
    assert first.startswith(
        "`rank` must be at most 256, the smaller side of the smallest kernel that LoRA adapts. Received: rank=600 in "
        "phase 'a', with the kernels of conv_pw_6 (1, 1, 256, 512), "
    )
    assert second.startswith("`thaw` must be from 0 to 5")


@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_network_without_anything_to_adapt_is_refused(kind):
    inputs = keras.Input((*SIZE, 3))
    network = keras.Model(inputs, keras.layers.Conv2DTranspose(3, 3, use_bias=False)(inputs))
    (fault,) = find_schedule_faults(network, [phase("p", "all", adapt=kind)])
    assert fault.startswith("`adapt` must be None where no thawed block has a ")
    assert fault.endswith(f"Received: adapt={kind!r} with thaw='all' in phase 'p'.")


def test_attention_is_adapted_inside_the_layers_of_a_transformer():
    hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed", exc_type=ImportError)
    vit = hub.models.ViTBackbone((32, 32, 3), 8, 2, 2, 16, 32)
    names = [it.layer.path.split("/", 1)[-1] for it in find_adapters([whole(vit)], phase("p", "all", adapt="lora"))]
    block = ("query", "key", "value", "attention_output")
    assert [name for name in names if name.rsplit("/")[-1] in block] != []
    dense = [
        it for it in dict.fromkeys(leaves(vit.layers)) if isinstance(it, keras.layers.Dense | keras.layers.EinsumDense)
    ]
    assert len(names) == len(dense)
    assert len(dense) == 2 * (4 + 2)
