"""Whether the `ort` engine decodes with kernels of our own, on the stand-in machine."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edgevlm_engines import Bundle, open_bundle
from edgevlm_engines.ort.own_decode import own_decode

from tests.tensorrt.standin import Machine

pytestmark = pytest.mark.slow

HALF = np.dtype(np.float16)


@pytest.fixture(scope="module")
def bundle(device_bundles: Callable[[str, str], Path]) -> Bundle:
    return open_bundle(device_bundles("v2", "cuda"))


def test_not_on_a_gpu_that_is_too_old(machine: Machine, bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    from edgevlm_engines.cuda.kv_cache import CudaCache

    machine.compute = (7, 5)
    cache = CudaCache(4, (1, 4, 64, 16), HALF)
    assert own_decode(bundle, cache) is None
    assert not caplog.records
    cache.free()


def test_where_the_weights_find_no_room_onnx_runtime_decodes(
    machine: Machine, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    from edgevlm_engines.cuda.kv_cache import CudaCache

    cache = CudaCache(4, (1, 4, 64, 16), HALF)
    machine.capacity = machine.used() + 100_000
    with caplog.at_level(logging.WARNING):
        assert own_decode(bundle, cache) is None
    assert "Decode steps run on ONNX Runtime" in caplog.text
    cache.free()


def test_with_the_bundles_weights_otherwise(machine: Machine, bundle: Bundle) -> None:
    from edgevlm_engines.cuda.kv_cache import CudaCache

    cache = CudaCache(4, (2, 4, 64, 16), HALF)
    decoder = own_decode(bundle, cache)
    assert decoder is not None
    hidden = np.load(bundle.path("embedding.npy"))[[5, 7]]
    together = decoder.decode(hidden, np.array([0, 0]))
    alone = decoder.decode(hidden[:1], np.array([0]))
    assert np.isfinite(together).all() and np.array_equal(alone[0], together[0])
    decoder.free()
    cache.free()
