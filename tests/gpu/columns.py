"""The columns of the table: which engine runs which graphs. Knows no checks."""

from typing import NamedTuple

from edgevlm_engines.names import Device


class Column(NamedTuple):
    """`device` is what a bundle says that it is for, `exported` what its graphs are exported for."""

    title: str
    device: Device
    exported: Device

    @property
    def on_tensorrt(self) -> bool:
        return self.device == "rtx"


COLUMNS = {
    "ort": Column("ort CUDA", "cuda", "cuda"),
    "native": Column("trt native", "rtx", "rtx"),
    "split": Column("trt split", "rtx", "jetpack6"),
}
"""An Orin on JetPack 6 runs the last one's graphs, with a TensorRT that no PC has; here TensorRT-RTX does."""

REHEARSED = {**COLUMNS, "ort": Column("ort CUDA", "cpu", "cpu")}
"""The same where there is no GPU."""
