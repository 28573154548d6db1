"""Every name, method and argument of TensorRT and of CUDA that the product uses exists in the versions it is for.

Looked up in their own Python layers. What the calls do is not tried: there is no GPU.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tensorrt.environments import BINDINGS, CUDA, ROOT, TWINS, environment

ENGINES, EXPORT = ROOT / "engines/edgevlm_engines", ROOT / "export/edgevlm_export"
TENSORRT_FILES = tuple(sorted(ENGINES.glob("trt/*.py"))) + tuple(sorted(EXPORT.glob("trt/*.py")))
CUDA_FILES = tuple(path for path in sorted(ENGINES.rglob("*.py")) if "cuda.bindings" in path.read_text())
CUDA_MODULES = tuple(f"cuda.bindings.{name}" for name in ("runtime", "driver", "nvrtc"))


class Result(NamedTuple):
    found: frozenset[str]
    wrong: tuple[str, ...]


@cache
def uses(version: str, files: tuple[Path, ...]) -> Result:
    """What files use of one version's modules, in a process that sees them."""
    if version in CUDA:
        name, pairs = version, [f"{name}={name}" for name in CUDA_MODULES]
    elif version in TWINS:
        name, pairs = f"twin-{version}", ["tensorrt=tensorrt_rtx", "tensorrt_rtx=tensorrt_rtx"]
    else:
        name, pairs = f"bindings-{version}", ["tensorrt=tensorrt_bindings"]
    command = [sys.executable, "-m", "tests.tensorrt.conformance", *pairs, "--", *map(str, files)]
    output = subprocess.run(command, env=environment(name), cwd=ROOT, capture_output=True, text=True)
    assert output.returncode == 0, output.stderr
    answer = json.loads(output.stdout)
    return Result(frozenset(answer["found"]), tuple(answer["wrong"]))


def seen(versions: Iterable[str], files: tuple[Path, ...]) -> frozenset[str]:
    """What files use, which is the same in all versions."""
    [same] = {uses(version, files).found for version in versions}
    return same


@pytest.mark.parametrize("version", (*BINDINGS, *TWINS))
def test_tensorrt_has_all_that_we_use(version: str) -> None:
    assert uses(version, TENSORRT_FILES).wrong == ()


@pytest.mark.parametrize("version", CUDA)
def test_cuda_has_all_that_we_use(version: str) -> None:
    assert uses(version, CUDA_FILES).wrong == ()


def test_the_uses_are_seen() -> None:
    """The same in all versions, and what matters most among them: a check that sees nothing finds nothing."""
    assert seen(TWINS, TENSORRT_FILES) - seen(BINDINGS, TENSORRT_FILES) >= {
        "ICudaEngine.create_runtime_config",
        "IRuntimeConfig.set_runtime_cache",
        "IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy",
        "DynamicShapesKernelSpecializationStrategy.NONE",
        "IRuntimeCache.deserialize",
        "IRuntimeCache.serialize",
    }
    assert seen(BINDINGS, TENSORRT_FILES) >= {
        "Builder.build_serialized_network",
        "IBuilderConfig.set_memory_pool_limit",
        "ICudaEngine.create_execution_context",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.set_device_memory",
        "ILogger.log (overridden)",
        "IProgressMonitor.step_complete (overridden)",
        "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
        "OnnxParser.parse",
        "ParserError.node_operator",
        "Runtime.deserialize_cuda_engine",
    }
    assert seen(CUDA, CUDA_FILES) >= {
        "cuda.bindings.runtime.cudaMalloc",
        "cuda.bindings.runtime.cudaStreamBeginCapture",
        "cuda.bindings.driver.cuLaunchKernel",
        "cuda.bindings.nvrtc.nvrtcCompileProgram",
    }


MUTATIONS = [
    ("config.set_flag(tensorrt.BuilderFlag.FP16)", {"11.4.0.106": "there is no BuilderFlag.FP16"}),
    ("config.set_workspace(3)", dict.fromkeys(BINDINGS, "there is no IBuilderConfig.set_workspace")),
    ("config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE)", dict.fromkeys(BINDINGS, "does not fit")),
    ("builder.create_network(flag=1)", dict.fromkeys(BINDINGS, "does not fit")),
    ("tensorrt.OnnxParser(builder)", dict.fromkeys(BINDINGS, "does not fit")),
    ("tensorrt.Runtime(logger).deserialize_engine(b'')", dict.fromkeys(BINDINGS, "there is no Runtime.deserialize")),
    ("config.int8_calibrator", {"11.4.0.106": "there is no IBuilderConfig.int8_calibrator"}),
    ("builder.create_optimization_profile().set_shape('x', (1,), (1,), best=(1,))", dict.fromkeys(BINDINGS, "fit")),
    (
        "builder.create_network(0).add_attention(1, 2, 3, 4, False)",
        dict.fromkeys(("10.3.0", "10.13.3.9"), "there is no INetworkDefinition.add_attention"),
    ),
]


@pytest.mark.parametrize(("line", "complaints"), MUTATIONS)
def test_a_use_that_does_not_exist_is_found(tmp_path: Path, line: str, complaints: dict[str, str]) -> None:
    path = tmp_path / "mutant.py"
    path.write_text(
        "import tensorrt\n\n\ndef build(logger: tensorrt.ILogger) -> None:\n"
        "    builder = tensorrt.Builder(logger)\n    config = builder.create_builder_config()\n"
        f"    {line}\n"
    )
    for version in BINDINGS:
        wrong = uses(version, (path,)).wrong
        assert bool(wrong) == (version in complaints), (version, wrong)
        assert not wrong or complaints[version] in wrong[0]


def test_a_callback_with_other_parameters_is_found(tmp_path: Path) -> None:
    path = tmp_path / "mutant.py"
    path.write_text(
        "import tensorrt\n\n\nclass Monitor(tensorrt.IProgressMonitor):\n"
        "    def step_complete(self, phase_name: str) -> bool:\n        return True\n"
    )
    for version in BINDINGS:
        assert uses(version, (path,)).wrong == ("mutant.py:5: IProgressMonitor.step_complete has other parameters",)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("call(runtime.cudaMallocs, 3)", "there is no cuda.bindings.runtime.cudaMallocs"),
        ("call(runtime.cudaMalloc, 3, 4)", "does not fit"),
        ("call(runtime.cudaMemcpy, 3, 4, 5, runtime.cudaMemcpyKind.cudaMemcpyDown)", "there is no cudaMemcpyKind."),
    ],
)
@pytest.mark.parametrize("version", CUDA)
def test_a_use_of_cuda_that_does_not_exist_is_found(tmp_path: Path, version: str, line: str, complaint: str) -> None:
    path = tmp_path / "mutant.py"
    path.write_text(f"from cuda.bindings import runtime\n\nfrom edgevlm_engines.cuda.runtime import call\n\n{line}\n")
    [wrong] = uses(version, (path,)).wrong
    assert complaint in wrong
