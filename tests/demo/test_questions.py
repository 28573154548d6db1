"""What is asked: balanced, varied, and what is held out stays held out."""

from collections import Counter
from random import Random

import pytest
from edgevlm_demo.scenes import SCENES, Question, draw_scene, fonts
from edgevlm_demo.scenes import flange as flange_scene
from edgevlm_demo.scenes import gauge as gauge_scene
from edgevlm_demo.scenes import label as label_scene
from edgevlm_demo.scenes import plate as plate_scene
from edgevlm_demo.scenes import signal_tower as tower_scene
from edgevlm_demo.scenes.scene import Fact
from edgevlm_demo.scenes.unrelated import unrelated_question
from edgevlm_demo.scenes.variety import varied
from edgevlm_demo.scenes.wording import SUFFIX, UNANSWERABLE, WORDINGS, Words, ask, presence, unanswerable

DEVICES = [name for name in SCENES if name not in ("panel", "empty")]
MANY = 4_000


def shares(answers: list[str]) -> dict[str, float]:
    return {answer: count / len(answers) for answer, count in Counter(answers).items()}


def facts_of(family: str) -> list[str]:
    """Answers of one yes/no family over many drawn lots, without drawing."""
    answers = []
    for seed in range(MANY):
        random = Random(seed)
        found: tuple[Fact, ...]
        if family == "red zone":
            found = gauge_scene.facts(gauge_scene.choose_gauge(random), random)
        elif family == "lamp state":
            found = tower_scene.facts(tower_scene.choose_tower(random), random)
        elif family == "bolt is missing":
            found = flange_scene.facts(flange_scene.choose_flange(random), random)
        else:
            found = plate_scene.facts(plate_scene.choose_plate(random), random)
        answers += [fact.answer for fact in found if fact.family == family]
    return answers


@pytest.mark.parametrize("family", ["red zone", "lamp state", "bolt is missing", "defect is there"])
def test_yes_and_no_are_balanced(family: str) -> None:
    found = shares(facts_of(family))
    assert set(found) == {"yes", "no"}
    assert 0.45 < found["yes"] < 0.55


def test_presence_is_balanced_over_the_scenes() -> None:
    random = Random(1)
    shown = [*((name,) for name in DEVICES), ("display", "label"), ()]
    answers = [presence(random, devices).answer for _ in range(MANY // 8) for devices in shown]
    assert 0.46 < shares(answers)["yes"] < 0.54


def test_presence_names_only_what_is_there() -> None:
    random = Random(2)
    for _ in range(300):
        fact = presence(random, ("display",))
        assert (fact.subject == "digital display") == (fact.answer == "yes")


@pytest.mark.parametrize("family", WORDINGS)
def test_several_wordings_and_none_both_trained_and_held_out(family: str) -> None:
    wordings = WORDINGS[family]
    assert len(wordings.trained) >= 4
    assert wordings.held_out
    assert not set(wordings.trained) & set(wordings.held_out)


@pytest.mark.parametrize("words", ["templates", "varied"])
def test_held_out_wording_is_not_used_in_training(words: Words) -> None:
    random = Random(3)
    held_out = {text for wordings in WORDINGS.values() for text in wordings.held_out}
    for family in WORDINGS:
        for _ in range(400):
            text = ask(random, Fact(family, "{}", ""), words=words).text.removesuffix(SUFFIX)
            assert text not in held_out


def test_unanswerable_questions_are_about_something_absent() -> None:
    random = Random(6)
    own = {text for family in ("display reading", "digit colour") for text in WORDINGS[family].trained}
    for _ in range(500):
        question: Question = unanswerable(random, ("display",), words="templates")
        assert question.answer == UNANSWERABLE
        assert question.text.removesuffix(SUFFIX) not in own


def test_unrelated_questions_are_of_very_many_kinds() -> None:
    random = Random(7)
    trained = {unrelated_question(random, held_out=False) for _ in range(2_000)}
    held_out = {unrelated_question(random, held_out=True) for _ in range(2_000)}
    assert len(trained) > 1_200
    assert not trained & held_out
    assert all(text and "{" not in text for text in trained | held_out)


def test_held_out_fonts_are_not_trained_on() -> None:
    trained, held_out = {*fonts.names("plain"), *fonts.names("varied")}, set(fonts.names("held out"))
    assert trained and held_out and not trained & held_out
    assert not trained & set(fonts.SEGMENTS_HELD_OUT)


@pytest.mark.parametrize("font", [*fonts.TRAINED, *fonts.HELD_OUT])
def test_every_font_draws_the_whole_alphabet_differently(font: str) -> None:
    masks = {fonts.mask(font, character).resize((24, 32)).tobytes() for character in label_scene.ALPHABET}
    assert len(masks) == len(label_scene.ALPHABET)


def test_every_scene_is_described_in_a_sentence() -> None:
    for name in SCENES:
        text = next(q.answer for q in draw_scene(name, 900_000_001).questions if q.family == "description")
        assert text[0].isupper() and text.endswith(".")


@pytest.mark.parametrize("name", SCENES)
def test_held_out_wording_asks_the_same_facts(name: str) -> None:
    plain, reworded = (draw_scene(name, 900_000_002, words=words) for words in ("templates", "held out"))
    assert [(q.family, q.answer) for q in plain.questions] == [(q.family, q.answer) for q in reworded.questions]
    assert not {q.text for q in plain.questions} & {q.text for q in reworded.questions}


@pytest.mark.parametrize("family", WORDINGS)
def test_varied_wordings_are_many_and_whole(family: str) -> None:
    random = Random(9)
    texts = {varied(random, family) for _ in range(2_000)}
    assert len(texts) > 80
    for text in texts:
        assert text[-1] in "?." and not set("[]|") & set(text) and "  " not in text, text
        assert ("{}" in text) <= (family in ("presence", "lamp state", "label text"))
