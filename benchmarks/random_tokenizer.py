"""A SentencePiece vocabulary of a given size that stands in for LLaMA's: any text becomes tokens of it.

Bytes make every text possible, single characters and short runs of letters make its length in tokens plausible.
"""

import itertools
import string
from collections.abc import Iterator
from typing import Any

from sentencepiece import sentencepiece_model_pb2

# its classes are made when it is imported, out of sight of a type checker
PROTOCOL: Any = sentencepiece_model_pb2
SPACE = "\u2581"
"""SentencePiece's mark for a space."""


def tokenizer_model(size: int) -> bytes:
    """The file `tokenizer.model` with `size` pieces: BPE with byte fallback, LLaMA's special ids."""
    model = PROTOCOL.ModelProto()
    for piece, kind in itertools.islice(_pieces(model.SentencePiece), size):
        # in BPE a higher score is merged first: earlier pieces are shorter, and every merge's parts come before it
        model.pieces.add(piece=piece, score=-len(model.pieces), type=kind)
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.trainer_spec.vocab_size = size
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.pad_id = -1
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.remove_extra_whitespaces = False
    return bytes(model.SerializeToString())


def _pieces(kinds: Any) -> Iterator[tuple[str, int]]:
    """Piece and type, in the order of their ids."""
    yield "<unk>", kinds.UNKNOWN
    yield "<s>", kinds.CONTROL
    yield "</s>", kinds.CONTROL
    for byte in range(256):
        yield f"<0x{byte:02X}>", kinds.BYTE
    for character in SPACE + string.ascii_letters + string.digits + string.punctuation:
        yield character, kinds.NORMAL
    for length in itertools.count(2):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join(letters), kinds.NORMAL
