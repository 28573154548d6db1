"""How much memory there is: /proc and control groups of both versions, as file trees."""

from pathlib import Path

import pytest
from edgevlm_engines import available_memory, installed_memory

KIB, MIB, GIB = 2**10, 2**20, 2**30
NO_LIMIT_V1 = "9223372036854771712"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with 8 GiB left, on which this process holds 50 MiB, outside of any group."""
    folder = tmp_path / "proc"
    write(
        folder / "meminfo",
        f"MemTotal: 16000000 kB\nMemFree: 100 kB\nMemAvailable: {8 * GIB // KIB} kB\nHugePages: 0\n",
    )
    write(folder / "self/status", f"Name:\tpython\nVmRSS:\t900000 kB\nRssAnon:\t{50 * KIB} kB\nRssFile:\t7 kB\n")
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def v2(folder: Path, limit: str, used: int, inactive: int = 0, active: int = 0) -> None:
    write(folder / "memory.max", f"{limit}\n")
    write(folder / "memory.current", f"{used}\n")
    write(folder / "memory.stat", f"anon 5\nfile 77\ninactive_file {inactive}\nactive_file {active}\n")


def v1(folder: Path, limit: str, used: int, inactive: int = 0, active: int = 0) -> None:
    write(folder / "memory.limit_in_bytes", f"{limit}\n")
    write(folder / "memory.usage_in_bytes", f"{used}\n")
    # those without "total" leave out groups inside
    lines = f"inactive_file 1\nactive_file 1\ntotal_inactive_file {inactive}\ntotal_active_file {active}\n"
    write(folder / "memory.stat", lines)


def member(proc: Path, *lines: str) -> None:
    write(proc / "self/cgroup", "".join(f"{line}\n" for line in lines))


def test_what_the_machine_has_left_and_what_the_process_holds(proc: Path, tmp_path: Path) -> None:
    assert available_memory(proc, tmp_path / "none") == 8 * GIB + 50 * MIB


def test_what_there_is_when_nothing_else_runs(proc: Path, tmp_path: Path) -> None:
    assert installed_memory(proc, tmp_path / "none") == 16_000_000 * KIB
    member(proc, "0::/pod/container")
    v2(tmp_path / "cgroup/pod", "max", 3 * GIB)
    v2(tmp_path / "cgroup/pod/container", str(4 * GIB), 3 * GIB)
    assert installed_memory(proc, tmp_path / "cgroup") == 4 * GIB


def test_a_system_without_proc_does_not_say(tmp_path: Path) -> None:
    assert available_memory(tmp_path / "proc", tmp_path / "cgroup") is None
    assert installed_memory(tmp_path / "proc", tmp_path / "cgroup") is None


def test_a_group_of_version_2(proc: Path, tmp_path: Path) -> None:
    member(proc, "0::/system.slice/edgevlm.service")
    v2(tmp_path / "cgroup/system.slice/edgevlm.service", str(4 * GIB), 3 * GIB, 512 * MIB, 256 * MIB)
    assert available_memory(proc, tmp_path / "cgroup") == GIB + 768 * MIB + 50 * MIB


def test_no_limit_is_none(proc: Path, tmp_path: Path) -> None:
    member(proc, "0::/a", "3:cpu,memory:/b")
    v2(tmp_path / "cgroup/a", "max", 3 * GIB)
    v1(tmp_path / "cgroup/memory/b", NO_LIMIT_V1, 3 * GIB)
    assert available_memory(proc, tmp_path / "cgroup") == 8 * GIB + 50 * MIB


def test_the_tightest_group_on_the_way_counts(proc: Path, tmp_path: Path) -> None:
    member(proc, "0::/outer/inner")
    v2(tmp_path / "cgroup/outer", str(2 * GIB), GIB)
    v2(tmp_path / "cgroup/outer/inner", str(3 * GIB), GIB)
    assert available_memory(proc, tmp_path / "cgroup") == GIB + 50 * MIB


def test_in_a_container_its_own_group_is_the_root(proc: Path, tmp_path: Path) -> None:
    member(proc, "0::/")
    v2(tmp_path / "cgroup", str(GIB), 100 * MIB)
    assert available_memory(proc, tmp_path / "cgroup") == GIB - 50 * MIB


@pytest.mark.parametrize("path", ["/../../outside", "/docker/0123456789ab"])
def test_a_way_that_cannot_be_seen_still_has_a_root(proc: Path, tmp_path: Path, path: str) -> None:
    member(proc, f"0::{path}")
    v2(tmp_path / "cgroup", str(GIB), 100 * MIB)
    assert available_memory(proc, tmp_path / "cgroup") == GIB - 50 * MIB


def test_a_group_of_version_1(proc: Path, tmp_path: Path) -> None:
    member(proc, "9:name=systemd:/", "4:memory:/docker/a:b", "3:cpuset:/", "0::/")
    v1(tmp_path / "cgroup/memory/docker/a:b", str(2 * GIB), GIB, 100 * MIB, 28 * MIB)
    assert available_memory(proc, tmp_path / "cgroup") == GIB + 128 * MIB + 50 * MIB


def test_a_group_above_its_limit_has_nothing_left(proc: Path, tmp_path: Path) -> None:
    member(proc, "0::/a")
    v2(tmp_path / "cgroup/a", str(GIB), 2 * GIB)
    assert available_memory(proc, tmp_path / "cgroup") == 50 * MIB


def test_the_smaller_of_machine_and_group(proc: Path, tmp_path: Path) -> None:
    member(proc, "0::/a")
    v2(tmp_path / "cgroup/a", str(100 * GIB), GIB)
    assert available_memory(proc, tmp_path / "cgroup") == 8 * GIB + 50 * MIB


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux tells")
def test_this_machine_says_something_sensible() -> None:
    available = available_memory()
    assert available is not None
    assert 10 * MIB < available < 2**50
