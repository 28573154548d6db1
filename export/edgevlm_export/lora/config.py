"""What `adapter_config.json` says: by which factor each layer's update counts. Knows no tensors.

Every setting that changes the formula is either computed or refused by name; so is a setting that is not known here,
if it is switched on.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from edgevlm_export.checkpoint.json_keys import Keys, read_json

CONFIG = "adapter_config.json"

WITHOUT_EFFECT = {
    *("auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "peft_version", "revision"),
    *("task_type", "runtime_config"),
    # which layers were adapted; the tensors say so themselves
    *("target_modules", "exclude_modules", "modules_to_save", "layers_pattern"),
    # sizes and places for what is refused where it is used
    *("eva_config", "loftq_config", "megatron_core", "qalora_group_size"),
}
STARTS = (True, False, "gaussian", "orthogonal", "eva")
"""Values of `init_lora_weights` that leave the base as it is; the others train on a base that they have changed."""

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class LoraConfig:
    """Rank and alpha, with those of single layers by the end of their names."""

    rank: int
    alpha: float
    rslora: bool
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    all_layers: bool  # whether what is adapted in one decoder layer is adapted in all

    def rank_of(self, module: str) -> int:
        return _own(self.ranks, module, self.rank)

    def factor(self, module: str) -> float:
        """`alpha / rank`, or `alpha / sqrt(rank)` for rsLoRA."""
        rank = self.rank_of(module)
        return _own(self.alphas, module, self.alpha) / (math.sqrt(rank) if self.rslora else rank)


def load_lora_config(folder: Path) -> LoraConfig:
    """Raises `ConfigError`, naming file and key, for a variant that is not supported."""
    data = read_json(folder / CONFIG)
    keys = Keys(folder / CONFIG, data)
    keys.expect("peft_type", "LORA")
    keys.expect("bias", "none", "none")
    if keys.get("init_lora_weights", True) not in STARTS:
        raise keys.refusal("init_lora_weights", "such an adapter belongs to a changed base; save it as a plain LoRA")
    patterns = ("rank_pattern", "alpha_pattern")
    computed = {"r", "lora_alpha", "use_rslora", "layers_to_transform", *patterns}
    checked = {"peft_type", "bias", "init_lora_weights"}
    for key in data.keys() - computed - checked - WITHOUT_EFFECT:
        if keys.get(key) not in (None, False, {}, []):
            raise keys.refusal(key, "that variant of LoRA is not supported")
    ranks, alphas = (_pattern(keys, name) for name in patterns)
    return LoraConfig(
        rank=keys.size("r", 8),
        alpha=keys.number("lora_alpha", 8),
        rslora=_flag(keys, "use_rslora"),
        ranks={name: Keys(keys.path, ranks).size(name) for name in ranks},
        alphas={name: Keys(keys.path, alphas).number(name, 0) for name in alphas},
        all_layers=keys.get("layers_to_transform") is None,
    )


def _flag(keys: Keys, key: str) -> bool:
    value = keys.get(key, False)
    if not isinstance(value, bool):
        raise keys.refusal(key, "true or false is needed")
    return value


def _pattern(keys: Keys, key: str) -> dict[str, object]:
    """Names of layers, or ends of names; PEFT takes regular expressions too, but those of a file are not run here."""
    table = keys.get(key, {})
    if not isinstance(table, dict) or not all(re.fullmatch(r"[\w.]+", name) for name in table):
        raise keys.refusal(key, "names of layers are needed")
    return cast(dict[str, object], table)


def _own(values: Mapping[str, Number], module: str, default: Number) -> Number:
    """The first entry that the module's name ends with, as PEFT chooses."""
    return next((value for end, value in values.items() if f".{module}".endswith(f".{end}")), default)
