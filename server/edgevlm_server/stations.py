"""The folder of stations, one file each: read at start, and again when it changes. Knows no HTTP.

What is read while the server runs counts as a whole or not at all: beside a broken file, all stay as they were.
"""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

from edgevlm_server.api.stations import STATION_NAME, StationFault, parse_station
from edgevlm_server.images.formats.limits import USABLE
from edgevlm_server.images.hosts import ImageHosts, read_url
from edgevlm_server.readings.station import Station
from edgevlm_server.reload import Reloader
from edgevlm_server.settings import Settings, SettingsError

log = logging.getLogger(__name__)

MAX_STATIONS = 1000
MAX_BYTES = 2**18
"""Of one file."""


class Stations:
    """By their names; none without a folder."""

    def __init__(self, folder: Path | None = None, hosts: ImageHosts | None = None) -> None:
        """Raises `SettingsError` for a folder, or a file in it, that cannot be used."""
        self._folder = folder
        self._hosts = hosts
        self._stations = {} if folder is None else read_stations(folder, hosts)

    @classmethod
    def of(cls, settings: Settings) -> "Stations":
        """As it was asked for."""
        return cls(settings.stations, settings.image_hosts)

    def find(self, name: str) -> Station | None:
        """The station of this name."""
        return self._stations.get(name)

    @property
    def all(self) -> list[Station]:
        """In the order of their names."""
        return [station for _, station in sorted(self._stations.items())]

    def watched_by(self, reloader: Reloader) -> None:
        """Read the folder again while the server runs."""
        if (folder := self._folder) is not None:
            reloader.watch(lambda: station_files(folder), self.reload)

    def reload(self) -> None:
        """Take the stations that are in the folder now; those of before stay if one cannot be read."""
        assert self._folder is not None, "only a folder is watched"
        try:
            self._stations = read_stations(self._folder, self._hosts)
        except SettingsError as error:
            log.error("%s The stations that were read before stay in use.", error)
        else:
            log.info("Stations were read again: there are %d.", len(self._stations))


def station_files(folder: Path) -> list[Path]:
    """In the order of their names. Hidden ones are a mount's or an editor's own. Raises `OSError`."""
    # a glob takes a folder that may not be listed for an empty one
    return [folder / name for name in sorted(os.listdir(folder)) if name.endswith(".json") and name[0] != "."]


def read_stations(folder: Path, hosts: ImageHosts | None) -> Mapping[str, Station]:
    """Raises `SettingsError` with the file that is wrong."""
    try:
        files = station_files(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise SettingsError(f"{folder} is no folder of stations.") from None
    except OSError as error:
        raise SettingsError(f"{folder} cannot be read: {error.strerror}.") from None
    if len(files) > MAX_STATIONS:
        raise SettingsError(f"{folder} has more than {MAX_STATIONS} stations.")
    return {path.stem: _read(path, hosts) for path in files}


def _read(path: Path, hosts: ImageHosts | None) -> Station:
    if re.fullmatch(STATION_NAME, path.stem) is None:
        raise SettingsError(f"{path}: A station's name is 1 to 64 letters, digits, dots, dashes or underscores.")
    try:
        station = parse_station(path.stem, _content(path))
    except StationFault as error:
        raise SettingsError(f"{path}: {error}") from None
    if station.source is not None and read_url(station.source) is None:
        raise SettingsError(f"{path}: source: The address cannot be used: {USABLE}.")
    if station.source is not None and not _may_fetch(station.source, hosts):
        raise SettingsError(f"{path}: source: It must be an address on a host of --image-hosts.")
    return station


def _content(path: Path) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path):
        raise SettingsError(f"{path} is not a file.")  # a pipe would keep the server until someone writes
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_BYTES:
        raise SettingsError(f"{path} has more than {MAX_BYTES} bytes.")
    return content


def _may_fetch(source: str, hosts: ImageHosts | None) -> bool:
    target = read_url(source)
    return hosts is not None and target is not None and hosts.allow(target)
