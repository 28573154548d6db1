"""The published checkpoints by their short names. Reads no files and asks nobody."""

import os
from pathlib import Path
from typing import NamedTuple

NEWEST = "main"
"""In place of a commit that is not known here: what the hub has at the first pull, and then no longer changes."""


class Repository(NamedTuple):
    """One on the hub: `OWNER/NAME`, the commit that is taken, what its owner says of rights, and small files that an
    export cannot do without."""

    id: str
    revision: str
    licence: str
    needed: tuple[str, ...] = ("config.json", "tokenizer.model")

    @property
    def name(self) -> str:
        return self.id.partition("/")[2]


class Published(NamedTuple):
    """A model: its own repository, and the one of its vision tower where the weights of that are elsewhere."""

    checkpoint: Repository
    vision_tower: Repository | None


CLIP = Repository(
    "openai/clip-vit-large-patch14-336",
    "ce19dc912ca5cd21c8a653c79e251e808ccabcd1",
    "see its model card, which says what uses OpenAI holds to be out of scope",
    ("config.json",),
)
_APACHE = "Apache-2.0, as its page says"
_VICUNA = f"{_APACHE}; its language model began as Vicuna, which is under the licence of Llama 2"

MODELS = {
    model.checkpoint.name: model
    for model in (
        Published(Repository("mtgv/MobileVLM-1.7B", NEWEST, _APACHE), CLIP),
        Published(Repository("mtgv/MobileVLM-3B", NEWEST, _APACHE), CLIP),
        Published(Repository("mtgv/MobileVLM_V2-1.7B", "9a5b623a83feae6a6b2ecad7a843334ccc119ce1", _APACHE), None),
        Published(Repository("mtgv/MobileVLM_V2-3B", "a985787d31160f7f847cdb88a59e6954bbc421aa", _APACHE), None),
        Published(Repository("mtgv/MobileVLM_V2-7B", NEWEST, _VICUNA), None),
    )
}


def published(named: str | Path | None) -> Published | None:
    """The model of that name, with or without its owner; `None` for any other name, and for what exists here."""
    if named is None or os.path.exists(named):
        return None
    wanted = str(named).removeprefix("mtgv/").lower()
    return next((model for name, model in MODELS.items() if name.lower() == wanted), None)
