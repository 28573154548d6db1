"""What tests of readings ask: fields of every type, and how they are sent."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.live import LiveServer
from tests.pictures import data_url

Body = dict[str, Any]

EXAMPLES = Path(__file__).parents[4] / "examples"

LAMP: Body = {
    "name": "lamp",
    "question": "Which lamp is on?",
    "type": "choice",
    "choices": ["none", "red", "amber", "green", "blue"],
}
DISPLAY: Body = {"name": "display", "question": "What does the display read?", "type": "number"}
GAUGE: Body = {
    "name": "gauge",
    "question": "What does the gauge read?",
    "type": "number",
    "unit": "bar",
    "decimals": 1,
}
SERIAL: Body = {
    "name": "serial",
    "question": "What is the serial number on the label?",
    "type": "text",
    "pattern": "[0-9A-Z]{4,10}",
}
BOLTS: Body = {"name": "bolts", "question": "How many bolts are missing?", "type": "integer", "minimum": 0}
MISSING: Body = {"name": "missing", "question": "Is a bolt missing?", "type": "boolean"}
DEFECT: Body = {
    "name": "defect",
    "question": "Which defect does the plate have?",
    "type": "choice",
    "choices": ["scratch", "dent", "crack", "rust", "none"],
}
ALL = [LAMP, DISPLAY, GAUGE, SERIAL, BOLTS, MISSING, DEFECT]
TEXT: Body = {"name": "x", "question": "Q?", "type": "text"}
LONG: Body = {**TEXT, "pattern": "[a-z]{40}"}


def post(server: LiveServer, **body: Any) -> httpx.Response:
    return server.client.post("/v1/readings", json={"image": data_url(), **body})


def read(server: LiveServer, *fields: Body, **body: Any) -> Body:
    response = post(server, fields=fields, **body)
    assert response.status_code == 200, response.text
    found: Body = response.json()
    return found


def send(server: LiveServer, picture: str, accept: str = "*/*", **texts: str) -> httpx.Response:
    """As `curl -F image=@picture -F ...` does."""
    files = {"image": (picture, (EXAMPLES / picture).read_bytes())}
    return server.client.post("/v1/readings", files=files, data=texts, headers={"accept": accept})


def folder_of(path: Path, **stations: Any) -> Path:
    for name, station in stations.items():
        (path / f"{name}.json").write_text(json.dumps(station))
    return path
