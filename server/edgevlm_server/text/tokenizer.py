"""Text to token ids and token ids to bytes, by the bundle's SentencePiece file. Knows nothing of conversations."""

from pathlib import Path

import sentencepiece

SPACE = "\u2581"
"""SentencePiece writes a space as this character inside its pieces."""

NO_DUMMY_PREFIX = b"\x1a\x02\x18\x00"
"""`normalizer_spec { add_dummy_prefix: false }` as protobuf writes it (fields 3 and 3 of sentencepiece_model.proto).

Behind a serialized model it overrides that one setting: protobuf merges a message that occurs twice.
"""


class Tokenizer:
    """A LLaMA tokenizer. Plain text never becomes a control token: `</s>` typed by a user is five characters."""

    def __init__(self, model_file: Path) -> None:
        model = model_file.read_bytes()
        self._with_prefix = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._without_prefix = sentencepiece.SentencePieceProcessor(model_proto=model + NO_DUMMY_PREFIX)
        self._bytes = [self._bytes_of(token) for token in range(self.vocab_size)]

    @property
    def vocab_size(self) -> int:
        return int(self._with_prefix.vocab_size())

    def encode(self, text: str, *, space_prefix: bool) -> list[int]:
        """Token ids of `text` without begin or end tokens; `space_prefix` puts LLaMA's dummy space in front."""
        processor = self._with_prefix if space_prefix else self._without_prefix
        ids: list[int] = processor.encode(text)
        return ids

    def bytes_of(self, token: int) -> bytes:
        """The UTF-8 bytes that a token stands for: none for control tokens, one for a byte token."""
        return self._bytes[token]

    def piece(self, token: int) -> str:
        """The token as SentencePiece writes it, control tokens and spaces visible."""
        return str(self._with_prefix.id_to_piece(token))

    def shown(self, token: int) -> str:
        """The token for people: a control token by its name, bytes that are no text of their own as `\\xe2`."""
        if not self._bytes[token]:
            return self.piece(token)
        return self._bytes[token].decode(errors="backslashreplace")

    def is_text(self, token: int) -> bool:
        """Whether the token stands for bytes of a text: control tokens and the unknown token do not."""
        return bool(self._bytes[token]) and not self._with_prefix.is_unknown(token)

    def _bytes_of(self, token: int) -> bytes:
        processor = self._with_prefix
        if processor.is_control(token) or processor.is_unused(token):
            return b""
        if processor.is_unknown(token):
            return "\ufffd".encode()
        piece: str = processor.id_to_piece(token)
        if processor.is_byte(token):
            return bytes([int(piece[1:-1], 16)])
        return piece.replace(SPACE, " ").encode()
