"""What goes wrong between this machine and a hub, each in one sentence that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from huggingface_hub import constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from edgevlm.errors import CommandError
from edgevlm.hub.published import Repository

HTTP_UNAUTHORISED = 401
"""Also the hub's answer for a repository that does not exist."""
HTTP_FORBIDDEN = 403
HTTP_TIMEOUT = 408
HTTP_TOO_MANY = 429
HTTP_SERVER_ERROR = 500
"""And above: the hub's own trouble."""


class HubError(CommandError):
    """A checkpoint cannot be had from the hub, or is not what the hub says."""


class Unreachable(HubError):
    """The hub does not answer, or not with what it has: it may a little later."""


_TOKEN = "set HF_TOKEN to a token of an account that may read it."


@contextmanager
def explained(repository: Repository, folder: Path) -> Iterator[None]:
    """Turns what the hub's client raises into a `HubError`; `folder` is where the hub's cache keeps the model."""
    try:
        yield
    except OfflineModeIsEnabled:
        reason = "HF_HUB_OFFLINE forbids to fetch it"
        raise HubError(f"{repository.id} is not on this machine, and {reason}; {_copy(repository, folder)}") from None
    except httpx.TransportError as error:
        reason = f"{constants.ENDPOINT} cannot be reached ({str(error) or type(error).__name__})"
        raise Unreachable(
            f"{repository.id} is not on this machine, and {reason}; {_copy(repository, folder)}"
        ) from None
    except HfHubHTTPError as error:
        kind = Unreachable if passes(error.response.status_code) else HubError
        raise kind(_refusal(error, repository)) from None
    except OSError as error:
        raise HubError(
            f"{folder} cannot be written: {error.strerror or error}; HF_HUB_CACHE names another."
        ) from None


def passes(status: int) -> bool:
    """Whether the same request may be answered otherwise a little later."""
    return status in (HTTP_TIMEOUT, HTTP_TOO_MANY) or status >= HTTP_SERVER_ERROR


def _copy(repository: Repository, folder: Path) -> str:
    return (
        f"run 'edgevlm pull {repository.name}' on a machine with a network, and copy its folder {folder.name} to "
        f"{folder.parent} here."
    )


def _refusal(error: HfHubHTTPError, repository: Repository) -> str:
    hub, status = constants.ENDPOINT, error.response.status_code
    if isinstance(error, RevisionNotFoundError):
        return f"{hub} has no revision {repository.revision} of {repository.id}."
    if status == HTTP_TOO_MANY:
        after = error.response.headers.get("Retry-After", "")
        wait = f"wait {after} s" if after.isdecimal() else "wait some minutes"
        return f"{hub} takes no more requests for now; {wait}, and run the command again."
    if status in (HTTP_UNAUTHORISED, HTTP_FORBIDDEN):
        return f"{hub} does not give {repository.id} to everybody; {_TOKEN}"
    if isinstance(error, RepositoryNotFoundError):
        return f"{hub} does not know {repository.id}; check HF_ENDPOINT."
    return f"{hub} answers {status} for {repository.id}; run the command again later."
