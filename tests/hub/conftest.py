"""A mirror of two repositories with golden checkpoints in them, and an empty cache of a hub."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from edgevlm.hub.published import CLIP, MODELS
from tests.conftest import GOLDEN
from tests.hub.mirror import Mirror, running

V1, V2 = MODELS["MobileVLM-1.7B"], MODELS["MobileVLM_V2-1.7B"]
NEWEST_V1 = "1" * 40


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    v2 = shutil.copytree(GOLDEN / "v2" / "checkpoint", tmp_path / "v2")
    (v2 / "README.md").write_text("licence: apache-2.0\n")
    (v2 / "flax_model.msgpack").write_bytes(b"of no use here")
    folders = {
        V2.checkpoint.id: v2,
        V1.checkpoint.id: GOLDEN / "v1" / "checkpoint",
        CLIP.id: GOLDEN / "v1" / "clip",
    }
    commits = {
        V2.checkpoint.id: V2.checkpoint.revision,
        V1.checkpoint.id: NEWEST_V1,
        CLIP.id: CLIP.revision,
    }
    with running(folders, commits) as mirror:
        # these are read from the environment when the library is imported
        monkeypatch.setattr(constants, "ENDPOINT", mirror.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", mirror.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr("edgevlm.hub.download.time.sleep", lambda seconds: None)
        yield mirror
        close_session()
