"""Text and conversations to token ids, and back. Knows no HTTP; pictures are counted, not looked at."""

from collections.abc import Sequence

from edgevlm_engines import IMAGE_TOKEN

from edgevlm_server.api.answer_schema import Counted, Detokenized, Tokenized
from edgevlm_server.api.chat import ChatRequest
from edgevlm_server.api.tokenize import DetokenizeRequest, TokenizeChat, TokenizeRequest
from edgevlm_server.model import Model
from edgevlm_server.prepare import chat_places, check_ids, check_model, read_conversation
from edgevlm_server.text.tokenizer import Tokenizer


def tokenize(request: TokenizeRequest, model: Model, max_images: int) -> Tokenized:
    """Raises `ApiError` for another model, or for a conversation that the chat route would refuse too."""
    asked = request.root
    check_model(asked.model, model)
    if isinstance(asked, TokenizeChat):
        ids = read_conversation(asked.messages, model, max_images, chat_places(asked.messages)).ids
    else:
        begin = [model.manifest.prompt.bos_id] if asked.add_special_tokens else []
        ids = begin + model.tokenizer.encode(asked.prompt, space_prefix=True)
    shown = [_shown(model.tokenizer, token) for token in ids] if asked.return_token_strs else None
    return Tokenized(count=len(ids), max_model_len=model.engine.info.max_length, tokens=ids, token_strs=shown)


def detokenize(request: DetokenizeRequest, model: Model) -> Detokenized:
    """The text of token ids; control tokens have none. Raises `ApiError` for ids outside the vocabulary."""
    check_model(request.model, model)
    check_ids(request.tokens, model, "tokens")
    return Detokenized(prompt=text_of(model.tokenizer, request.tokens))


def count(chat: ChatRequest, model: Model, max_images: int, places: Sequence[str]) -> Counted:
    """Positions that a chat request's prompt takes, whether or not it fits. Raises `ApiError`."""
    check_model(chat.model, model)
    return Counted(input_tokens=len(read_conversation(chat.messages, model, max_images, places).ids))


def text_of(tokenizer: Tokenizer, ids: list[int]) -> str:
    """The text that encoding made these ids of; what is no UTF-8 becomes U+FFFD."""
    text = b"".join(map(tokenizer.bytes_of, ids)).decode("utf-8", "replace")
    # encoding put a space in front of the text
    return text.removeprefix(" ")


def _shown(tokenizer: Tokenizer, token: int) -> str:
    return "<image>" if token == IMAGE_TOKEN else tokenizer.piece(token)
