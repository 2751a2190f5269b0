"""Write small folders in the layouts of transformers and timm, with random numbers, and compute them with NumPy."""

import json

import numpy as np
from scipy.special import erf

PATCH, WIDTH, HEADS, DEPTH, HIDDEN = 4, 12, 3, 2, 20
MEAN, DEVIATION = (0.48, 0.45, 0.4), (0.22, 0.23, 0.25)
PARTS = {"q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "o": (WIDTH, WIDTH)}
PARTS |= {"fc1": (HIDDEN, WIDTH), "fc2": (WIDTH, HIDDEN)}


def draw_weights(side=16, scaled=False, registers=0, seed=0, extra=1):
    """Return the weights of a tiny transformer as PyTorch shapes them, under short names."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(0, 0.3, shape).astype("float32")

    weights = {"patch": draw(WIDTH, 3, PATCH, PATCH), "patch_b": draw(WIDTH), "class": draw(1, 1, WIDTH)}
    weights["position"] = draw(1, (side // PATCH) ** 2 + extra, WIDTH)
    if extra == 2:
        weights["distillation"] = draw(1, 1, WIDTH)
    if registers:
        weights["registers"] = draw(1, registers, WIDTH)
    for i in range(DEPTH):
        weights |= {f"{i}.{name}": draw(*shape) for name, shape in PARTS.items()}
        weights |= {f"{i}.{name}_b": draw(shape[0]) for name, shape in PARTS.items()}
        for norm in ("n1", "n2"):
            weights |= {f"{i}.{norm}": 1 + draw(WIDTH), f"{i}.{norm}_b": draw(WIDTH)}
        if scaled:
            weights |= {f"{i}.s1": draw(WIDTH), f"{i}.s2": draw(WIDTH)}
    return weights | {"norm": 1 + draw(WIDTH), "norm_b": draw(WIDTH)}


def compute(weights, pixels, epsilon=1e-6, position=None, turned=False):
    """Return tokens and the attention of each layer [images, heads, tokens, tokens], in float64.

    Where it is turned, queries and keys of patches are, by rotary embeddings of the places of patches, as in DINOv3.
    """
    w = {name: value.astype("float64") for name, value in weights.items()}
    x = (pixels / 255 - MEAN) / DEVIATION
    n, rows, columns = len(x), x.shape[1] // PATCH, x.shape[2] // PATCH
    x = x[:, : rows * PATCH, : columns * PATCH].reshape(n, rows, PATCH, columns, PATCH, 3)
    x = np.einsum("nrpcqk,dkpq->nrcd", x, w["patch"]).reshape(n, rows * columns, WIDTH) + w["patch_b"]
    firsts = [np.repeat(w[name], n, 0) for name in ("class", "distillation") if name in w]
    x = np.concatenate([*firsts, x], 1) + (w["position"] if position is None else position)
    if "registers" in w:
        x = np.concatenate([x[:, :1], np.repeat(w["registers"], n, 0), x[:, 1:]], 1)
    turn = make_turn(rows, columns, x.shape[1]) if turned else lambda vectors: vectors
    attentions = []
    for i in range(DEPTH):
        part = {name.split(".")[1]: value for name, value in w.items() if name.startswith(f"{i}.")}
        y, attention = attend(normalise(x, part["n1"], part["n1_b"], epsilon), part, turn)
        attentions.append(attention)
        x = x + y * part.get("s1", 1)
        y = normalise(x, part["n2"], part["n2_b"], epsilon) @ part["fc1"].T + part["fc1_b"]
        y = y * (1 + erf(y / np.sqrt(2))) / 2
        x = x + (y @ part["fc2"].T + part["fc2_b"]) * part.get("s2", 1)
    return normalise(x, w["norm"], w["norm_b"], epsilon), attentions


def normalise(x, scale, shift, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + epsilon) * scale + shift


def make_turn(rows, columns, tokens, theta=100.0):
    """Return the rotation of vectors [images, heads, tokens, channels] after Simeoni et al., DINOv3, 2025."""
    width = WIDTH // HEADS
    down, across = (2 * (np.arange(count) + 0.5) / count - 1 for count in (rows, columns))
    places = np.stack(np.meshgrid(down, across, indexing="ij"), -1).reshape(-1, 2)
    slow = theta ** -np.arange(0, 1, 4 / width)
    angles = np.tile((2 * np.pi * places[..., None] * slow).reshape(len(places), -1), 2)
    still = tokens - len(places)

    def turn(vectors):
        moved = vectors[:, :, still:]
        swapped = np.concatenate([-moved[..., width // 2 :], moved[..., : width // 2]], -1)
        return np.concatenate([vectors[:, :, :still], moved * np.cos(angles) + swapped * np.sin(angles)], 2)

    return turn


def attend(x, part, turn):
    n, tokens, _ = x.shape
    q, k, v = (
        (x @ part[name].T + part[f"{name}_b"]).reshape(n, tokens, HEADS, -1).transpose(0, 2, 1, 3) for name in "qkv"
    )
    scores = turn(q) @ turn(k).transpose(0, 1, 3, 2) / np.sqrt(WIDTH // HEADS)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    y = (scores @ v).transpose(0, 2, 1, 3).reshape(n, tokens, WIDTH)
    return y @ part["o"].T + part["o_b"], scores


ENDS = {"patch": "weight", "patch_b": "bias"}
VIT = {
    **{"q": "attention.attention.query", "k": "attention.attention.key", "v": "attention.attention.value"},
    **{"o": "attention.output.dense", "n1": "layernorm_before", "n2": "layernorm_after"},
    **{"fc1": "intermediate.dense", "fc2": "output.dense"},
}
DINOV2 = VIT | {"n1": "norm1", "n2": "norm2", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}
DINOV3 = {name: f"attention.{name}_proj" for name in "qkvo"} | {"n1": "norm1", "n2": "norm2"}
DINOV3 |= {"fc1": "mlp.up_proj", "fc2": "mlp.down_proj"}
TIMM = {"o": "attn.proj", "n1": "norm1", "n2": "norm2", "fc1": "mlp.fc1", "fc2": "mlp.fc2"}


def name_tensors(weights, layout, prefix=""):
    """Return tensors under the names of a layout: "vit", "deit", "dinov2", "dinov3_vit" or "timm"."""
    if layout == "timm":
        tops = {"patch": "patch_embed.proj", "class": "cls_token", "position": "pos_embed", "norm": "norm"}
        names, layer, scales = TIMM, "blocks.{}.", ("ls1.gamma", "ls2.gamma")
    else:
        tops = {"patch": "embeddings.patch_embeddings.projection", "class": "embeddings.cls_token"}
        tops |= {"position": "embeddings.position_embeddings", "registers": "embeddings.register_tokens"}
        tops |= {"norm": "layernorm", "distillation": "embeddings.distillation_token"}
        names, layer = DINOV2 if layout == "dinov2" else VIT, "encoder.layer.{}."
        if layout == "dinov3_vit":
            names, layer, tops = DINOV3, "layer.{}.", tops | {"patch": "embeddings.patch_embeddings", "norm": "norm"}
        scales = ("layer_scale1.lambda1", "layer_scale2.lambda1")
    names = names | dict(zip(("s1", "s2"), scales, strict=True))
    found = {}
    for key, value in weights.items():
        stem, end = (key[:-2], ".bias") if key.endswith("_b") else (key, ".weight")
        bare = stem in ("class", "position", "registers", "distillation") or stem.split(".")[-1] in ("s1", "s2")
        number, _, part = stem.rpartition(".")
        name = layer.format(number) + names.get(part, part) if number else tops[stem]
        found[prefix + name + ("" if bare else end)] = value
    if layout.startswith("dinov"):
        found[prefix + "embeddings.mask_token"] = np.zeros(
            (1, WIDTH) if layout == "dinov2" else (1, 1, WIDTH), "float32"
        )
    if layout == "dinov3_vit":
        del found[prefix + "embeddings.position_embeddings"]
    if layout == "timm":  # one matrix for queries, keys and values
        for i in range(DEPTH):
            for end in ("weight", "bias"):
                parts = [found.pop(f"{prefix}blocks.{i}.{part}.{end}") for part in "qkv"]
                found[f"{prefix}blocks.{i}.attn.qkv.{end}"] = np.concatenate(parts)
    return found


def write_safetensors(path, tensors, kind="F32", notes=True):
    """Write a file by the format's own words, without its package."""
    table, data = {"__metadata__": {"format": "pt"}} if notes else {}, b""
    for name, value in tensors.items():
        if kind == "BF16":
            raw = (np.ascontiguousarray(value, "float32").view("uint32") >> 16).astype("<u2").tobytes()
        else:
            raw = np.ascontiguousarray(value, {"F32": "<f4", "F16": "<f2"}[kind]).tobytes()
        table[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(table).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


def make_config(layout, side=16, registers=0):
    if layout == "timm":
        arguments = {"img_size": side, "patch_size": PATCH, "depth": DEPTH, "embed_dim": WIDTH, "num_heads": HEADS}
        moments = {"input_size": [3, side, side], "mean": MEAN, "std": DEVIATION}
        return {
            "architecture": "vit_large_patch16_224",
            "num_classes": 0,
            "model_args": {**arguments, "mlp_ratio": HIDDEN / WIDTH},
            "pretrained_cfg": moments,
        }
    config = {"model_type": layout, "image_size": side, "patch_size": PATCH, "num_hidden_layers": DEPTH}
    config |= {"num_attention_heads": HEADS, "hidden_size": WIDTH, "hidden_act": "gelu", "qkv_bias": True}
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "layer_norm_eps": 1e-6}
    if layout in ("vit", "deit"):
        return config | {"intermediate_size": HIDDEN, "architectures": ["ViTModel"]}
    if layout == "dinov3_vit":
        config |= {"intermediate_size": HIDDEN, "layerscale_value": 1.0, "num_register_tokens": registers}
        config |= {"use_gated_mlp": False, "attention_dropout": 0.0, "drop_path_rate": 0.0, "rope_theta": 100.0}
        return config | {f"{name}_bias": True for name in ("query", "key", "value", "proj", "mlp")}
    config |= {"mlp_ratio": HIDDEN / WIDTH, "layerscale_value": 1.0, "use_swiglu_ffn": False, "drop_path_rate": 0.0}
    return config | ({"num_register_tokens": registers} if registers else {})


def write_folder(folder, layout="vit", weights=None, side=16, prefix="", **changes):
    """Write a folder, and return it and its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    registers = 2 if layout in ("dinov2_with_registers", "dinov3_vit") else 0
    scaled, extra = layout.startswith("dinov"), 2 if layout == "deit" else 1
    weights = draw_weights(side, scaled, registers, extra=extra) if weights is None else weights
    if layout == "dinov3_vit":
        weights["position"] = 0 * weights["position"]
    names = "dinov2" if layout.startswith("dinov2") else layout
    (folder / "config.json").write_text(json.dumps(make_config(layout, side, registers) | changes))
    if layout != "timm":
        size = {"height": side, "width": side} if layout == "vit" else {"shortest_edge": side}
        (folder / "preprocessor_config.json").write_text(
            json.dumps({"image_mean": MEAN, "image_std": DEVIATION, "rescale_factor": 1 / 255, "size": size})
        )
    write_safetensors(folder / "model.safetensors", name_tensors(weights, names, prefix))
    return folder, weights
