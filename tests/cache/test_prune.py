"""`edgevlm cache`: bundles that another version made go, what this one uses or somebody holds stays."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from edgevlm_engines.manifest import FORMAT
from edgevlm_export.bundle_writer import new_folder
from edgevlm_export.folder_lock import hold, unused
from edgevlm_server.version import version

from edgevlm.demo_bundle import demo_bundle
from tests.cache.conftest import Run, lines
from tests.manifests import change


def changed(bundle: Path, name: str, **fields: object) -> Path:
    """A copy with another manifest."""
    copy = shutil.copytree(bundle, bundle.with_name(name))
    change(copy, **fields)
    return copy


def test_an_empty_cache(run: Run, cache: Path) -> None:
    assert run("list") == f"{cache} is empty.\n"
    assert run("prune") == f"There is nothing to remove in {cache}.\n"


def test_what_this_version_made_is_of_use_to_it(run: Run, demo: Path, exported: Path) -> None:
    table = lines(run("list"))
    assert {name: (cells[0], cells[2], cells[4]) for name, cells in table.items()} == {
        demo.name: ("demo bundle", f"edgevlm {version()}, format {FORMAT}", "yes"),
        exported.name: ("bundle", f"edgevlm {version()}, format {FORMAT}", "yes"),
    }
    assert run("prune").startswith("There is nothing to remove")
    assert demo.exists() and exported.exists()


@pytest.mark.slow
def test_what_another_version_made_goes(run: Run, demo: Path, exported: Path) -> None:
    old = [
        changed(demo, "demo-0000000000000000", exporter="edgevlm 0.0.9"),
        changed(demo, "demo-1111111111111111"),
        changed(exported, "v2-0000000000000000", exporter="edgevlm 0.0.9"),
        changed(exported, "v2-1111111111111111", format=2),
        changed(exported, "v2-2222222222222222"),
        changed(exported, "v2-3333333333333333", decoder=None),
    ]
    (old[4] / "manifest.json").write_text("{")
    size = sum(path.stat().st_size for bundle in old for path in bundle.iterdir())
    table = lines(run("list"))
    assert [table[bundle.name][4] for bundle in old] == [
        "no: it was made by edgevlm 0.0.9",
        "no: it was made from another demo model",
        "no: it was made by edgevlm 0.0.9",
        f"no: it has format 2, and this version reads {FORMAT}",
        f"no: it has format unknown, and this version reads {FORMAT}",
        "no: its manifest is damaged",
    ]
    would = run("prune", "--dry-run")
    assert would.count("Would remove") == 6 and all(bundle.exists() for bundle in old)
    done = run("prune")
    assert done == would.replace("Would remove", "Removed").replace("Would free", "Freed")
    assert size > 2**20 and f"Freed {size / 2**20:.3g} MiB." in done
    assert sorted(path.name for path in demo.parent.iterdir()) == [demo.name, exported.name]


def test_what_was_left_unfinished_goes_and_what_is_being_written_stays(run: Run, cache: Path) -> None:
    left = cache / ".v2-0123456789abcdef.abc.partial"
    left.mkdir(parents=True)
    (left / "file").write_bytes(b"12345")
    with new_folder(cache / "v2-1111111111111111") as writing:
        done = run("prune")
        assert f"Kept {writing.name} (0 bytes): a running process uses it." in run("prune", "--all")
        assert writing.exists()
    assert not left.exists()
    assert f"Removed {left.name} (5 bytes): it was never finished." in done
    assert done.endswith("Freed 5 bytes.\n")


def test_all_leaves_nothing_but_what_a_process_holds(run: Run, demo: Path, exported: Path) -> None:
    with held_elsewhere(demo):
        done = run("prune", "--all")
        assert demo.exists() and not exported.exists()
        assert f"Kept {demo.name} " in done and "a running process uses it" in done
    run("prune", "--all")
    assert not demo.exists()


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[None]:
    code = "import sys; from pathlib import Path; from edgevlm_export.folder_lock import hold\n"
    code += f"hold(Path({str(folder)!r})); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


@pytest.mark.slow
def test_a_bundle_that_is_served_or_asked_is_held(demo: Path) -> None:
    code = "from edgevlm.demo_bundle import demo_bundle; demo_bundle(); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with unused(demo) as free:
            assert not free
        process.communicate(b"\n")
    with unused(demo) as free:
        assert free


def test_use_is_remembered(run: Run, demo: Path) -> None:
    os.utime(demo, (0, 0))
    assert lines(run("list"))[demo.name][3].startswith("1970-01-01")
    demo_bundle(demo.parent)
    assert not lines(run("list"))[demo.name][3].startswith("1970-01-01")


def test_holding_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    hold(tmp_path / "absent")
    with unused(tmp_path / "absent") as free:
        assert not free


def test_what_cannot_be_removed_is_said(run: Run, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "rmtree", refused)
    done = run("prune", "--all", code=1)
    assert "it cannot be removed: Permission denied" in done and done.endswith("Freed 0 bytes.\n")


def test_links_and_strange_folders_are_left_alone(run: Run, cache: Path, demo: Path, tmp_path: Path) -> None:
    (cache / "notes").mkdir()
    (cache / ".link.partial").symlink_to(demo.rename(tmp_path / "elsewhere"))
    assert run("prune", "--all").startswith("There is nothing to remove")
    assert (tmp_path / "elsewhere").exists() and (cache / "notes").exists()
