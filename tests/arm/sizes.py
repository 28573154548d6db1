"""Runs inside the root: `sizes.py BUNDLE MOST` prints what an engine holds for 1 to MOST slots, beside the plan."""

import json
import platform
import sys
from pathlib import Path

from edgevlm_engines import Demand, model_place, open_bundle, plan_memory
from edgevlm_engines.ort.engine import OrtEngine

LENGTH = 64
bundle = open_bundle(Path(sys.argv[1]))
found = []
for slots in range(1, int(sys.argv[2]) + 1):
    engine = OrtEngine(bundle, slots=slots, max_length=LENGTH)
    cache = engine._decoder.cache
    demand = Demand(slots=slots, max_length=LENGTH, image_cache=0, prefix_cache=0, queue=0, max_body=0)
    plan = plan_memory(bundle.manifest, demand, model_place("ort", "cpu", platform.machine()))
    held = sum(buffer.nbytes for buffer in cache._buffers)  # type: ignore[attr-defined]
    planned = plan.kv_cache * cache.shape[0] // held
    found.append({"asked": slots, "held": cache.shape[0], "planned": planned, "sizes": engine._sizes})
    engine.close()
print(json.dumps(found))
