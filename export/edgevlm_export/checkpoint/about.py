"""What a model's maker says of it: `edgevlm.json`, beside the weights or given apart. Knows no weights."""

import json
from pathlib import Path

from edgevlm_engines.manifest import About, faults

from edgevlm_export.checkpoint.json_keys import read_json
from edgevlm_export.errors import ConfigError

ABOUT = "edgevlm.json"


def read_about(checkpoint: Path, named: Path | None = None) -> About:
    """From the file `named`, else from the checkpoint's own; without one, what holds for the published models.

    Raises `ConfigError`, naming file and field.
    """
    path = named or checkpoint / ABOUT
    if named is None and not path.exists():
        return About()
    content = read_json(path)
    with faults(lambda fault: ConfigError(f"{path} cannot be used: {fault}.")):
        return About.model_validate_json(json.dumps(content), strict=True)
