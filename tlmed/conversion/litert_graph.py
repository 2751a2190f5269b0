"""The operations of a LiteRT file: which of them are its ends, and which roundings between them nothing needs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from tensorflow.lite.python.schema_py_generated import BuiltinOperator, TensorType
from tensorflow.lite.tools import flatbuffer_utils

_KINDS = {number: kind for kind, number in vars(BuiltinOperator).items() if isinstance(number, int)}
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


def _find_kind(model, operator) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    return _KINDS[max(code.builtinCode, code.deprecatedBuiltinCode)]  # old kinds stand in the second, new ones in both
