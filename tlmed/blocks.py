"""Cut any functional backbone into ordered blocks, so that "thaw the last k" means the same for all of them.

In a topological order, an operation lies on every path from input to output exactly when no edge jumps over it:
it is a cut vertex of the graph. The network can be split there into a prefix and a suffix that share its weights.
Cut vertices between which the resolution drops bound the blocks, which gives the stages that papers name:
VGG16's block1 to block5, the five stages of ResNet, Inception and MobileNet, the four of Swin. The tokens of a vision
transformer keep one resolution: its layers are grouped by depth, in four blocks. A weight that is used more than once
is frozen or thawed as a whole: no block ends between two of its uses.
"""

import tlmed.tensorflow_start

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras

from tlmed.backbones.graphs import is_counted, is_functional
from tlmed.sections import UNITS

DEPTH_GROUPS = 4  # blocks of a transformer whose tokens have one resolution, as many as a Swin transformer has stages


@dataclass(frozen=True)
class Block:
    """A run of layers between two cut vertices; with several backbones side by side, one such run of each.

    Attributes:
        name: `block1` (at the input), `block2`, ...; `layer1`, `layer2`, ... if cut by layers.
        layers: The layers of the block, in topological order.
        output: The symbolic tensor that the block ends in, or a tuple of them, one per backbone;
            `keras.Model(block.output, model.output)` is the suffix that follows it, with shared weights.
    """

    name: str
    layers: tuple[keras.layers.Layer, ...]
    output: keras.KerasTensor | tuple[keras.KerasTensor, ...]


@dataclass(frozen=True)
class _Vertex:
    """One use of an operation in the graph, with what the cut needs to know of it."""

    operation: object
    outputs: tuple
    parents: tuple[int, ...]
    stride: int
    positions: int | None = None  # places of a map, or tokens; None: unknown
    is_cut: bool = False
    splits_weight: bool = False

    @property
    def weighted(self) -> bool:
        # The mean and variance of a Normalization describe the images, so they belong to the input, not to a block.
        return bool(getattr(self.operation, "weights", ())) and not isinstance(
            self.operation, keras.layers.Normalization
        )

    @property
    def width(self) -> float:
        """Values per input pixel of the output: what has to be kept if the graph is cut here."""
        return self.outputs[0].shape[-1] / self.stride**2

    @property
    def is_map(self) -> bool:
        """Whether a block can end here in a feature map [batch, height, width, channels], or in tokens."""
        return self.is_cut and (len(self.outputs[0].shape) == 4 or self.is_tokens) and not _is_edging(self.operation)

    @property
    def is_tokens(self) -> bool:
        return len(self.outputs[0].shape) == 3

    @property
    def cuttable(self) -> bool:
        return self.is_map and not self.splits_weight


def _is_edging(operation) -> bool:
    # The tensor only has more zeros after it, or fewer tokens, so there is never a reason to cut there.
    return isinstance(operation, keras.layers.ZeroPadding2D | keras.layers.Cropping1D)


def partition(model: keras.Model, unit: str = "block", tail: bool = False) -> tuple[Block, ...]:
    """Return the blocks of a functional model, from input to output.

    Every weight up to the last feature map (the last cut vertex with height, width and channels, or with tokens and
    channels) falls in exactly one block, also a weight that is used more than once: by a layer, or a model within the
    model, that is called twice, or by two layers that share it. All that lies between its uses is then in that block
    too. The result depends on the graph alone, not on the image size.

    Backbones that stand side by side on the same images are each cut by themselves, and their blocks are counted from
    the output: the last block holds the last block of each. If a backbone has fewer blocks, the first joint blocks hold
    nothing of it.

    Args:
        model: A functional Keras model that takes images [batch, height, width, channels].
        unit: `"block"`: one per resolution that has weights, four of equal depth where tokens have a single resolution;
            `"layer"`: one per weighted layer (normalisation apart), or per residual or dense block, whose layers lie
            side by side, or per encoder layer of a transformer, the first with the embedding of patches before it.
        tail: Whether weights after the last feature map belong to the last block, as they do in a backbone without a
            head. If not, what follows the last feature map, pooling and dense layers, is head and in no block.

    Returns:
        VGG16 has 5 blocks or 13 layers, ResNet50 5 or 17, DenseNet121 5 or 62. NASNet has two blocks: its cells
        read two earlier cells, so that few operations lie on every path.

    Raises:
        ValueError: If the model is not functional, or has no feature map to cut at.

    >>> net = keras.applications.VGG16(weights=None, include_top=False)
    >>> [block.layers[-1].name for block in partition(net)]
    ['block1_pool', 'block2_pool', 'block3_pool', 'block4_pool', 'block5_pool']
    """
    if unit not in UNITS:
        raise ValueError(f"`unit` must be 'block' or 'layer'. Received: unit={unit!r}.")
    if len(getattr(model, "inputs", None) or ()) != 1:
        raise ValueError(f"`model` must be a functional model with one input. Received: model={model!r}.")
    graphs = _read_branches(model)
    parts = [_cut(vertices, unit, model) for vertices in graphs]
    blocks = parts[0] if len(parts) == 1 else _stand_side_by_side(graphs, parts, unit)
    return _add_tail(blocks, model) if tail else blocks


def find_reused(model: keras.Model) -> tuple[str, ...]:
    """Return the names of the layers of a functional model that have a weight which is used more than once.

    >>> images, conv = keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 3, name="conv")
    >>> find_reused(keras.Model(images, conv(conv(images))))
    ('conv',)
    """
    vertices = _read_graph(model, model.outputs)
    uses = Counter(weight for vertex in vertices for weight in _weights_of(vertex))
    names = (vertex.operation.name for vertex in vertices if any(uses[weight] > 1 for weight in _weights_of(vertex)))
    return tuple(dict.fromkeys(names))


def list_uses(
    model: keras.Model, outputs: Sequence[keras.KerasTensor] | None = None
) -> list[tuple[keras.Operation, tuple[keras.KerasTensor, ...]]]:
    """Return each operation before some outputs of a functional model with its output tensors, once for every use.

    Args:
        model: The model.
        outputs: Symbolic tensors inside it; by default its outputs.

    >>> images, conv = keras.Input((8, 8, 3)), keras.layers.Conv2D(3, 3)
    >>> [outputs[0].shape[1] for _, outputs in list_uses(keras.Model(images, conv(conv(images))))]
    [8, 6, 4]
    """
    vertices = _read_graph(model, model.outputs if outputs is None else outputs)
    return [(vertex.operation, vertex.outputs) for vertex in vertices]


def _weights_of(vertex) -> set[int]:
    return {id(weight) for weight in getattr(vertex.operation, "weights", ())}


def _add_tail(blocks, model) -> tuple[Block, ...]:
    """Add what follows the last feature map to the last block, if it has weights that are in no block."""
    held = {id(weight) for block in blocks for layer in block.layers for weight in layer.weights}
    if all(id(weight) in held for weight in model.weights):
        return blocks
    layers = {layer: None for block in blocks for layer in block.layers}
    rest = [layer for layer in _unique_layers(_read_graph(model, model.outputs)) if layer not in layers]
    output = tuple(model.outputs) if len(model.outputs) > 1 else model.outputs[0]
    return (*blocks[:-1], replace(blocks[-1], layers=(*blocks[-1].layers, *rest), output=output))


def _cut(vertices, unit, model) -> tuple[Block, ...]:
    last = max((i for i, vertex in enumerate(vertices) if vertex.is_map), default=None)
    if last is None or not any(vertex.weighted for vertex in vertices[: last + 1]):
        raise ValueError(
            "`model` must lead through a feature map of rank 4, or tokens of rank 3, after its first weights. "
            f"Received: model={model.name!r}."
        )
    ends = [*(_find_block_ends if unit == "block" else _find_layer_ends)(vertices, last), last]
    spans = [vertices[start + 1 : end + 1] for start, end in zip([-1, *ends], ends, strict=False)]
    return tuple(
        Block(f"{unit}{i}", _unique_layers(span), span[-1].outputs[0])
        for i, span in enumerate(_merge_weightless(spans), 1)
    )


def _read_branches(model) -> list[list[_Vertex]]:
    """Return the graphs of the backbones that stand side by side, with their cuts: mostly one, that of the model.

    They are recognised by the graph: it has several outputs, or pooled features are concatenated before any other
    operation lies on every path.
    """
    if len(model.outputs) > 1:
        return [_mark_cuts(_read_graph(model, [output])) for output in model.outputs]
    vertices = _mark_cuts(_read_graph(model, model.outputs))
    first = next((vertex for vertex in vertices[1:] if vertex.is_cut), None)
    # Residual blocks join several parents too, but these are maps of rank 4; pooled features have rank 2.
    if first is None or len(first.parents) < 2 or len(first.outputs[0].shape) != 2:
        return [vertices]
    return [_mark_cuts(_read_graph(model, [vertices[i].outputs[0]])) for i in first.parents]


def _stand_side_by_side(graphs, parts, unit) -> tuple[Block, ...]:
    """Join the blocks of several backbones, counted from their outputs; a shorter one stops at its entrance."""
    depth = max(map(len, parts))
    entrances = [_find_entrance(vertices) for vertices in graphs]
    padded = [(*[None] * (depth - len(blocks)), *blocks) for blocks in parts]
    rows = [
        Block(
            unit,
            tuple(dict.fromkeys(layer for block in row if block for layer in block.layers)),
            tuple(block.output if block else entrance for block, entrance in zip(row, entrances, strict=True)),
        )
        for row in zip(*padded, strict=True)
    ]
    return tuple(replace(block, name=f"{unit}{i}") for i, block in enumerate(_join_sharing(rows), 1))


def _join_sharing(blocks) -> list[Block]:
    """Join the blocks between two that share a weight, as those of backbones that share a layer can."""
    joined = []
    for block in blocks:
        weights = {id(weight) for layer in block.layers for weight in layer.weights}
        held = ({id(weight) for layer in other.layers for weight in layer.weights} for other in joined)
        first = next((i for i, others in enumerate(held) if weights & others), len(joined))
        layers = (layer for part in [*joined[first:], block] for layer in part.layers)
        joined[first:] = [replace(block, layers=tuple(dict.fromkeys(layers)))]
    return joined


def _find_entrance(vertices) -> keras.KerasTensor:
    # Not the images themselves: a model that starts from an input and from a tensor after it would rewire the input.
    first = vertices[1]
    if not first.is_cut or first.weighted:
        raise ValueError("Backbones that stand side by side must each begin with one layer without weights.")
    return first.outputs[0]


def _read_graph(model, outputs) -> list[_Vertex]:
    """List the operations before some outputs in topological order, with parents by index and strides accumulated."""
    vertices, index = [], {}
    stack = [(tensor, False) for tensor in reversed(outputs)]
    while stack:  # depth first, without recursion: NASNet is deeper than Python's stack
        tensor, ready = stack.pop()
        operation, node_index, _ = tensor._keras_history
        key = (id(operation), node_index)  # an operation that is used twice is two vertices
        if key in index:
            continue
        node = operation._inbound_nodes[node_index]
        # A suffix starts at a tensor inside a larger graph, not at an input layer.
        at_input = any(tensor is start for start in model.inputs) or not node.input_tensors
        inputs = [] if at_input else node.input_tensors
        if not ready:
            stack.append((tensor, True))  # it comes up again when its parents are in the list
            stack.extend((parent, False) for parent in reversed(inputs))
            continue
        histories = [parent._keras_history for parent in inputs]
        parents = tuple(sorted({index[id(history.operation), history.node_index] for history in histories}))
        index[key] = len(vertices)
        vertices.append(_measure(operation, tuple(node.output_tensors), parents, vertices))
    return vertices


def _measure(operation, outputs, parents, vertices) -> _Vertex:
    """Return a vertex with its stride: the product of strides before it, for tokens what their number tells."""
    stride = max((vertices[i].stride for i in parents), default=1)
    before = max((vertices[i].positions or 0 for i in parents), default=0)
    shape = outputs[0].shape
    positions = None
    if len(shape) in (3, 4):
        positions = math.prod(shape[1:-1]) if None not in shape[1:-1] else before or None
    if len(shape) == 3 or (len(shape) == 4 and _hides_stride(operation)):
        # Class and register tokens are few beside patches.
        factor = round(math.sqrt(before / positions)) if before and positions else 1
    else:
        factor = _stride_of(operation)
    return _Vertex(operation, outputs, parents, stride * max(factor, 1), positions)


def _hides_stride(operation) -> bool:
    """Return whether an operation is a layer of layers, such as one that embeds patches: it need not say a stride."""
    if not isinstance(operation, keras.layers.Layer) or is_functional(operation) or hasattr(operation, "strides"):
        return False
    return any(True for _ in operation._flatten_layers(include_self=False))


def _stride_of(operation) -> int:
    if is_functional(operation):
        return max(vertex.stride for vertex in _read_graph(operation, operation.outputs))
    strides = getattr(operation, "strides", 1)
    return max(strides) if isinstance(strides, Sequence) else strides or 1


def _mark_cuts(vertices) -> list[_Vertex]:
    """Mark every vertex that no edge jumps over, and those that lie between two uses of a weight, in one pass."""
    jumps = [0] * (len(vertices) + 1)  # jumps[i]: edges that open minus edges that close above vertex i
    for i, vertex in enumerate(vertices):
        for parent in vertex.parents:
            # An edge from parent to i jumps over the vertices between them, parent + 1 to i - 1.
            jumps[parent + 1] += 1
            jumps[i] -= 1
    last_use = {weight: i for i, vertex in enumerate(vertices) for weight in _weights_of(vertex)}
    above, used_up_to, marked = 0, 0, []
    for i, (vertex, change) in enumerate(zip(vertices, jumps, strict=False)):
        above += change
        used_up_to = max([used_up_to, *(last_use[weight] for weight in _weights_of(vertex))])
        cut = above == 0 and len(vertex.outputs) == 1  # a cut needs one tensor at which the suffix starts
        marked.append(replace(vertex, is_cut=cut, splits_weight=used_up_to > i))
    return marked


def _find_cuts(vertices, last) -> list[int]:
    """Return the vertices that a block can end in; the last feature map ends the last block in any case."""
    return [i for i, vertex in enumerate(vertices[: last + 1]) if vertex.cuttable or i == last]


def _find_block_ends(vertices, last) -> list[int]:
    """Return the vertices before a drop of the resolution, and those that divide tokens of one resolution by depth."""
    cuts = _find_cuts(vertices, last)
    tokens = {i for i in cuts if vertices[i].is_tokens}
    found = _find_boundaries(vertices, last)
    if len({vertices[i].stride for i in tokens}) == 1:
        # The first of them is the embedding's, which belongs to the encoder layer after it.
        ends = [i for i in _find_layer_ends(vertices, last) if i in tokens]
        groups = min(DEPTH_GROUPS, len(ends))
        found += [ends[len(ends) * group // groups] for group in range(1, groups)]
    return sorted(set(found))


def _find_boundaries(vertices, last) -> list[int]:
    """Return, for each drop of the resolution, the cut vertex at which the block before it ends."""
    cuts = _find_cuts(vertices, last)
    first_weight = next((i for i, vertex in enumerate(vertices) if vertex.weighted), last)
    boundaries = []
    for before, after in itertools.pairwise(cuts):
        if vertices[after].stride > vertices[before].stride:
            candidates = [i for i in _candidates(vertices, cuts, before) if i >= first_weight]  # else nothing to train
            # The narrowest: little has to be kept of a prefix, and MobileNetV2's blocks are those of its paper. Of
            # equally narrow ones the last, because a ReLU belongs to the convolution before it.
            boundaries += sorted(candidates, key=lambda i: (vertices[i].width, -i))[:1]
    return sorted(set(boundaries))


def _find_layer_ends(vertices, last) -> list[int]:
    """Return the cut vertices before each weighted layer but the first; what has no weights joins the layer before."""
    cuts = _find_cuts(vertices, last)
    spans = zip([-1, *cuts], cuts, strict=False)
    starts = [
        start for start, end in spans if any(is_counted(vertex.operation) for vertex in vertices[start + 1 : end + 1])
    ]
    return starts[1:]


def _candidates(vertices, cuts, before) -> list[int]:
    """List the cut vertices near a drop of the resolution that can end a block without splitting its last branch.

    Backwards from the drop, as long as each vertex follows the one before it directly (nothing runs beside it) and
    has the same stride; forwards, as long as no weights come with the new stride (pooling belongs to the block
    that it ends).
    """
    stride = vertices[before].stride
    found, i = [], before
    while i >= 0 and vertices[i].is_cut and vertices[i].stride == stride:
        found += [i] if i in cuts else []
        i -= 1
    i = before + 1
    while i <= cuts[-1] and not vertices[i].weighted:
        found += [i] if i in cuts and vertices[i].stride > stride else []
        i += 1
    return found


def _merge_weightless(spans):
    """Join spans without weights to a neighbour: an input to what follows it, a last pooling to what it follows."""
    merged, pending = [], []
    for span in spans:
        pending = pending + span
        if any(vertex.weighted for vertex in span):
            merged.append(pending)
            pending = []
    if pending:
        merged = [*merged[:-1], merged[-1] + pending] if merged else [pending]
    return merged


def _unique_layers(span) -> tuple[keras.layers.Layer, ...]:
    layers = (vertex.operation for vertex in span if isinstance(vertex.operation, keras.layers.Layer))
    return tuple(dict.fromkeys(layers))


def count_parameters(layers) -> int:
    """Return how many numbers the weights of some layers hold, BatchNorm statistics included."""
    variables = {id(variable): variable for layer in layers for variable in layer.weights}  # layers may share weights
    return sum(math.prod(variable.shape) for variable in variables.values())
