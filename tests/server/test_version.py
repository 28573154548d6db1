"""Which commit a checkout is of, read from its files as git itself writes them."""

import subprocess
from pathlib import Path

import pytest
from edgevlm_server import version
from edgevlm_server.version import checked_out, commit, described


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "line/one")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "first")
    return folder


def test_a_branch(repository: Path) -> None:
    assert checked_out(repository / ".git") == git(repository, "rev-parse", "HEAD")


def test_a_branch_whose_ref_was_packed(repository: Path) -> None:
    git(repository, "tag", "--annotate", "line", "--message", "tag")
    git(repository, "pack-refs", "--all")
    assert checked_out(repository / ".git") == git(repository, "rev-parse", "HEAD")


def test_a_detached_head(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    assert checked_out(repository / ".git") == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("pack", [False, True])
def test_a_worktree_has_a_commit_of_its_own(repository: Path, pack: bool) -> None:
    other = repository.with_name("other")
    git(repository, "worktree", "add", "--quiet", "-b", "other", str(other))
    git(other, "commit", "--quiet", "--allow-empty", "--message", "second")
    if pack:
        git(repository, "pack-refs", "--all")
    assert checked_out(other / ".git") == git(other, "rev-parse", "HEAD") != git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none", "ref: ../../secret", "0" * 39, b"\xff\xfe"])
def test_what_is_no_repository_or_damaged_has_none(tmp_path: Path, head: str | bytes) -> None:
    assert checked_out(tmp_path / ".git") is None
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(head if isinstance(head, bytes) else head.encode())
    assert checked_out(tmp_path / ".git") is None


def test_a_repository_without_commits_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert checked_out(tmp_path / ".git") is None


def test_what_an_image_was_built_from_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "HERE", tmp_path / "a" / "b" / "c")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    commit.cache_clear()
    try:
        assert commit() is None
        assert described() == version.version()
        commit.cache_clear()
        (tmp_path / "a" / "b" / "c" / "commit.txt").write_text("ab" * 20)
        assert commit() == "ab" * 20
        assert described() == f"{version.version()} (abababababab)"
    finally:
        commit.cache_clear()
