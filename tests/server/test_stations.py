"""Stations: files of fields that are checked at the start and read again when they have changed."""

import json
import logging
from pathlib import Path

import pytest
from edgevlm_server.images.hosts import ImageHosts
from edgevlm_server.reload import Reloader
from edgevlm_server.settings import Settings, SettingsError
from edgevlm_server.stations import Stations

from tests.server.http.readings.bodies import TEXT, Body, folder_of

GOOD: Body = {"fields": [TEXT]}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.json", "{", "It is not valid JSON in UTF-8."),
        ("a.json", "[]", "The body"),
        ("a.json", "{}", "fields: Field required."),
        ("a.json", json.dumps({"fields": [TEXT, TEXT]}), "fields: Each field must have a name of its own."),
        ("a.json", json.dumps({"fields": [{**TEXT, "pattern": "(?=a)"}]}), "fields.0: A regular expression"),
        ("a.json", json.dumps({"fields": [{**TEXT, "pattern": "[0-9"}]}), "compiled: unclosed character class."),
        ("a.json", json.dumps({"fields": [{**TEXT, "pattern": "\\bfoo"}]}), "compiled: "),
        ("a.json", json.dumps(GOOD)[:-1] + ', "min_confidence": 0.9, "min_confidence": 0.1}', "said twice"),
        ("a.json", json.dumps({**GOOD, "rotate": "north"}), "rotate: It must be a number of degrees"),
        ("a.json", json.dumps({**GOOD, "color": 1}), "'color' is not supported."),
        ("a.json", json.dumps({**GOOD, "source": "http://camera/x.jpg"}), "must be an address on a host of"),
        ("a.json", "x" * 2**19, "has more than"),
        ("a b.json", json.dumps(GOOD), "A station's name is"),
    ],
)
def test_a_station_that_cannot_be_used_is_one_sentence(tmp_path: Path, name: str, content: str, part: str) -> None:
    folder_of(tmp_path, good=GOOD)
    (tmp_path / name).write_text(content)
    with pytest.raises(SettingsError) as caught:
        Stations(tmp_path)
    assert str(tmp_path / name) in str(caught.value) and part in str(caught.value)


def test_a_source_must_be_a_listed_host(tmp_path: Path) -> None:
    folder_of(tmp_path, a={**GOOD, "source": "http://camera-1.local/x.jpg"})
    assert Stations(tmp_path, ImageHosts.parse("camera-1.local")).find("a")
    for hosts in (ImageHosts.parse("camera-2.local"), None):
        with pytest.raises(SettingsError, match="--image-hosts"):
            Stations(tmp_path, hosts)
    folder_of(tmp_path, a={**GOOD, "source": "http://user:secret@camera-1.local/x.jpg"})
    with pytest.raises(SettingsError, match="without a user name"):
        Stations(tmp_path, ImageHosts.parse("camera-1.local"))


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no folder of stations"):
        Stations.of(Settings(stations=tmp_path / "nowhere"))


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A link to itself stands for a share that is away, and for a folder of another user: root may list those."""
    folder = tmp_path / "stations"
    folder.mkdir()
    stations, reloader = Stations(folder_of(folder, a=GOOD)), Reloader()
    stations.watched_by(reloader)
    folder.rename(tmp_path / "away")
    folder.symlink_to(folder)
    for _ in range(2):
        for one in reloader._watched:
            one.look()
    assert [station.name for station in stations.all] == ["a"]
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "cannot be read" in said and "stay in use" in said
    with pytest.raises(SettingsError, match="cannot be read"):
        Stations(folder)


def test_stations_are_read_again_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stations, reloader = Stations(folder_of(tmp_path, a=GOOD)), Reloader()
    stations.watched_by(reloader)

    def names_after_a_look() -> list[str]:
        for one in reloader._watched:
            one.look()
        return [station.name for station in stations.all]

    folder_of(tmp_path, b=GOOD)
    assert names_after_a_look() == ["a", "b"]
    assert "Stations were read again: there are 2." in caplog.text
    (tmp_path / "c.json").write_text("{")
    (tmp_path / "a.json").unlink()
    assert names_after_a_look() == ["a", "b"]
    assert names_after_a_look() == ["a", "b"]
    [error] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert "c.json" in error.getMessage() and "The stations that were read before stay in use." in error.getMessage()
    (tmp_path / "c.json").unlink()
    assert names_after_a_look() == ["b"]
    # as an editor or a mount leaves them
    (tmp_path / ".b.json.swp.json").write_text("{")
    assert names_after_a_look() == ["b"]


def test_a_mounted_folder_changes_as_a_whole(tmp_path: Path) -> None:
    """Kubernetes sets one link anew, behind which all files are others."""
    for number, names in enumerate((["a"], ["a", "b"])):
        (tmp_path / f"..{number}").mkdir()
        folder_of(tmp_path / f"..{number}", **dict.fromkeys(names, GOOD))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "a.json").symlink_to("..data/a.json")
    stations, reloader = Stations(tmp_path), Reloader()
    stations.watched_by(reloader)
    (tmp_path / "new").symlink_to("..1")
    (tmp_path / "new").rename(tmp_path / "..data")
    (tmp_path / "b.json").symlink_to("..data/b.json")
    for one in reloader._watched:
        one.look()
    assert [station.name for station in stations.all] == ["a", "b"]
