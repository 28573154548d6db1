"""`edgevlm serve` on a checkpoint: exported once into the cache, again when something changes, or refused."""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from edgevlm_engines import BundleError, EngineLoadError, Unreadable, read_manifest
from edgevlm_engines.bundle import file_digest
from edgevlm_export.calibrate.groups import Group
from edgevlm_export.calibrate.search import Finding
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings

from edgevlm.cli import main
from edgevlm.conversion import Conversion
from edgevlm.first_start import loaded, served_bundle
from tests.conftest import GOLDEN
from tests.export.lora.adapters import drawn, write_adapter

V2 = Conversion(vision_tower=GOLDEN / "v2" / "clip")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return shutil.copytree(GOLDEN / "v2" / "checkpoint", tmp_path / "tiny")


def served(checkpoint: Path, conversion: Conversion = V2) -> Path:
    return served_bundle(checkpoint, Settings(), conversion, checkpoint.with_name("cache"))


def test_it_is_exported_once_as_the_export_does_it(checkpoint: Path) -> None:
    first = served(checkpoint)
    written = (first / "manifest.json").stat().st_mtime_ns
    assert served(checkpoint) == first
    assert (first / "manifest.json").stat().st_mtime_ns == written
    manifest = read_manifest(first)
    assert (manifest.model, manifest.device, manifest.precision, manifest.vision_precision) == (
        "tiny",
        "cpu",
        "int8",
        "fp32",
    )


def test_other_files_and_other_precisions_are_other_bundles(checkpoint: Path) -> None:
    first = served(checkpoint)
    other = served(checkpoint, Conversion(V2.vision_tower, "fp32"))
    os.utime(checkpoint / "config.json", (0, 0))
    assert len({first, other, served(checkpoint)}) == 3
    assert read_manifest(other).precision == "fp32"


def test_what_is_no_file_of_it_changes_nothing(checkpoint: Path) -> None:
    """Folders that tools keep beside it, and a link that leads nowhere."""
    (checkpoint / "runs").mkdir()
    first = served(checkpoint)
    os.utime(checkpoint / "runs", (0, 0))
    (checkpoint / "model.safetensors.old").symlink_to("nowhere")
    assert served(checkpoint) == first


def test_what_is_said_of_it_counts(checkpoint: Path, tmp_path: Path) -> None:
    about = tmp_path / "about.json"
    about.write_text('{"description": "gauges"}')
    told = served(checkpoint, replace(V2, about=about))
    assert [read_manifest(one).about.description for one in (served(checkpoint), told)] == ["", "gauges"]
    about.write_text('{"description": 5}')
    with pytest.raises(EngineLoadError, match=r"about\.json cannot be used: description"):
        served(checkpoint, replace(V2, about=about))


def test_a_linked_snapshot_is_served_under_its_repositorys_name(checkpoint: Path) -> None:
    snapshot = checkpoint.with_name("hub") / "models--mtgv--MobileVLM_V2-1.7B" / "snapshots" / ("0" * 40)
    blobs = checkpoint.rename(checkpoint.with_name("blobs"))
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(blob)
    checkpoint.symlink_to(snapshot)
    bundle = served(checkpoint)
    assert bundle.name.startswith("MobileVLM_V2-1.7B-")
    manifest = read_manifest(bundle)
    assert (manifest.model, manifest.sources[0].name) == ("MobileVLM_V2-1.7B", "MobileVLM_V2-1.7B")


def test_an_adapter_is_merged_and_its_files_count(checkpoint: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", drawn())
    one, half = (served(checkpoint, replace(V2, lora=((adapter, scale),))) for scale in (1.0, 0.5))
    assert [source.name for source in read_manifest(half).sources] == ["tiny", "adapter:0.5"]
    os.utime(adapter / "adapter_config.json", (0, 0))
    assert len({served(checkpoint), one, half, served(checkpoint, replace(V2, lora=((adapter, 1.0),)))}) == 4
    with pytest.raises(EngineLoadError, match=r"adapter_config\.json cannot be read"):
        served(checkpoint, replace(V2, lora=((tmp_path / "absent", 1.0),)))


@pytest.mark.slow
def test_an_encoder_in_int8_is_looked_at_first(
    checkpoint: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversion = replace(V2, vision_precision="int8")
    with monkeypatch.context() as patch:
        patch.setattr("edgevlm.accuracy.calibration.find_spec", lambda name: None)
        with pytest.raises(EngineLoadError, match=r"ONNX Runtime is needed: install the 'cpu' extra"):
            served(checkpoint, conversion)
    with caplog.at_level(logging.INFO):
        assert read_manifest(served(checkpoint, conversion)).vision_precision == "int8"
    assert "Calibrated: scales for 6 of 8 rounded matmuls." in caplog.text
    assert {path.suffix for path in checkpoint.with_name("cache").iterdir()} <= {"", ".lock"}


@pytest.mark.slow
def test_where_no_scale_helps_there_is_nothing_to_say(
    checkpoint: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def helpless(model: object, chosen: list[Group], *others: object) -> list[Finding]:
        return [Finding(group, 0, 0, None) for group in chosen]

    monkeypatch.setattr("edgevlm.accuracy.calibration.find", helpless)
    with caplog.at_level(logging.INFO):
        served(checkpoint, replace(V2, vision_precision="int8"))
    assert "Exporting" in caplog.text
    assert "Calibrated" not in caplog.text


def test_what_was_damaged_or_left_by_a_crash_is_made_again(checkpoint: Path) -> None:
    first = served(checkpoint)
    (first / "decoder.data").write_bytes(b"")
    left = first.with_name(f".{first.name}.abc.partial")
    left.mkdir()
    assert served(checkpoint) == first
    assert (first / "decoder.data").stat().st_size > 0
    assert not left.exists()


def test_what_cannot_be_read_is_not_taken_for_damaged(checkpoint: Path) -> None:
    """A link to itself stands for a disk that fails."""
    first = served(checkpoint)
    (first / "decoder.data").unlink()
    (first / "decoder.data").symlink_to("decoder.data")
    with pytest.raises(Unreadable, match=r"decoder\.data cannot be read"):
        served(checkpoint)
    assert (first / "embedding.npy").exists()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_cached_bundle_is_hashed_once_a_start_and_made_again_where_a_bit_is_wrong(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings, hashed = Settings(engine="echo"), Counter[str]()

    def counted(path: Path, progress: Callable[[int], None]) -> str:
        hashed[path.name] += 1
        return file_digest(path, progress)

    def start(named: Path) -> None:
        find = partial(served_bundle, named, settings, V2, checkpoint.with_name("cache"))
        loaded(find, named, partial(load_model, settings=settings)).engine.close()

    bundle = served(checkpoint)
    monkeypatch.setattr("edgevlm_engines.bundle.file_digest", counted)
    monkeypatch.setattr("edgevlm_server.model.QUIET_SECONDS", 0)
    with caplog.at_level(logging.INFO):
        start(checkpoint)
    assert set(hashed.values()) == {1}
    assert f"Verifying {bundle}: " in caplog.text
    flip_a_bit(bundle / "decoder.data")
    start(checkpoint)
    assert "The cached bundle is made again: " in caplog.text
    flip_a_bit(bundle / "decoder.data")
    with pytest.raises(BundleError, match=r"decoder\.data is damaged"):
        start(bundle)
    assert bundle.exists(), "what was named is not ours to remove"


def test_a_name_that_is_nothing_is_answered_with_the_names_that_are(tmp_path: Path) -> None:
    with pytest.raises(EngineLoadError, match=r"^MobileVLM-2B is not a bundle: .* published models are MobileVLM-1"):
        served_bundle(Path("MobileVLM-2B"), Settings(), Conversion())
    assert served_bundle(tmp_path / "absent", Settings(), Conversion()) == tmp_path / "absent"


def test_a_bundle_is_served_as_it_is(tmp_path: Path) -> None:
    assert served_bundle(tmp_path, Settings(), Conversion()) == tmp_path


def test_a_cache_that_cannot_be_written_is_one_sentence(checkpoint: Path) -> None:
    checkpoint.with_name("cache").write_text("")
    with pytest.raises(
        EngineLoadError, match=r"cannot be written: .*; make it writable, or serve a bundle made with"
    ):
        served(checkpoint)


def test_a_full_disk_is_found_out_before_the_work(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(checkpoint)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(EngineLoadError, match="and 1000 bytes are free there; make room"):
        served(checkpoint)
    assert not list(checkpoint.with_name("cache").glob("*tiny*"))


def test_options_that_would_do_nothing_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ([], [str(tmp_path)]):
        assert main(["serve", *model, "--precision", "int8"]) == 78
        assert "say how a checkpoint is converted" in capsys.readouterr().err
