"""Weights of an earlier run as the start of a new one whose vocabulary may differ. Knows no training."""

from __future__ import annotations

from pathlib import Path

import torch
from sentencepiece import SentencePieceProcessor
from torch import Tensor

from .model import DemoModel

BY_PIECE = ("decoder.embed_tokens.weight", "lm_head.weight")  # [vocab, W]


def warm_start(model: DemoModel, vocabulary: Path, earlier: Path) -> None:
    """Copy `earlier/state.pt` into the model; rows of a vocabulary go where the same piece stands now."""
    weights: dict[str, Tensor] = torch.load(earlier / "state.pt", weights_only=True)["model"]
    known = {piece: row for row, piece in enumerate(_pieces(earlier / "tokenizer.model"))}
    pairs = [(row, known[piece]) for row, piece in enumerate(_pieces(vocabulary)) if piece in known]
    now, then = (torch.tensor(rows) for rows in zip(*pairs, strict=True))
    own = model.state_dict()
    for name in BY_PIECE:
        rows = own[name].clone()
        rows[now] = weights[name][then]
        weights[name] = rows
    model.load_state_dict(weights)


def _pieces(model_file: Path) -> list[str]:
    processor = SentencePieceProcessor(model_file=str(model_file))
    return [processor.id_to_piece(row) for row in range(processor.vocab_size())]
