"""Vision transformers in the layout of timm, as a ViT of keras-hub.

The names of tensors are those of timm's `VisionTransformer` (github.com/huggingface/pytorch-image-models,
timm/models/vision_transformer.py). UNI has this layout, and so has the encoder of RETFound after its authors' MAE.
keras-hub converts timm's convolutional networks only. This module has the functions that its converters have.
"""

import re

import numpy as np

# Depth, width and heads by size; a perceptron is four times as wide.
_SIZES = {"tiny": (12, 192, 3), "small": (12, 384, 6), "base": (12, 768, 12), "large": (24, 1024, 16)}
_NAME = re.compile(r"vit_(tiny|small|base|large)_patch(\d+)_(\d+)")
_ARGUMENTS = ("img_size", "patch_size", "depth", "embed_dim", "num_heads", "mlp_ratio", "init_values", "qkv_bias")
# What a checkpoint of timm may say beside these without another network; 0 and None leave a part out.
_HARMLESS = ("num_classes", "global_pool", "dynamic_img_size", "drop_path_rate", "class_token", "in_chans")


def convert_backbone_config(config: dict) -> dict:
    """Return the arguments of keras-hub's `ViTBackbone` for timm's `config.json`.

    Args:
        config: `architecture` names size, patch and image (`vit_large_patch16_224`); `model_args` may state others.

    Raises:
        ValueError: The network has parts that a `ViTBackbone` lacks.

    >>> convert_backbone_config({"architecture": "vit_large_patch16_224.mae"})["num_layers"]
    24
    """
    found = _NAME.fullmatch(str(config["architecture"]).split(".")[0])
    if found is None:
        raise ValueError(
            f"`architecture` must be vit_SIZE_patchN_M with SIZE one of {', '.join(_SIZES)}, a plain vision transformer"
        )
    arguments = config.get("model_args", {})
    if unknown := [name for name in arguments if name not in (*_ARGUMENTS, *_HARMLESS)]:
        raise ValueError(f"`model_args` must have none but {', '.join((*_ARGUMENTS, *_HARMLESS))}, not {unknown[0]}")
    depth, width, heads = _SIZES[found[1]]
    image, width = arguments.get("img_size", int(found[3])), arguments.get("embed_dim", width)
    height, breadth = image if isinstance(image, list | tuple) else (image, image)
    return {
        "image_shape": (height, breadth, 3),
        "patch_size": arguments.get("patch_size", int(found[2])),
        "num_layers": arguments.get("depth", depth),
        "num_heads": arguments.get("num_heads", heads),
        "hidden_dim": width,
        "mlp_dim": int(width * arguments.get("mlp_ratio", 4)),
        "layer_norm_epsilon": 1e-6,  # timm's
        "use_mha_bias": True,  # without biases there, those of a checkpoint are missing, and it is refused
    }


def convert_weights(backbone, loader, config: dict) -> None:
    """Load a checkpoint of timm into a `ViTBackbone`.

    Args:
        backbone: With the arguments of `convert_backbone_config`.
        loader: Gives tensors by name, as keras-hub's converters use it: `port_weight(variable, name, hook)`.
        config: timm's.
    """
    embedding, encoder = backbone.layers[1], backbone.layers[2]
    port = loader.port_weight
    port(embedding.patch_embedding.kernel, "patch_embed.proj.weight", lambda x, _: np.transpose(x, (2, 3, 1, 0)))
    port(embedding.patch_embedding.bias, "patch_embed.proj.bias")
    port(embedding.class_token, "cls_token")
    port(embedding.position_embedding.embeddings, "pos_embed", lambda x, _: x[0])
    scaled = bool(config.get("model_args", {}).get("init_values")) or loader.has("blocks.0.ls1.gamma")
    for i, block in enumerate(encoder.encoder_layers):
        _convert_block(block, loader, f"blocks.{i}", scaled)
    _convert_norm(encoder.layer_norm, loader, "norm")


def _convert_block(block, loader, prefix, scaled):
    for part, dense in enumerate((block.mha.query_dense, block.mha.key_dense, block.mha.value_dense)):
        for variable, name in ((dense.kernel, "weight"), (dense.bias, "bias")):
            loader.port_weight(variable, f"{prefix}.attn.qkv.{name}", _take(part))
    attention, perceptron = f"{prefix}.attn.proj", f"{prefix}.mlp.fc2"
    _convert_dense(block.mha.output_dense, loader, attention, f"{prefix}.ls1.gamma" if scaled else None)
    _convert_dense(block.mlp.dense_1, loader, f"{prefix}.mlp.fc1", None)
    _convert_dense(block.mlp.dense_2, loader, perceptron, f"{prefix}.ls2.gamma" if scaled else None)
    _convert_norm(block.layer_norm_1, loader, f"{prefix}.norm1")
    _convert_norm(block.layer_norm_2, loader, f"{prefix}.norm2")


def _take(part):
    """Return what takes queries, keys or values out of one matrix [3 d, d] or vector [3 d], by heads."""
    return lambda x, shape: np.split(x, 3)[part].T.reshape(shape)


def _convert_dense(dense, loader, name, scale):
    # A scale per channel after a dense layer (LayerScale) is one with it: g (W x + b) = (g W) x + g b.
    gamma = 1.0 if scale is None else loader.get_tensor(scale)
    loader.port_weight(dense.kernel, f"{name}.weight", lambda x, shape: (x.T * gamma).reshape(shape))
    loader.port_weight(dense.bias, f"{name}.bias", lambda x, _: x * gamma)


def _convert_norm(norm, loader, name):
    loader.port_weight(norm.gamma, f"{name}.weight")
    loader.port_weight(norm.beta, f"{name}.bias")
