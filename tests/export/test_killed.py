"""An export that is killed leaves a whole bundle or none, and what it leaves beside that goes at the next start."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from edgevlm_engines import open_bundle
from edgevlm_export.bundle_writer import new_folder, scratch_folder
from edgevlm_export.errors import ExportError
from edgevlm_export.exporter import export_bundle
from edgevlm_export.unfinished import SUFFIX, is_unfinished, remove_left, unfinished_folder
from edgevlm_server.settings import Settings

from edgevlm.first_start import Conversion, served_bundle
from tests.conftest import GOLDEN

V2 = GOLDEN / "v2"

KILLED = """
import os, signal, sys
from pathlib import Path
from edgevlm_export.exporter import export_bundle

checkpoint, tower, target = map(Path, sys.argv[1:])
events = 0

def count(event, arguments):
    # each time the export opens, makes, renames or removes something in the folder where it writes
    global events, die_at
    if arguments and str(arguments[0]).startswith(str(target.parent)):
        events += 1
        if events == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

die_at = 0
while True:
    die_at += 1
    if not (child := os.fork()):
        sys.addaudithook(count)
        export_bundle(checkpoint, target, vision_tower=tower)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
    sys.stdin.readline()
"""


def left(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(SUFFIX)]


@pytest.mark.slow
def test_killed_at_any_step_it_leaves_a_whole_bundle_or_none(tmp_path: Path) -> None:
    """At each file that it touches: what was left is removed by the next one, which is killed a step later."""
    target = tmp_path / "out" / "bundle"
    command: list[str | Path] = [sys.executable, "-c", KILLED, V2 / "checkpoint", V2 / "clip", target]
    most = whole = absent = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        for code in map(int, process.stdout):
            if target.exists():
                open_bundle(target)
                whole += 1
                break
            absent += code == -signal.SIGKILL
            most = max(most, len(left(target.parent)) if target.parent.exists() else 0)
            process.stdin.write("\n")
            process.stdin.flush()
        process.kill()
    assert whole == 1 and absent > 10
    assert most == 1, "each start removes what the one before has left"
    with pytest.raises(ExportError, match="already exists"):
        export_bundle(V2 / "checkpoint", target, vision_tower=V2 / "clip")
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def killed(target: Path) -> Path:
    """What a process that is gone has left of `target`."""
    path = target.with_name(f".{target.name}.0a_b1c2d{SUFFIX}")
    path.mkdir(parents=True)
    (path / "decoder.data").write_bytes(b"half")
    return path


@pytest.mark.parametrize("writing", [new_folder, scratch_folder])
def test_what_is_being_written_stays_and_what_nobody_holds_goes(
    tmp_path: Path, writing: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    target = tmp_path / "bundle"
    gone, others = killed(target), killed(tmp_path / "bundle2")
    with unfinished_folder(target) as held, writing(target) as mine:
        assert held.exists() and mine.exists()
        assert not gone.exists()
        remove_left(tmp_path, target.name)
        assert held.exists() and mine.exists()
    assert others.exists(), "it is not this one's to remove"
    assert not held.exists()


def test_what_is_left_goes_even_where_the_bundle_is_there(tmp_path: Path) -> None:
    gone = killed(tmp_path / "bundle")
    (tmp_path / "bundle").mkdir()
    with pytest.raises(ExportError, match="already exists"), new_folder(tmp_path / "bundle"):
        pass
    assert not gone.exists()


def test_a_folder_that_another_took_for_one_that_is_left_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tempfile.mkdtemp
    made: list[str] = []

    def mkdtemp(**options: Any) -> str:
        """The first folder is gone before it is held."""
        made.append(real(**options))
        if len(made) == 1:
            remove_left(tmp_path)
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with new_folder(tmp_path / "bundle") as folder:
        (folder / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert len(made) == 2


@pytest.mark.parametrize(
    ("name", "target", "is_one"),
    [
        (".bundle.0a_b1c2d.partial", "bundle", True),
        (".bundle.0a_b1c2d.partial", None, True),
        (".a.b.0a_b1c2d.partial", "a.b", True),
        (".a.b.0a_b1c2d.partial", "a", False),
        ("bundle.0a_b1c2d.partial", None, False),
        (".bundle.partial", None, False),
        (".bundle.0a_b1c2d.partial.old", None, False),
    ],
)
def test_only_its_own_names_are_taken_for_left(name: str, target: str | None, is_one: bool) -> None:
    assert is_unfinished(Path("somewhere") / name, target) == is_one


def test_links_and_files_of_such_names_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / f".a.b{SUFFIX}").symlink_to(tmp_path / "mine")
    (tmp_path / f".c.d{SUFFIX}").touch()
    remove_left(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    remove_left(tmp_path / "absent")


def test_a_server_removes_what_is_left_of_its_bundle(tmp_path: Path) -> None:
    gone, others = killed(tmp_path / "bundle"), killed(tmp_path / "other")
    assert served_bundle(tmp_path / "bundle", Settings(), Conversion()) == tmp_path / "bundle"
    assert not gone.exists() and others.exists()


def test_and_in_its_cache_whatever_nobody_is_writing(tmp_path: Path, demo_model: Path) -> None:
    cache = tmp_path / "cache"
    gone = killed(cache / "MobileVLM-0123456789abcdef")
    (cache / demo_model.name).symlink_to(demo_model)
    with unfinished_folder(cache / "other") as held:
        assert served_bundle(None, Settings(), Conversion(), cache) == cache / demo_model.name
        assert held.exists() and not gone.exists()
