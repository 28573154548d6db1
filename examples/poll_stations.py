"""Read several stations in turn, as a MES does, and keep all values in SQLite. Ends with Ctrl-C.

python poll_stations.py readings.db 5 [STATION ...]

Every 5 seconds each station is asked once; the server fetches the pictures from the stations' cameras. Without names
it is every station that has one. What goes wrong at one station is a line on stderr, and the others go on.
"""

import contextlib
import http.client
import json
import os
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from typing import Any

URL = os.environ.get("EDGEVLM_URL", "http://127.0.0.1:8000")
HEADERS = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('EDGEVLM_KEY', 'none')}"}
KEYS = ("unit", "confidence", "reason")
TABLE = "readings (time INTEGER, station TEXT, name TEXT, value TEXT, unit TEXT, confidence REAL, reason TEXT)"


def call(path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, HEADERS), timeout=60) as reply:
        return json.load(reply)


def read(station: str) -> list[tuple[Any, ...]]:
    """A row for each field; values are JSON, so that numbers, texts and lists keep their kinds."""
    answer = call("/v1/readings", {"station": station})
    return [
        (answer["created"], station, one["name"], json.dumps(one["value"]), *(one[key] for key in KEYS))
        for one in answer["fields"]
    ]


def why(error: Exception) -> str:
    """In the server's own words, if it was the server that answered: a proxy in front of it has others."""
    if isinstance(error, urllib.error.HTTPError):
        with contextlib.suppress(ValueError, LookupError, TypeError):
            return str(json.load(error)["error"]["message"])
    return str(error)


def main(file: str, seconds: str, *stations: str) -> None:
    names = stations or [one["name"] for one in call("/v1/stations")["data"] if one["has_source"]]
    if not names:
        sys.exit("No station has a camera: name the stations, or give one a 'source'.")
    database = sqlite3.connect(file)
    database.execute(f"CREATE TABLE IF NOT EXISTS {TABLE}")
    while True:
        begun = time.monotonic()
        for station in names:
            try:
                with database:
                    database.executemany("INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?, ?)", read(station))
            except (OSError, ValueError, http.client.HTTPException) as error:
                print(station, why(error), file=sys.stderr, flush=True)
        time.sleep(max(0, begun + float(seconds) - time.monotonic()))


if __name__ == "__main__":
    main(*sys.argv[1:])
