"""Which matmuls are not rounded, though their graph's precision says so. Knows names, no layouts."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import onnx_ir as ir

from edgevlm_export.errors import ExportError
from edgevlm_export.graph.matmul import MatmulWriter, Matrix, plain_matmul
from edgevlm_export.graph.precision import Linear
from edgevlm_export.graph.writer import GraphWriter


class Kept:
    """Shell patterns over the names of matrices, and the account of their use."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self._unused = set(patterns)
        self._rounded = ""  # the name of one, for those who look for a pattern

    def writer(self, linear: Linear) -> MatmulWriter:
        """Writes those that match in the graph's own type, and the others as `linear` says."""

        def write(graph: GraphWriter, hidden: ir.Value, matrix: Matrix) -> ir.Value:
            matching = {pattern for pattern in self._patterns if fnmatchcase(matrix.name, pattern)}
            self._unused -= matching
            self._rounded = self._rounded or matrix.name
            return (plain_matmul if matching else linear.write)(graph, hidden, matrix)

        return linear.write if linear.rounding is None else write

    def check(self) -> None:
        """Raise `ExportError` for a pattern that has matched nothing."""
        for pattern in sorted(self._unused):
            hint = f"names look like {self._rounded!r}" if self._rounded else "nothing is rounded in these precisions"
            raise ExportError(f"--keep-fp16 {pattern} matches no matmul that is rounded; {hint}.")
