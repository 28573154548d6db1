"""Manifests of published shapes, with files of round sizes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import Manifest, read_manifest
from edgevlm_engines.manifest import Decoder, File, Vision

NO_DIGEST = "0" * 64


@pytest.fixture(scope="module")
def small(bundles: Callable[[str], Path]) -> Manifest:
    """The published 1.7B model's shape, in fp32 with files of round sizes."""
    return read_manifest(bundles("v2")).model_copy(
        update={
            "decoder": Decoder(
                hidden_size=2048,
                layers=24,
                heads=16,
                kv_heads=16,
                head_dim=128,
                intermediate_size=5632,
                vocab_size=32_000,
                rms_norm_eps=1e-6,
                rope_theta=10_000,
            ),
            "vision": Vision(
                hidden_size=1024, layers=23, heads=16, patch_size=14, projector="ldpnetv2", image_tokens=144
            ),
            "files": {
                "vision.data": File(size=1_000_000_000, sha256=NO_DIGEST),
                "decoder.data": File(size=5_000_000_000, sha256=NO_DIGEST),
                "embedding.npy": File(size=131_072_128, sha256=NO_DIGEST),
            },
        }
    )
