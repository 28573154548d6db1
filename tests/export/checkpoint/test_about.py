"""What a model's maker says of it: read whole and strictly, or what holds for the published models."""

import json
import shutil
from pathlib import Path

import pytest
from edgevlm_demo import checkpoint_folder
from edgevlm_engines import About, read_manifest
from edgevlm_export.checkpoint.about import ABOUT, read_about
from edgevlm_export.errors import ConfigError
from edgevlm_export.exporter import export_bundle

from tests.conftest import GOLDEN

V2 = GOLDEN / "v2"


def written(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_published_checkpoints_have_none(tmp_path: Path) -> None:
    about = read_about(tmp_path)
    assert about == About()
    assert (about.refusal.text, about.confidence_temperature, about.writes_json) == ("Unanswerable", 1.0, True)
    assert "'Unanswerable'" in about.refusal.instruction


def test_the_demo_model_says_what_it_is() -> None:
    about = read_about(checkpoint_folder())
    assert about.description
    assert about.refusal.model_dump() == {"text": "I cannot see that in the image.", "instruction": ""}
    assert not about.writes_json


def test_a_file_of_its_own_goes_first(tmp_path: Path) -> None:
    written(tmp_path / ABOUT, {"description": "gauges"})
    other = written(tmp_path / "other.json", {"description": "labels"})
    assert read_about(tmp_path).description == "gauges"
    assert read_about(tmp_path, other).description == "labels"


def test_it_stands_in_the_bundle(tmp_path: Path) -> None:
    checkpoint = shutil.copytree(V2 / "checkpoint", tmp_path / "checkpoint")
    refusal = {"text": "No.", "instruction": ""}
    written(checkpoint / ABOUT, {"refusal": refusal, "confidence_temperature": 2})
    export_bundle(checkpoint, tmp_path / "bundle", vision_tower=V2 / "clip")
    about = read_manifest(tmp_path / "bundle").about
    assert (about.refusal.model_dump(), about.confidence_temperature, about.writes_json) == (refusal, 2.0, True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "does not hold a JSON object"),
        ("{", "does not hold a JSON object"),
        ({"descripton": "gauges"}, "cannot be used: descripton: Extra inputs are not permitted"),
        ({"description": 5}, "cannot be used: description: Input should be a valid string"),
        ({"description": "x" * 2001}, "description: String should have at most 2000 characters"),
        ({"refusal": {"text": "No."}}, r"refusal\.instruction: Field required"),
        ({"refusal": {"text": " ", "instruction": ""}}, r"refusal\.text: String should match"),
        ({"confidence_temperature": 0}, "confidence_temperature: Input should be greater than or equal to 0.05"),
        ('{"confidence_temperature": NaN}', "confidence_temperature: Input should be a finite number"),
        ({"confidence_temperature": "1"}, "confidence_temperature: Input should be a valid number"),
        ({"writes_json": "no"}, "writes_json: Input should be a valid boolean"),
    ],
)
def test_what_is_wrong_in_it_is_said(tmp_path: Path, content: object, sentence: str) -> None:
    path = written(tmp_path / ABOUT, content)
    with pytest.raises(ConfigError, match=sentence) as caught:
        read_about(tmp_path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.json cannot be read"):
        read_about(tmp_path, tmp_path / "absent.json")
