"""The columns of the table: which engine runs which bundles. Knows no checks."""

from typing import NamedTuple

from edgevlm_engines.names import Device, EngineName


class Column(NamedTuple):
    """An engine and the device that its bundles are made for; `rehearsal` is the one that stands in for it."""

    title: str
    engine: EngineName
    device: Device
    rehearsal: Device


COLUMNS = {
    "ort": Column("ort CUDA", "ort", "cuda", "cpu"),
    "native": Column("trt native", "trt", "jetpack7", "jetpack7"),
    "split": Column("trt split", "trt", "jetpack6", "jetpack6"),
}
"""Both graphs are built by the TensorRT that is here; what an Orin runs them with is another one."""
