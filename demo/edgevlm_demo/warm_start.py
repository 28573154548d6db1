"""Weights of an earlier run as the start of a new one whose vocabulary may differ. Knows no training."""

from __future__ import annotations

from pathlib import Path

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor

from edgevlm_demo.export import load_published
from edgevlm_demo.model import DemoModel

BY_PIECE = ("decoder.embed_tokens.weight", "lm_head.weight")  # [vocab, W]


def warm_start(model: DemoModel, vocabulary: Path, earlier: Path) -> None:
    """Copy a run's or a published checkpoint's weights; rows of a vocabulary go where the same piece stands now."""
    weights = _weights(earlier)
    known = {piece: row for row, piece in enumerate(_pieces(earlier / "tokenizer.model"))}
    pairs = [(row, known[piece]) for row, piece in enumerate(_pieces(vocabulary)) if piece in known]
    now, then = (torch.tensor(rows) for rows in zip(*pairs, strict=True))
    own = model.state_dict()
    for name in BY_PIECE:
        rows = own[name].clone()
        rows[now] = weights[name][then]
        weights[name] = rows
    model.load_state_dict(weights)


def _weights(earlier: Path) -> dict[str, Tensor]:
    state = earlier / "state.pt"
    weights: dict[str, Tensor] = (
        torch.load(state, weights_only=True)["model"] if state.exists() else load_published(earlier).state_dict()
    )
    return weights


def _pieces(model_file: Path) -> list[str]:
    processor = SentencePieceProcessor(model_file=str(model_file))
    return [processor.id_to_piece(row) for row in range(processor.vocab_size())]
