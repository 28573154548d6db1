"""JSON files of a checkpoint: read with bounds, each value checked where it is taken. Knows no models."""

import json
from pathlib import Path
from typing import cast

from edgevlm_engines.regular_file import read_regular

from edgevlm_export.errors import ConfigError

_MAX_JSON_BYTES = 4 << 20
_MAX_SIZE = 1 << 24  # far beyond any real dimension, small enough that products of a few stay harmless


def read_json(path: Path) -> dict[str, object]:
    """The JSON object in a file. Raises ConfigError if it is missing, over 4 MiB, or not a JSON object."""
    try:
        text = read_regular(path, _MAX_JSON_BYTES)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ConfigError(f"{path} does not hold a JSON object.")
    return data


class Keys:
    """The keys of one JSON object and the file to name in errors; a null counts as absent."""

    def __init__(self, path: Path, data: dict[str, object]) -> None:
        self.path = path
        self._data = data

    def get(self, key: str, default: object = None) -> object:
        value = self._data.get(key)
        return default if value is None else value

    def refusal(self, key: str, wanted: str) -> ConfigError:
        value = self._data.get(key)
        shown = "an object or list" if isinstance(value, dict | list) else json.dumps(value)[:80]
        return ConfigError(f"{self.path}: {key} is {shown}, but {wanted}.")

    def expect(self, key: str, wanted: object, default: object = None) -> None:
        """Refuses any value but the one supported; `True == 1` in Python, so types count."""
        value = self.get(key, default)
        if type(value) is not type(wanted) or value != wanted:
            raise self.refusal(key, f"only {json.dumps(wanted)} is supported")

    def size(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        value = self.get(key, default)
        if type(value) is not int or not least <= value <= _MAX_SIZE:
            raise self.refusal(key, f"an integer of at least {least} is needed")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.get(key, default)
        if type(value) not in (int, float) or not 0 < cast(float, value) < 1e9:
            raise self.refusal(key, "a positive number is needed")
        return float(cast(float, value))

    def colour(self, key: str, default: list[float]) -> tuple[float, float, float]:
        match self.get(key, default):
            case [float(red), float(green), float(blue)] if all(0 < part < 1 for part in (red, green, blue)):
                return red, green, blue
        raise self.refusal(key, "three fractions between 0 and 1 (red, green, blue) are needed")

    def edge(self, key: str, default: int, names: tuple[str, ...]) -> int:
        """An integer in older files, an object with one edge or two equal ones in newer files."""
        value = self.get(key, default)
        if isinstance(value, dict) and sorted(value) == sorted(names) and len({*map(str, value.values())}) == 1:
            value = value[names[0]]
        if type(value) is not int:
            raise self.refusal(key, "one edge length in pixels is needed")
        return value
