"""Writes an ONNX graph node by node. Knows ONNX, not models.

Weights are lazy: a closure that reads one tensor, called when that tensor is written to disk and not kept.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

CONTRIB = "com.microsoft"
IR_VERSION = 10

Array = NDArray[Any]
Dimension = int | str
Attribute = int | float | str | Sequence[int]


class GraphWriter:
    """One graph under construction. `dtype` is the type of activations, and of weights that name no other."""

    def __init__(self, name: str, dtype: type[np.floating[Any]], opset: int) -> None:
        self.dtype = np.dtype(dtype)
        self._graph = ir.Graph([], [], nodes=[], name=name, opset_imports={"": opset})
        self._scopes: list[str] = []
        self._count = 0

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Nodes written inside carry `name` in theirs, so that a runtime's error points to the layer."""
        self._scopes.append(name)
        yield
        self._scopes.pop()

    def input(self, name: str, shape: Sequence[Dimension], dtype: type[np.generic] | None = None) -> ir.Value:
        """A graph input; dimensions given as text are free."""
        value = self._typed(name, shape, np.dtype(dtype) if dtype else self.dtype)
        self._graph.inputs.append(value)
        return value

    def output(
        self, value: ir.Value, name: str, shape: Sequence[Dimension], dtype: type[np.generic] | None = None
    ) -> None:
        """Make `value` a graph output under this name."""
        typed = self._typed(name, shape, np.dtype(dtype) if dtype else self.dtype)
        value.name, value.type, value.shape = typed.name, typed.type, typed.shape
        self._graph.outputs.append(value)

    def weight(
        self, name: str, shape: Sequence[int], read: Callable[[], Array], dtype: type[np.generic] | None = None
    ) -> ir.Value:
        """An initializer, of the graph's dtype if no other is given. `read` returns an array of this shape."""
        stored = np.dtype(dtype) if dtype else self.dtype

        def load() -> ir.TensorProtocol:
            array = np.ascontiguousarray(read(), dtype=stored)
            if array.shape != tuple(shape):
                raise AssertionError(f"weight {name} has shape {array.shape}, expected {tuple(shape)}")
            return ir.Tensor(array, name=name)

        value = self._typed(name, shape, stored)
        value.const_value = ir.LazyTensor(load, _ir_type(stored), ir.Shape(shape), name=name)
        self._graph.initializers[name] = value
        return value

    def constant(self, array: Array) -> ir.Value:
        """A small initializer that keeps its own dtype."""
        name = self._unique("constant")
        value = self._typed(name, array.shape, array.dtype)
        value.const_value = ir.Tensor(array, name=name)
        self._graph.initializers[name] = value
        return value

    def op(
        self,
        kind: str,
        *inputs: ir.Value | None,
        domain: str = "",
        name: str | None = None,
        **attributes: Attribute,
    ) -> ir.Value:
        """One node with one output, named `name` if it is to be found again."""
        value = self.ops(kind, *inputs, outputs=1, domain=domain, **attributes)[0]
        if name is not None:
            value.name = name
        return value

    def ops(
        self, kind: str, *inputs: ir.Value | None, outputs: int, domain: str = "", **attributes: Attribute
    ) -> Sequence[ir.Value]:
        """One node with several outputs."""
        if domain:
            self._graph.opset_imports[domain] = 1
        node = ir.node(kind, list(inputs), attributes, domain=domain, num_outputs=outputs, name=self._unique(kind))
        for index, value in enumerate(node.outputs):
            value.name = f"{node.name}:{index}"
        self._graph.append(node)
        return node.outputs

    def cast(self, value: ir.Value, dtype: type[np.generic]) -> ir.Value:
        """The same values in another type."""
        return self.op("Cast", value, to=int(_ir_type(np.dtype(dtype))))

    def to_own_type(self, value: ir.Value) -> ir.Value:
        """Cast float32 to the graph's dtype where that differs."""
        return value if self.dtype == np.float32 else self.cast(value, self.dtype.type)

    def to_float32(self, value: ir.Value) -> ir.Value:
        """Cast the graph's dtype to float32 where that differs."""
        return value if self.dtype == np.float32 else self.cast(value, np.float32)

    def scalar(self, number: float) -> ir.Value:
        """A constant of the graph's dtype."""
        return self.constant(np.array(number, self.dtype))

    def shape_op(self, dims: Sequence[int]) -> ir.Value:
        """An int64 tensor for Reshape, where 0 keeps a dimension and -1 infers one, or axes for others."""
        return self.constant(np.array(dims, np.int64))

    def save(self, path: Path, progress: Callable[[int], None]) -> None:
        """Write `path` and, beside it, its weights as `<stem>.data`; `progress` is told bytes as they are written."""
        model = ir.Model(self._graph, ir_version=IR_VERSION, producer_name="edgevlm")
        ir.save(
            model,
            path,
            external_data=f"{path.stem}.data",
            callback=lambda tensor, info: progress(tensor.nbytes),
        )

    def weight_bytes(self) -> int:
        """Size of all initializers, for progress."""
        return sum(value.const_value.nbytes for value in self._graph.initializers.values() if value.const_value)

    def _unique(self, kind: str) -> str:
        self._count += 1
        return "/".join([*self._scopes, f"{kind}_{self._count}"])

    @staticmethod
    def _typed(name: str, shape: Sequence[Dimension], dtype: np.dtype[Any]) -> ir.Value:
        return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(_ir_type(dtype)))


def _ir_type(dtype: np.dtype[Any]) -> ir.DataType:
    return ir.DataType.from_numpy(dtype)
