"""Where the tokens of a transformer lie in the image, and which of them belong to no place."""

from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class TokenGrid:
    """How tokens [batch, tokens, channels] are ordered: those of no place first, then a row of patches after the other.

    Attributes:
        extra: Tokens of no place before the patches: the class token first, then registers and the like.
        rows: Rows of patches.
        columns: Columns of patches.
    """

    extra: int
    rows: int
    columns: int


def find_grid(tokens: keras.KerasTensor) -> TokenGrid | None:
    """Return the grid of the tokens at a place in a network; None if the graph does not tell it.

    It is read from the layer that makes tokens of a map or of an image, with its attribute `patch_size`.

    Args:
        tokens: A symbolic tensor [batch, tokens, channels].

    >>> find_grid(keras.layers.Reshape((12, 8))(keras.Input((3, 4, 8))))
    TokenGrid(extra=0, rows=3, columns=4)
    """
    place = tokens
    while len(place.shape) == 3:
        history = place._keras_history
        inputs = history.operation._inbound_nodes[history.node_index].input_tensors
        maps = [tensor for tensor in inputs if len(tensor.shape) in (3, 4)]
        if not maps:
            return None
        before, place = place, maps[0]
    if None in (*place.shape[1:3], tokens.shape[1]):
        return None
    maker = before._keras_history.operation
    # Patches that overlap are as far apart as the stride, others as they are large.
    step = getattr(maker, "stride", getattr(maker, "patch_size", 1))
    down, across = step if isinstance(step, tuple | list) else (step, step)
    rows, columns = place.shape[1] // down, place.shape[2] // across
    extra = tokens.shape[1] - rows * columns
    # Fewer tokens than patches: some were merged on the way.
    return TokenGrid(extra, rows, columns) if extra >= 0 else None
