"""The API key in a file that `--key-file` names. Knows no server."""

from pathlib import Path

from edgevlm.errors import CommandError


def read_key(file: Path) -> str:
    """Without the space around it. Raises `CommandError` for what cannot be read as text."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CommandError(f"{file} cannot be read: {reason}.") from None
