"""Which edgevlm this is: its version, and the commit it was made from where that is known. Runs no git."""

import re
from functools import cache
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent

FILE = "commit.txt"
"""Beside this file, written when an image is built; a checkout has none."""

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@cache
def version() -> str:
    """As the package was installed, `0.2.0`."""
    return installed_version("edgevlm")


@cache
def commit() -> str | None:
    """The whole hash: of the image's build, else of the checkout that this file lies in."""
    return _hash(_text(HERE / FILE)) or checked_out(HERE.parents[1] / ".git")


def described() -> str:
    """Version and short commit for people, `0.2.0 (97eb585f3c1a)`."""
    return version() if (known := commit()) is None else f"{version()} ({known[:12]})"


def checked_out(git: Path) -> str | None:
    """The commit that HEAD of a repository names; `git` is its folder, or a worktree's file that names the folder."""
    if git.is_file():
        git = git.parent / _text(git).removeprefix("gitdir:").strip()
    head = _text(git / "HEAD")
    if not head.startswith("ref:"):
        return _hash(head)
    ref = head.removeprefix("ref:").strip()
    # a worktree has a HEAD of its own and shares branches with the repository that it belongs to
    shared = git / (_text(git / "commondir") or ".")
    return _hash(_text(shared / ref)) or _packed(_text(shared / "packed-refs"), ref)


def _packed(refs: str, ref: str) -> str | None:
    lines = (line.split() for line in refs.splitlines())
    return next((_hash(words[0]) for words in lines if words[1:] == [ref]), None)


def _hash(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""
