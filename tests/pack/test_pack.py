"""`edgevlm pack` and `unpack`: what goes in comes out, and nothing is written that was not signed as it is."""

import filecmp
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from edgevlm_engines import open_bundle
from edgevlm_engines.bundle import file_digest

from edgevlm.cli import main

Bundles = Callable[[str], Path]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert main(["keys", "sign", str(tmp_path / "site")]) == 0
    return tmp_path / "site"


@pytest.fixture
def packed(tmp_path: Path, key: Path, bundles: Bundles) -> Path:
    file = tmp_path / "v2.pack"
    assert main(["pack", str(bundles("v2")), str(file), "--key", str(key)]) == 0
    return file


def unpacked(file: Path, key: Path) -> Path:
    """The folder, with the exit code asserted."""
    folder = file.with_name("there")
    assert main(["unpack", str(file), str(folder), "--key", f"{key}.pub"]) == 0
    return folder


def refused(file: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> str:
    folder = file.with_name("there")
    capsys.readouterr()
    before = sorted(file.parent.rglob("*"))
    assert main(["unpack", str(file), str(folder), "--key", str(key)]) == 1
    assert sorted(file.parent.rglob("*")) == before, "nothing is written"
    return capsys.readouterr().err


def test_the_bundle_comes_out_as_it_went_in(packed: Path, key: Path, bundles: Bundles) -> None:
    folder = unpacked(packed, key)
    assert open_bundle(folder).manifest.model == "v2"
    assert not filecmp.dircmp(bundles("v2"), folder).diff_files
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in bundles("v2").iterdir())
    assert (key.stat().st_mode & 0o777) == 0o600


def test_plans_wheels_and_an_image_travel_with_it(tmp_path: Path, key: Path, bundles: Bundles) -> None:
    plan = tmp_path / "plans" / ("a" * 24)
    plan.mkdir(parents=True)
    for name in ("plan.json", "decoder.plan", "vision.plan"):
        (plan / name).write_text(name)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "edgevlm-1-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "image.tar").write_bytes(b"image")
    given = ["--plans", tmp_path / "plans", "--wheels", tmp_path / "wheels", "--image", tmp_path / "image.tar"]
    file = tmp_path / "all.pack"
    assert main(["pack", str(bundles("v2")), str(file), "--key", str(key), *map(str, given)]) == 0
    folder = unpacked(file, key)
    assert (tmp_path / "there.plans" / plan.name / "decoder.plan").read_text() == "decoder.plan"
    assert (tmp_path / "there.wheels" / "edgevlm-1-py3-none-any.whl").read_bytes() == b"wheel"
    assert (tmp_path / "there.image" / "image.tar").read_bytes() == b"image"
    assert open_bundle(folder)


@pytest.mark.tools
def test_any_tar_reads_it_and_openssl_knows_its_signature(packed: Path, key: Path) -> None:
    with tarfile.open(packed) as archive:
        assert archive.getnames()[:3] == ["pack.json", "pack.sig", "bundle/decoder.data"]
        archive.extractall(packed.with_name("raw"), filter="data")
    raw = packed.with_name("raw")
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", f"{key}.pub"]
    subprocess.run(
        [*command, "-in", raw / "pack.json", "-sigfile", raw / "pack.sig"], check=True, capture_output=True
    )


def test_another_sites_key_is_refused(packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["keys", "sign", str(tmp_path / "other")])
    assert "was not signed with the key" in refused(packed, tmp_path / "other.pub", capsys)


@pytest.mark.parametrize("where", ["list", "signature", "first file", "last file"])
def test_one_changed_byte_is_noticed_before_anything_is_written(
    packed: Path, key: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(packed) as archive:
        members = archive.getmembers()
    number = {"list": 0, "signature": 1, "first file": 2, "last file": -1}[where]
    content = bytearray(packed.read_bytes())
    content[members[number].offset_data + 5] ^= 1
    packed.write_bytes(content)
    message = refused(packed, Path(f"{key}.pub"), capsys)
    assert ("was not signed" if number in (0, 1) else "is damaged") in message


@pytest.mark.parametrize("left", [0, 100, 1024, 100_000])
def test_a_pack_that_was_cut_off_is_refused(
    packed: Path, key: Path, left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    packed.write_bytes(packed.read_bytes()[:left])
    assert packed.name in refused(packed, Path(f"{key}.pub"), capsys)


def test_a_file_that_nobody_signed_is_noticed(packed: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(packed, "a") as archive:
        archive.add(key, "bundle/more")
    assert "is damaged" in refused(packed, Path(f"{key}.pub"), capsys)


def test_what_exists_is_not_overwritten_and_seen_first(
    packed: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed.with_name("there").mkdir()
    with tarfile.open(packed) as archive:
        first = archive.getmembers()[2].offset_data
    content = bytearray(packed.read_bytes())
    content[first] ^= 1
    packed.write_bytes(content)
    assert "already exists" in refused(packed, Path(f"{key}.pub"), capsys)


def test_a_full_disk_is_seen_first(
    packed: Path, key: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("edgevlm.pack.read.shutil.disk_usage", lambda path: usage._replace(free=10))
    assert "10 bytes are free" in refused(packed, Path(f"{key}.pub"), capsys)


def test_what_is_no_key_is_named(packed: Path, key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a public key" in refused(packed, key, capsys)
    assert "cannot be read" in refused(packed, packed.with_name("none"), capsys)


def test_a_damaged_bundle_is_not_packed(
    tmp_path: Path, key: Path, bundles: Bundles, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(bundles("v2"), tmp_path / "bundle")
    (bundle / "decoder.data").write_bytes(b"no")
    before = sorted(tmp_path.iterdir())
    assert main(["pack", str(bundle), str(tmp_path / "file"), "--key", str(key)]) != 0
    assert "decoder.data is damaged" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_what_can_be_seen_at_once_is_seen_before_the_bundle_is_read(
    tmp_path: Path, key: Path, bundles: Bundles, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(bundles("v2"), tmp_path / "bundle")
    (bundle / "decoder.data").write_bytes(b"no")
    command = ["pack", str(bundle), str(tmp_path / "file"), "--key"]
    assert main([*command, f"{key}.pub"]) == 1
    assert "is not a secret key" in capsys.readouterr().err
    (tmp_path / "file").write_text("of somebody else")
    assert main([*command, str(key)]) == 1
    assert "already exists" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "of somebody else"


def test_a_bundles_digests_are_those_that_its_manifest_was_checked_with(
    tmp_path: Path, key: Path, bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[str] = []

    def watched(path: Path) -> str:
        hashed.append(path.name)
        return file_digest(path)

    monkeypatch.setattr("edgevlm.pack.write.file_digest", watched)
    file = tmp_path / "v2.pack"
    assert main(["pack", str(bundles("v2")), str(file), "--key", str(key)]) == 0
    assert hashed == ["manifest.json"]
    assert open_bundle(unpacked(file, key))


def test_keys_are_not_overwritten(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = key.read_bytes()
    assert main(["keys", "sign", str(key)]) == 1
    assert f"{key} already exists" in capsys.readouterr().err
    assert key.read_bytes() == content


def test_no_secret_key_is_left_without_a_public_one(key: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key.unlink()
    assert main(["keys", "sign", str(key)]) == 1
    assert f"{key}.pub already exists" in capsys.readouterr().err
    assert not key.exists()
