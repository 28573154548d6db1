"""Training's token ids and pixels are serving's; the learning rates end at zero."""

from random import Random

import numpy as np
import pytest
from edgevlm_demo import checkpoint_folder
from edgevlm_demo.scenes import SCENES, SIDE, Question, draw_scene
from edgevlm_server.images.decode.square import fit_square
from edgevlm_training.dialogue import BOS, EOS, SYSTEM, DialogueTokenizer
from edgevlm_training.pixels import MEAN, PADDING, STD, pixels
from edgevlm_training.schedule import PEAK, practice, rate
from sentencepiece import SentencePieceProcessor

MODEL_FILE = checkpoint_folder() / "tokenizer.model"
TWO_TURNS = [Question("lit lamp", "Which lamp is on?", "red"), Question("label text", "What is it?", "4K72")]


@pytest.fixture(scope="module")
def tokenizer() -> DialogueTokenizer:
    return DialogueTokenizer(MODEL_FILE)


def test_the_layout_is_upstreams(tokenizer: DialogueTokenizer) -> None:
    # each piece alone, by SentencePiece itself
    encode = SentencePieceProcessor(model_file=str(MODEL_FILE)).encode
    assert tokenizer.before_image == [BOS, *encode(f"{SYSTEM} USER: ")]
    first, second = encode("\nWhich lamp is on? ASSISTANT: red"), encode("USER: What is it? ASSISTANT: 4K72")
    dialogue = tokenizer.dialogue(TWO_TURNS)
    assert dialogue.ids == [*first, EOS, *second, EOS]


@pytest.mark.slow
def test_generation_continues_the_training_ids(tokenizer: DialogueTokenizer) -> None:
    for name in SCENES:
        for seed in range(20):
            for question in draw_scene(name, seed).questions:
                dialogue = tokenizer.dialogue([question])
                prompt = tokenizer.prompt(question.text)
                start, end = dialogue.spans[0]
                assert dialogue.ids[:start] == prompt
                assert end == len(dialogue.ids)
                assert dialogue.ids[-1] == EOS
                assert tokenizer.text(dialogue.ids[start:]) == question.answer


def test_loss_falls_on_answers_only(tokenizer: DialogueTokenizer) -> None:
    dialogue = tokenizer.dialogue(TWO_TURNS)
    spoken = [i for i, wanted in zip(dialogue.ids, dialogue.is_answer, strict=True) if wanted]
    assert [tokenizer.text(dialogue.ids[a:b]) for a, b in dialogue.spans] == ["red", "4K72"]
    assert spoken == [i for a, b in dialogue.spans for i in dialogue.ids[a:b]]
    assert spoken.count(EOS) == 2


def test_characters_to_read_are_one_token_each(tokenizer: DialogueTokenizer) -> None:
    for text in ("4C9EH", "7PAK", "42.7", "0.01"):
        # and the leading space
        assert len(tokenizer.dialogue([Question("", "", text)]).ids) - len(tokenizer.prompt("")) == len(text) + 2
    random = Random(1)
    for _ in range(200):
        text = "".join(random.choices("0123456789ACEHKP", k=5))
        letter_first = text[0].isalpha()
        count = len(tokenizer.dialogue([Question("", "", text)]).ids) - len(tokenizer.prompt("")) - 1
        assert count == 5 + (not letter_first), text


def test_unknown_characters_survive_as_bytes(tokenizer: DialogueTokenizer) -> None:
    dialogue = tokenizer.dialogue([Question("", "Is it 20 °C?", "é 20 °C")])
    assert tokenizer.text(dialogue.ids[slice(*dialogue.spans[0])]) == "é 20 °C"


def test_pixels_are_padded_reduced_and_normalised() -> None:
    images = [draw_scene(name, 3).image for name in SCENES]
    made = pixels(images)
    assert made.shape == (len(SCENES), 3, SIDE, SIDE)
    assert made.dtype == np.float32
    for image, values in zip(images, made, strict=True):
        square = np.asarray(fit_square(image, SIDE, PADDING), dtype=np.float32)
        np.testing.assert_allclose(values, ((square / 255 - MEAN) / STD).transpose(2, 0, 1), atol=1e-6)


def test_the_rate_warms_up_holds_and_falls() -> None:
    assert rate(0.0, 16) < 0.02 * PEAK
    assert rate(0.1, 16) == rate(0.25, 16) == PEAK
    late = [rate(0.25 + 0.05 * step, 16) for step in range(16)]
    assert late == sorted(late, reverse=True)
    assert rate(1.0, 16) == pytest.approx(0.01 * PEAK)
    assert rate(0.1, 64) == pytest.approx(2 * PEAK)


def test_practice_becomes_rarer() -> None:
    assert practice(0.0) > practice(0.5) > practice(1.0) == practice(0.9)
