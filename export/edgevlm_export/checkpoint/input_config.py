"""How text and pictures reach the model, as the files beside its weights say. Knows no weights and no shapes."""

from dataclasses import dataclass
from pathlib import Path

from edgevlm_export.checkpoint.json_keys import Keys, read_json

_CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
_CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


@dataclass(frozen=True)
class Preprocessing:
    """How a square RGB image becomes pixels: bicubic to `image_size`, then (value / 255 - mean) / std."""

    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def load_preprocessing(tower: Path | None, image_size: int) -> Preprocessing:
    """What `preprocessor_config.json` of the CLIP folder says, or CLIP's constants where it is absent.

    `image_size` (pixels) is the tower's. Raises ConfigError, naming the key, for steps other than CLIP's.
    """
    path = (tower or Path()) / "preprocessor_config.json"
    keys = Keys(path, read_json(path) if tower and path.is_file() else {})
    for step in ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"):
        keys.expect(step, True, True)
    keys.expect("resample", 3, 3)
    if abs(keys.number("rescale_factor", 1 / 255) - 1 / 255) > 1e-9:
        raise keys.refusal("rescale_factor", "only 1/255 is supported")
    for key, names in (("size", ("shortest_edge",)), ("crop_size", ("height", "width"))):
        if keys.edge(key, image_size, names) != image_size:
            raise keys.refusal(key, f"the vision tower takes {image_size} pixels")
    return Preprocessing(image_size, keys.colour("image_mean", _CLIP_MEAN), keys.colour("image_std", _CLIP_STD))


def tokenizer_is_legacy(checkpoint: Path) -> bool:
    """The tokenizer's `legacy` flag: whether text after a special token gets a dummy space; absent: true."""
    path = checkpoint / "tokenizer_config.json"
    keys = Keys(path, read_json(path) if path.is_file() else {})
    keys.expect("add_bos_token", True, True)
    keys.expect("add_eos_token", False, False)
    legacy = keys.get("legacy", True)
    if not isinstance(legacy, bool):
        raise keys.refusal("legacy", "true or false is needed")
    return legacy
