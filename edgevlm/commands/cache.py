"""`edgevlm cache`: what was made and kept, and what of it can go."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgevlm_server.settings import add_arguments as add_settings
from edgevlm_server.settings import from_arguments

from edgevlm.cli import EXIT_FAILED

if TYPE_CHECKING:
    from edgevlm_engines.plan_cache import Target

    from edgevlm.cache.entries import Entry

SHARED = ("plans",)
"""Settings of the server that say where its plans are, under the same names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="show what is cached, and whether this version can use it")
    pruned = actions.add_parser(
        "prune", help="remove what this version can never use, except what a running process uses"
    )
    for action in (listed, pruned):
        _add_where(action)
    pruned.add_argument("--all", action="store_true", help="also remove what this version can use")
    pruned.add_argument("--dry-run", action="store_true", help="only show what would be removed")


def _add_where(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "bundle",
        type=Path,
        nargs="?",
        help="bundle whose TensorRT plans are meant (default: everything in the user's cache)",
    )
    add_settings(action, SHARED)


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_engines.plan_cache import plan_folder

    from edgevlm.cache.entries import entries
    from edgevlm.cache.folder import cache_folder
    from edgevlm.cache.report import listed

    plans = from_arguments(arguments, names=SHARED).plans
    found = list(entries(arguments.bundle, plans, _target()))
    folder = cache_folder() if arguments.bundle is None else plan_folder(arguments.bundle, plans)
    if arguments.action == "list":
        print(listed(found, folder))
        return 0
    return _prune([entry for entry in found if entry.useless or arguments.all], folder, dry_run=arguments.dry_run)


def _prune(found: "Sequence[Entry]", folder: Path, *, dry_run: bool) -> int:
    from edgevlm.cache.prune import prune
    from edgevlm.cache.report import freed_text, outcome_text

    if not found:
        print(f"There is nothing to remove in {folder}.")
        return 0
    outcomes = []
    for outcome in prune(found, dry_run=dry_run):
        outcomes.append(outcome)
        print(outcome_text(outcome, folder, dry_run=dry_run), flush=True)
    print(freed_text(outcomes, dry_run=dry_run))
    return EXIT_FAILED if any(outcome.failed for outcome in outcomes) else 0


def _target() -> "Target | None":
    """What TensorRT plans would run on here, if anything."""
    from edgevlm_engines import EngineError
    from edgevlm_engines.trt.target import this_target

    try:
        return this_target()
    except EngineError:
        return None
