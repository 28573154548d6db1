"""Exit codes say what a supervisor should do."""

import signal
from collections.abc import Iterator

import pytest
from edgevlm_engines import BundleError, EngineLoadError, NotNow
from edgevlm_engines.errors import CudaError
from edgevlm_engines.trt.target import this_target
from edgevlm_server.exit_codes import EXIT_CANNOT_START, EXIT_NOT_NOW
from edgevlm_server.model import Model
from edgevlm_server.run import serve
from edgevlm_server.settings import Settings

from tests.tensorrt.standin import installed


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """`serve` takes them for good."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is still being looked for would end this process."""
    monkeypatch.setattr("edgevlm_server.run._leave", lambda code: None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BundleError("It is damaged."), EXIT_CANNOT_START),
        (EngineLoadError("It does not fit."), EXIT_CANNOT_START),
        (NotNow("Others hold the memory."), EXIT_NOT_NOW),
        (FileNotFoundError(2, "No such file or directory", "weights"), EXIT_CANNOT_START),
        (CudaError("cuInit", "CUDA_ERROR_NO_DEVICE"), EXIT_NOT_NOW),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_why_a_model_cannot_be_loaded(error: Exception, code: int) -> None:
    def load() -> Model:
        raise error

    assert serve(Settings(port=0), load) == code


def test_a_gpu_that_others_hold_may_be_free_later() -> None:
    def load() -> Model:
        this_target()
        raise AssertionError("the device was held")

    with installed() as machine:
        machine.fail["cudaSetDevice"] = "cudaErrorMemoryAllocation"
        assert serve(Settings(port=0), load) == EXIT_NOT_NOW
