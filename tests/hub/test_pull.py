"""`edgevlm pull` against a mirror on loopback: what is fetched, taken up again, checked, refused, and said."""

import filecmp
import os
import shutil
from pathlib import Path

import pytest
from edgevlm_engines import NotNow, read_manifest
from edgevlm_export.bundle_writer import Progress
from edgevlm_server.settings import Settings
from huggingface_hub import constants

import edgevlm
from edgevlm.cli import main
from edgevlm.conversion import Conversion
from edgevlm.first_start import served_bundle
from edgevlm.hub.cache import repository_folder
from edgevlm.hub.download import ATTEMPTS
from edgevlm.hub.errors import HubError
from edgevlm.hub.published import CLIP, Published
from edgevlm.hub.pull import Pulled, pull
from tests.conftest import GOLDEN
from tests.hub.conftest import NEWEST_V1, V1, V2
from tests.hub.mirror import Mirror

WEIGHTS = "pytorch_model.bin"


def pulled(model: Published = V2, told: list[str] | None = None) -> Pulled:
    return pull(model, (told if told is not None else []).append, lambda title: Progress())


def refused(model: Published = V2) -> str:
    with pytest.raises(HubError) as error:
        pulled(model)
    return str(error.value)


def size(name: str = WEIGHTS) -> int:
    return (GOLDEN / "v2" / "checkpoint" / name).stat().st_size


@pytest.mark.slow
def test_what_an_export_needs_is_fetched_at_the_pinned_commit(mirror: Mirror) -> None:
    told: list[str] = []
    checkpoint, vision_tower = pulled(told=told)
    assert checkpoint.parts[-3:] == ("models--mtgv--MobileVLM_V2-1.7B", "snapshots", V2.checkpoint.revision)
    assert vision_tower is None
    fetched = {path.name for path in checkpoint.iterdir()}
    assert fetched == {path.name for path in mirror.folders[V2.checkpoint.id].iterdir()} - {"flax_model.msgpack"}
    for path in checkpoint.iterdir():
        assert path.is_symlink()
        assert filecmp.cmp(path, mirror.folders[V2.checkpoint.id] / path.name, shallow=False)
    assert not list(checkpoint.parents[1].glob("blobs/*.incomplete"))
    assert "KiB in 7 files from" in told[0]
    assert "Apache-2.0" in told[0]


@pytest.mark.slow
def test_v1_comes_with_its_vision_tower_and_keeps_what_the_branch_stood_for(mirror: Mirror) -> None:
    first = pulled(V1)
    assert first.checkpoint.name == NEWEST_V1
    assert first.vision_tower is not None
    assert first.vision_tower.name == CLIP.revision
    mirror.commits[V1.checkpoint.id] = "2" * 40
    assert pulled(V1) == first


def damage(file: Path) -> Path:
    """Another byte in the file that is linked to, at the same time as before."""
    blob = file.resolve()
    status = blob.stat()
    content = bytearray(blob.read_bytes())
    content[100] ^= 1
    blob.write_bytes(content)
    os.utime(blob, ns=(status.st_atime_ns, status.st_mtime_ns))
    return blob


@pytest.mark.slow
def test_what_is_here_is_not_asked_for_again_but_checked(mirror: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint, _ = pulled()
    before = len(mirror.requests)
    command = ["pull", V2.checkpoint.name]
    assert main(command) == 0
    assert str(checkpoint) in capsys.readouterr().out
    assert len(mirror.requests) == before
    blob = damage(checkpoint / WEIGHTS)
    assert main(command) == 1
    assert f"{blob} is damaged" in capsys.readouterr().err
    blob.unlink()
    assert main(command) == 0
    assert mirror.asked(WEIGHTS) == ["bytes=0-", "bytes=0-"]


@pytest.mark.slow
def test_only_the_command_reads_all_that_is_here(mirror: Mirror, tmp_path: Path) -> None:
    bundle = served_bundle(Path("MobileVLM-1.7B"), Settings(), Conversion(), tmp_path / "cache")
    checkpoint, _ = pulled(V1)
    damage(checkpoint / WEIGHTS)
    assert served_bundle(Path("MobileVLM-1.7B"), Settings(), Conversion(), tmp_path / "cache") == bundle


@pytest.mark.slow
def test_a_broken_connection_is_taken_up_where_it_broke(mirror: Mirror) -> None:
    mirror.break_after[WEIGHTS] = size() // 3
    pulled()
    assert mirror.asked(WEIGHTS) == [f"bytes={done}-" for done in range(0, size(), size() // 3)]


@pytest.mark.slow
def test_the_next_pull_goes_on_where_the_last_one_ended(mirror: Mirror) -> None:
    part = repository_folder(V2.checkpoint) / "blobs"
    mirror.break_after[WEIGHTS] = 0
    assert "cannot be reached" in refused()
    assert len(mirror.asked(WEIGHTS)) == ATTEMPTS
    mirror.break_after.clear()
    listed = mirror.listing(V2.checkpoint.id)["siblings"]
    assert isinstance(listed, list)
    digest = next(entry["lfs"]["sha256"] for entry in listed if entry["rfilename"] == WEIGHTS)
    (part / f"{digest}.incomplete").write_bytes((mirror.folders[V2.checkpoint.id] / WEIGHTS).read_bytes()[:1000])
    told: list[str] = []
    pulled(told=told)
    assert mirror.asked(WEIGHTS)[-1] == "bytes=1000-"
    assert "are here" in told[0]


@pytest.mark.slow
def test_a_server_without_ranges_is_read_from_the_start(mirror: Mirror) -> None:
    mirror.ranges = False
    mirror.break_after["tokenizer.model"] = 10
    assert "cannot be reached" in refused()
    mirror.break_after.clear()
    checkpoint, _ = pulled()
    assert filecmp.cmp(checkpoint / "tokenizer.model", GOLDEN / "v2/checkpoint/tokenizer.model", shallow=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_file_that_is_not_what_was_listed_never_enters_the_cache(mirror: Mirror, name: str) -> None:
    mirror.changed.add(name)
    assert f"is not what the hub lists as {name}" in refused()
    assert not list(repository_folder(V2.checkpoint).glob(f"snapshots/*/{name}"))
    mirror.changed.clear()
    checkpoint, _ = pulled()
    assert filecmp.cmp(checkpoint / name, mirror.folders[V2.checkpoint.id] / name, shallow=False)


@pytest.mark.slow
def test_a_hub_that_asks_to_wait_is_waited_for(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("edgevlm.hub.download.time.sleep", waited.append)
    mirror.refusals = [(429, {"Retry-After": "7"}), (503, {})]
    pulled()
    assert waited == [7.0, 2.0]


def test_a_hub_that_asks_to_wait_long_is_left_with_a_sentence(mirror: Mirror) -> None:
    mirror.refusals = [(429, {"Retry-After": "3600"})]
    assert refused().endswith("takes no more requests for now; wait 3600 s, and run the command again.")
    mirror.listing_refusals = [(429, {})]
    assert "wait some minutes" in refused()


@pytest.mark.slow
def test_a_key_is_sent_and_its_absence_explained(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.token = "secret"
    assert "HF_TOKEN" in refused()
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert pulled().checkpoint.is_dir()


def test_what_the_hub_does_not_have_is_named(mirror: Mirror) -> None:
    mirror.commits[V2.checkpoint.id] = "3" * 40
    assert f"has no revision {V2.checkpoint.revision}" in refused()
    del mirror.folders[V2.checkpoint.id]
    assert "does not know mtgv/MobileVLM_V2-1.7B" in refused()


def test_without_a_network_one_sentence_says_what_to_copy_where(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert main(["pull", "MobileVLM_V2-1.7B"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "run 'edgevlm pull MobileVLM_V2-1.7B' on a machine with a network" in said
    assert f"copy its folder models--mtgv--MobileVLM_V2-1.7B to {constants.HF_HUB_CACHE} here" in said


@pytest.mark.slow
def test_a_folder_that_was_copied_is_used_offline(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, _ = pulled(V1)
    elsewhere = shutil.copytree(constants.HF_HUB_CACHE, tmp_path / "elsewhere", symlinks=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(elsewhere))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert pulled(V1).checkpoint.name == checkpoint.name
    assert "HF_HUB_OFFLINE" in refused(V2)


def test_a_disk_that_is_full_is_seen_before_the_first_byte(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("edgevlm.hub.pull.shutil.disk_usage", lambda path: usage._replace(free=10))
    assert "10 bytes are free" in refused()
    assert [name for name, _ in mirror.requests] == ["listing"]


@pytest.mark.slow
def test_serve_fetches_and_exports_a_model_by_its_name(mirror: Mirror, tmp_path: Path) -> None:
    bundle = served_bundle(Path("MobileVLM-1.7B"), Settings(), Conversion(), tmp_path / "cache")
    assert read_manifest(bundle).model == "MobileVLM-1.7B"
    assert [source.name for source in read_manifest(bundle).sources] == ["MobileVLM-1.7B", CLIP.name]
    asked = len(mirror.requests)
    assert served_bundle(Path("mtgv/MobileVLM-1.7B"), Settings(), Conversion(), tmp_path / "cache") == bundle
    assert len(mirror.requests) == asked


@pytest.mark.slow
@pytest.mark.parametrize(("option", "precision"), [("load_8bit", "int8"), ("load_4bit", "int4")])
def test_one_call_converts_it_to_a_precision(
    mirror: Mirror, option: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    picture = GOLDEN / "v1" / "image.png"
    assert edgevlm.ask("MobileVLM-1.7B", picture, "What is it?", max_new_tokens=8, **{option: True})  # type: ignore[call-overload]
    [manifest] = (tmp_path / "edgevlm").glob("*/manifest.json")
    assert read_manifest(manifest.parent).precision == precision


def test_a_folder_of_that_name_comes_first(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(GOLDEN / "v2" / "checkpoint", tmp_path / "MobileVLM_V2-1.7B")
    monkeypatch.chdir(tmp_path)
    tower = Conversion(GOLDEN / "v2" / "clip")
    bundle = served_bundle(Path("MobileVLM_V2-1.7B"), Settings(), tower, tmp_path / "cache")
    assert read_manifest(bundle).model == "MobileVLM_V2-1.7B"
    assert not mirror.requests


@pytest.mark.slow
def test_two_pulls_at_once_fetch_once(mirror: Mirror) -> None:
    if (child := os.fork()) == 0:
        try:
            pulled()
        finally:
            os._exit(0)
    pulled()
    os.waitpid(child, 0)
    checkpoint, _ = pulled()
    assert filecmp.cmp(checkpoint / WEIGHTS, GOLDEN / "v2/checkpoint" / WEIGHTS, shallow=False)
    assert len(mirror.asked(WEIGHTS)) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502])
def test_a_hub_in_trouble_may_be_out_of_it_at_the_next_start(mirror: Mirror, status: int, tmp_path: Path) -> None:
    mirror.listing_refusals = [(status, {})] * 9
    with pytest.raises(NotNow):
        served_bundle(Path("MobileVLM_V2-1.7B"), Settings(), Conversion(), tmp_path)
