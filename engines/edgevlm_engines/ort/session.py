"""Sessions of ONNX Runtime: a file of a bundle, loaded where it is to run. Knows no inputs or outputs."""

import re

import onnxruntime

from edgevlm_engines.bundle import DECODER, DECODER_WEIGHTS, VISION, VISION_WEIGHTS, Bundle
from edgevlm_engines.errors import EngineLoadError, NotNow
from edgevlm_engines.memory_plan import graph_weights
from edgevlm_engines.names import Provider
from edgevlm_engines.ort.external_data import graph_with_weights_at, open_folder

PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

WEIGHTS = {VISION: VISION_WEIGHTS, DECODER: DECODER_WEIGHTS}
WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"

CUDA = {"cudnn_conv_algo_search": "HEURISTIC"}
"""Convolutions by rule: what a trial finds fastest may differ from start to start."""

_NO_ROOM = re.compile("out of memory|failed to allocate memory|ALLOC_FAILED|busy or unavailable", re.IGNORECASE)
"""What ONNX Runtime says of a GPU that has no room for a graph, or is another's alone."""


def open_session(
    bundle: Bundle, name: str, provider: Provider, threads: int, *, spinning: bool = True, captured: bool = False
) -> onnxruntime.InferenceSession:
    """The graph `name` on `provider` alone; `threads` 0 lets the runtime take one per physical core.

    Threads that spin while they wait start sooner and take a core meanwhile. `captured` lets CUDA repeat a captured
    run, if inputs and outputs stay where they are. Raises `EngineLoadError`, `NotNow` where a GPU has no room.
    """
    wanted = PROVIDERS[provider]
    if wanted not in onnxruntime.get_available_providers():
        raise EngineLoadError(
            f"This ONNX Runtime has no {wanted}; install the 'gpu' extra of edgevlm, or choose --provider cpu."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    # means and convolutions would be summed up in another order at each call
    options.use_deterministic_compute = provider == "cuda"
    own = CUDA | {"enable_cuda_graph": "1" if captured else "0"} if provider == "cuda" else {}
    weights = bundle.path(WEIGHTS[name]).resolve()
    try:
        graph = graph_with_weights_at(bundle.path(name), weights)
        with open_folder(weights.parent) as folder:
            options.add_session_config_entry(WEIGHTS_FOLDER, folder)
            session = onnxruntime.InferenceSession(graph, options, providers=[wanted], provider_options=[own])
    except Exception as error:
        what = " ".join(str(error).split()).rstrip(".")
        kind = NotNow if provider == "cuda" and _held_by_others(what, bundle) else EngineLoadError
        raise kind(f"ONNX Runtime cannot load {bundle.path(name)}: {what}.") from error
    # without its libraries the CUDA provider is dropped with no more than a warning
    if wanted not in session.get_providers():
        raise EngineLoadError(f"ONNX Runtime could not start its {wanted}; are the CUDA libraries installed?")
    return session


def _held_by_others(what: str, bundle: Bundle) -> bool:
    """Whether the GPU said no, and could hold the weights if it were this program's alone."""
    if _NO_ROOM.search(what) is None:
        return False
    try:
        from edgevlm_engines.cuda.runtime import fits_alone
    except ImportError:
        return False
    return fits_alone(graph_weights(bundle.manifest))
