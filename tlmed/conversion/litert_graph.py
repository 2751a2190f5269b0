"""The operations of a LiteRT file: which are its ends, which roundings nothing needs, and which constants are slow."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tensorflow.lite.python.schema_py_generated import BufferT, BuiltinOperator, TensorType
from tensorflow.lite.tools import flatbuffer_utils

_KINDS = {number: kind for kind, number in vars(BuiltinOperator).items() if isinstance(number, int)}
_BY_COLOUR, _COLOURS = ("ADD", "MUL", "SUB"), 3
_STEM, _HEAD = "CONV_2D", "FULLY_CONNECTED"


@dataclass(frozen=True)
class Operation:
    """An operation of a LiteRT file.

    Attributes:
        kind: LiteRT's name of what it does.
        name: That of the first tensor that it gives.
        reads: The numbers of the tensors that it reads from other operations, so that constants are left out.
        gives: Those of the tensors that it gives.
    """

    kind: str
    name: str
    reads: Collection[int]
    gives: Collection[int]


def list_operations(content: bytes) -> list[Operation]:
    """Return the operations of a LiteRT file, each after those that it reads from."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    [graph] = model.subgraphs
    given = {number for one in graph.operators for number in one.outputs}
    return [
        Operation(
            _find_kind(model, one),
            graph.tensors[one.outputs[0]].name.decode(),
            given.intersection(one.inputs),
            tuple(one.outputs),
        )
        for one in graph.operators
    ]


def find_ends(operations: Sequence[Operation]) -> set[str]:
    """Return the names of the operations up to the first convolution, and of those from the last dense layer on.

    Of several networks in one graph, each has its own ends.

    Args:
        operations: In order.

    >>> kinds = ("MUL", "CONV_2D", "CONV_2D", "FULLY_CONNECTED", "SOFTMAX")
    >>> row = [Operation(kind, f"{kind} {i}", [i], [i + 1]) for i, kind in enumerate(kinds)]
    >>> sorted(find_ends(row))
    ['CONV_2D 1', 'FULLY_CONNECTED 3', 'MUL 0', 'SOFTMAX 4']
    """
    turned = [replace(one, reads=one.gives, gives=one.reads) for one in reversed(operations)]
    return _find_last(operations, _HEAD) | _find_last(turned, _STEM)


def _find_last(operations, kind) -> set[str]:
    """Return the operations of a kind after which no other of it comes, and all that come after these."""
    leading: set[int] = set()  # the tensors from which one of the kind is reached
    last, found, reached = set(), set(), set()
    for one in reversed(operations):
        leads = not leading.isdisjoint(one.gives)
        if one.kind == kind and not leads:
            last.add(one.name)
        if one.kind == kind or leads:
            leading.update(one.reads)
    for one in operations:
        if one.name in last or not reached.isdisjoint(one.reads):
            found.add(one.name)
            reached.update(one.gives)
    return found


def drop_roundings(content: bytes) -> bytes:
    """Return a LiteRT file in which no number of single precision is rounded to 8 bits and taken back at once.

    TensorFlow's converter leaves such a pair after a softmax that stays in single precision, if both an operation and
    the caller read it: probabilities would be multiples of 1/256 whose sum is not 1.

    Args:
        content: The file.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for number, graph in enumerate(model.subgraphs):
        makers = {place: one for one in graph.operators for place in one.outputs}
        same = {}  # the number of a tensor that was taken back, and that of the one before rounding
        for one in graph.operators:
            before = makers.get(one.inputs[0]) if _find_kind(model, one) == "DEQUANTIZE" else None
            if before is not None and _find_kind(model, before) == "QUANTIZE":
                source = before.inputs[0]
                if graph.tensors[source].type == TensorType.FLOAT32:
                    same[one.outputs[0]] = same.get(source, source)
        for one in graph.operators:
            one.inputs = [same.get(place, place) for place in one.inputs]
        graph.outputs = [same.get(place, place) for place in graph.outputs]
        for signature in model.signatureDefs or ():
            for out in signature.outputs if signature.subgraphIndex == number else ():
                out.tensorIndex = same.get(out.tensorIndex, out.tensorIndex)
        graph.operators = [one for one in graph.operators if one.outputs[0] not in same]
        read = {place for one in graph.operators for place in one.inputs} | set(graph.outputs)
        graph.operators = [
            one for one in graph.operators if _find_kind(model, one) != "QUANTIZE" or one.outputs[0] in read
        ]
    return flatbuffer_utils.convert_object_to_bytearray(model)


def widen_constants(content: bytes) -> bytes:
    """Return a LiteRT file that computes the same, where constants of each colour are repeated along the rows.

    LiteRT adds and multiplies three colours in steps of three numbers, and whole rows in steps of 8 or 16. What makes
    of bytes the numbers that MobileNetV2 takes, at 224 pixels, was a sixth of the time of all its layers of 8 bits.

    Args:
        content: The file.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for graph in model.subgraphs:
        readers: dict[int, list] = {}
        for one in graph.operators:
            for place in one.inputs:
                readers.setdefault(place, []).append(one)
        for place, found in readers.items():
            constant = graph.tensors[place]
            widths = {_find_width(model, graph, one, place) for one in found}
            if len(widths) != 1 or (width := widths.pop()) is None:
                continue
            values = np.frombuffer(bytes(model.buffers[constant.buffer].data), np.uint8)
            model.buffers.append(BufferT())
            model.buffers[-1].data = np.tile(values, width)
            constant.buffer, constant.shape = len(model.buffers) - 1, [width, *constant.shape]
    return flatbuffer_utils.convert_object_to_bytearray(model)


def _find_width(model, graph, operator, place) -> int | None:
    """Return the width of images whose colours an operation scales or shifts by a constant; None if it does not."""
    others = [graph.tensors[other].shape for other in operator.inputs if other != place]
    constant = graph.tensors[place]
    is_constant = model.buffers[constant.buffer].data is not None and constant.type == TensorType.FLOAT32
    if not (is_constant and _find_kind(model, operator) in _BY_COLOUR and len(others) == 1 and len(others[0]) == 4):
        return None
    return int(others[0][2]) if list(constant.shape) == [_COLOURS] == [others[0][3]] else None


def _find_kind(model, operator) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    return _KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)]  # old kinds stand in the second, new ones in both
