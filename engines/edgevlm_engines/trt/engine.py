"""The TensorRT engine: a bundle's plans behind the boundary that all engines have.

One thread prefills and decodes, another may encode pictures: they share the weights' device and nothing else.
"""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edgevlm_engines.bundle import Bundle
from edgevlm_engines.checked_engine import CheckedEngine
from edgevlm_engines.cuda.owned import owned
from edgevlm_engines.cuda.runtime import enter_thread, fits_alone, free_memory
from edgevlm_engines.embedding import embedded, open_embedding
from edgevlm_engines.engine import EngineInfo, Floats, Segment, Tokens
from edgevlm_engines.errors import DeviceError, EngineLoadError, NotNow
from edgevlm_engines.kv_cache import Copied
from edgevlm_engines.memory_plan import position_bytes
from edgevlm_engines.plan_cache import (
    PlanFiles,
    PlanShape,
    Target,
    open_plans,
    plan_folder,
    plan_shape,
    serving_shape,
)
from edgevlm_engines.sizes import size_text
from edgevlm_engines.trt.context import PlanEngine
from edgevlm_engines.trt.decoder import TrtDecoder
from edgevlm_engines.trt.library import library_for
from edgevlm_engines.trt.vision import TrtVision


class TrtEngine(CheckedEngine):
    """Runs the plans of a bundle's `trt-native` or `trt-split` flavour."""

    def __init__(
        self,
        bundle: Bundle,
        *,
        slots: int,
        max_length: int,
        target: Target,
        plans: Path | None = None,
        cuda_graphs: bool = True,
    ) -> None:
        """`target` is this machine, `plans` the folder of plans if not the one beside the bundle.

        Raises `EngineLoadError`, `NotNow` where others hold the memory that it needs.
        """
        manifest, shape = bundle.manifest, plan_shape(slots, max_length)
        info = EngineInfo.of(
            manifest,
            name="trt",
            device=target.device,
            precision=manifest.precision,
            slots=slots,
            max_length=max_length,
            chunk=shape.chunk,
            position_bytes=position_bytes(manifest),
        )
        super().__init__(info)
        enter_thread()
        folder = plan_folder(bundle.folder, plans)
        opened = open_plans(folder, bundle, serving_shape(folder, manifest, shape, target), target)
        self._embedding = open_embedding(bundle)
        try:
            self._load(bundle, opened, shape, cuda_graphs)
        except DeviceError as error:
            needed = sum(path.stat().st_size for path in opened) + shape.slots * shape.capacity * info.position_bytes
            kind = NotNow if error.held_by_others and fits_alone(needed) else EngineLoadError
            raise kind(_why_not(opened, error)) from None

    def close(self) -> None:
        enter_thread()
        self._release.close()

    def _encode_image(self, picture: Floats) -> Floats:
        enter_thread()
        features = self._vision.encode(picture)
        self._used(self._plans[1])
        return features

    def _prefill(self, slot: int, start: int, tokens: Tokens, features: Floats) -> Floats:
        enter_thread()
        hidden = embedded(self._embedding, tokens, features)
        logits: Floats = self._decoder.prefill(slot, start, hidden[np.newaxis])[0]
        return logits

    def _decode(self, tokens: Tokens, lengths: Tokens) -> Floats:
        enter_thread()
        logits = self._decoder.decode(lengths, self._embedding[tokens][:, np.newaxis])
        self._used(self._plans[0])
        return logits

    def _move_slot(self, source: int, target: int, length: int) -> None:
        enter_thread()
        self._decoder.cache.move_slot(source, target, length)

    def _save(self, slot: int, start: int, stop: int) -> Segment:
        enter_thread()
        return self._decoder.cache.copy_out(slot, start, stop)

    def _restore(self, slot: int, segment: Segment, length: int) -> None:
        assert isinstance(segment, Copied)
        enter_thread()
        self._decoder.cache.copy_in(slot, segment, length)

    def _load(self, bundle: Bundle, plans: PlanFiles, shape: PlanShape, cuda_graphs: bool) -> None:
        """Weights first: what they leave is the cache's."""
        with ExitStack() as release:
            library = library_for(bundle.manifest.device)
            decoder, vision = (owned(release, PlanEngine(path, library)) for path in (plans.decoder, plans.vision))
            self._vision = owned(release, TrtVision(vision, bundle.manifest, graphs=cuda_graphs))
            self._decoder = owned(release, TrtDecoder(decoder, bundle.manifest, shape, graphs=cuda_graphs))
            self._plans, self._unused = (decoder, vision), {decoder, vision}
            release.callback(self._keep_kernels)
            self._keep_kernels()
            self._release = release.pop_all()

    def _keep_kernels(self) -> None:
        for plan in self._plans:
            plan.keep_kernels()

    def _used(self, plan: PlanEngine) -> None:
        """After its first use: some kernels may be compiled no sooner, and the process may end without closing."""
        if plan in self._unused:
            self._unused.remove(plan)
            plan.keep_kernels()


def _why_not(plans: PlanFiles, error: DeviceError) -> str:
    """With sizes beside it: most often memory is what is missing."""
    sizes = {path.name: path.stat().st_size for path in plans}
    named = " and ".join(f"{name} ({size_text(size)})" for name, size in sizes.items())
    return f"{named} cannot be loaded, with {size_text(free_memory())} of the device's memory free now: {error}"
