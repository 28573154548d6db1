"""Between checkpoint and graph: names what a graph takes and brings it into the layout that the graph wants.

Every weight goes through float16 once, whatever the precision: upstream loads the model in float16, so these
rounded values are the model. Linear weights are stored `[out, in]` and used as `x @ W` with W `[in, out]`; how
such a matmul is written is chosen once for all of them.
"""

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from edgevlm_export.checkpoint.checkpoint import Checkpoint, TensorSource, as_float16
from edgevlm_export.graph.matmul import MatmulWriter, Matrix, plain_matmul
from edgevlm_export.graph.writer import Array, GraphWriter


class Weights:
    """Takes tensors below one prefix of a checkpoint and puts them into a graph under their own names."""

    def __init__(
        self, graph: GraphWriter, checkpoint: Checkpoint, prefix: str, matmul: MatmulWriter = plain_matmul
    ) -> None:
        self._graph = graph
        self._checkpoint = checkpoint
        self._prefix = prefix
        self._matmul = matmul

    def below(self, part: str) -> "Weights":
        """The same, one level deeper."""
        return Weights(self._graph, self._checkpoint, f"{self._prefix}{part}.", self._matmul)

    def tensor(self, name: str, shape: Sequence[int], new_shape: Sequence[int] | None = None) -> ir.Value:
        """A tensor as it is stored, or reshaped."""
        source = self._take(name, shape)
        target = tuple(new_shape or shape)
        return self._add(name, target, lambda: as_float16(source).reshape(target))

    def linear(self, hidden: ir.Value, name: str, inputs: int, outputs: int) -> ir.Value:
        """`hidden @ W` with `name.weight`, stored `[outputs, inputs]`."""
        return self.packed_linear(hidden, [name], inputs, [outputs], name)

    def packed_linear(
        self, hidden: ir.Value, names: Sequence[str], inputs: int, outputs: Sequence[int], packed: str
    ) -> ir.Value:
        """Several linear layers over the same input as one matmul: their outputs one after another."""
        sources = [self._take(f"{name}.weight", (size, inputs)) for name, size in zip(names, outputs, strict=True)]
        return self._multiply(
            hidden, packed, inputs, sum(outputs), lambda: np.concatenate([as_float16(source) for source in sources])
        )

    def pointwise(self, hidden: ir.Value, name: str, inputs: int, outputs: int) -> ir.Value:
        """A 1x1 convolution, stored `[outputs, inputs, 1, 1]`, over a last dimension of channels."""
        source = self._take(f"{name}.weight", (outputs, inputs, 1, 1))
        return self._multiply(hidden, name, inputs, outputs, lambda: as_float16(source).reshape(outputs, inputs))

    def packed_bias(self, names: Sequence[str], outputs: Sequence[int], packed: str) -> ir.Value:
        """The biases of such layers, `[sum(outputs)]`."""
        sources = [self._take(f"{name}.bias", (size,)) for name, size in zip(names, outputs, strict=True)]
        return self._add(
            f"{packed}.bias",
            (sum(outputs),),
            lambda: np.concatenate([as_float16(source) for source in sources]),
        )

    def _multiply(
        self, hidden: ir.Value, name: str, inputs: int, outputs: int, read: Callable[[], Array]
    ) -> ir.Value:
        return self._matmul(self._graph, hidden, Matrix(f"{self._prefix}{name}.weight", inputs, outputs, read))

    def _take(self, name: str, shape: Sequence[int]) -> TensorSource:
        return self._checkpoint.take(self._prefix + name, tuple(shape))

    def _add(self, name: str, shape: Sequence[int], read: Callable[[], Array]) -> ir.Value:
        return self._graph.weight(self._prefix + name, shape, read)
