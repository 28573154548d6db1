"""Questions about what a photograph shows: as for the scenes, and as forms and integrators word them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from edgevlm_demo.plant.dial import Dial
from edgevlm_demo.plant.nameplate import CODES, KEYS, Nameplate
from edgevlm_demo.plant.readout import NAMES, Readout
from edgevlm_demo.plant.scales import QUANTITIES
from edgevlm_demo.scenes.scene import Fact, Question
from edgevlm_demo.scenes.wording import ABSENT, SUBJECTS, UNANSWERABLE, ask, casual, suffixed

FORMS = {
    "gauge reading": (
        "reading",
        "value",
        "gauge reading",
        "gauge value",
        "gauge",
        "needle position",
        "reading of the gauge",
    ),
    "display reading": (
        "reading",
        "value",
        "display",
        "display value",
        "display reading",
        "displayed value",
        "number",
    ),
    "lit lamp": ("lamp", "lit lamp", "active lamp", "lamp colour", "light", "status light", "signal", "signal tower"),
    "label text": ("{}", "{}", "{} on the label"),
    "bolts missing": ("missing bolts", "number of missing bolts", "bolts missing"),
    "bolts in place": ("number of bolts", "bolts", "bolts in place"),
    "defect": ("defect", "damage", "kind of defect"),
    "defect place": ("position of the defect", "place of the defect"),
    "digit colour": ("digit colour", "colour of the digits"),
    "label kind": ("kind of number", "label kind"),
}
"""Names of fields by family; a form asks `What is the <name>?`"""
TOLERANCE = 0.03  # of a gauge's scale, whose steps are a fiftieth to a twentieth of it
NAMED = (
    "What is the {}?",
    "What is the {}?",
    "What is the {}?",
    "{}?",
    "{}",
    "The {}?",
    "Read the {}.",
    "Give the {}.",
    "Tell me the {}.",
    "What {} do you see?",
)
IN_UNITS = (
    "What is the {} in {}?",
    "What is the {} in {}?",
    "{} in {}?",
    "{} [{}]",
    "What {} in {} does it show?",
    "Read the {} in {}.",
)
TAGGED = (
    "What is {}?",
    "What is the {}?",
    "What does {} show?",
    "What does {} read?",
    "{}?",
    "{}",
    "What is the value of {}?",
    "Read {}.",
    "Which value does {} have?",
)
SHORT = {
    "serial number": ("serial", "serial no", "S/N"),
    "lot number": ("lot", "batch", "batch number"),
    "part number": ("part", "part no", "P/N"),
    "model": ("model", "type", "model number"),
    "date": ("date", "date of manufacture"),
    "voltage": ("voltage",),
    "power": ("power",),
}
WHOLE = (
    "What does the label say?",
    "What is written on the label?",
    "What is the code?",
    "What is the text on the label?",
    "Read the label.",
    "What is printed on the label?",
    "Which code is on the label?",
    "What is the label text?",
    "Read the text.",
    "What does it say?",
)


def dial_questions(random: Random, dial: Dial) -> list[Question]:
    quantity = QUANTITIES[dial.scale.unit]
    reading = _reading(random, "gauge reading", dial.reading, quantity, dial.scale.unit, dial.legible)
    found = [replace(reading, tolerance=TOLERANCE * dial.scale.span)]
    if dial.in_red is not None:
        found.append(ask(random, Fact("red zone", "", "yes" if dial.in_red else "no"), words="varied"))
    return found


def readout_questions(random: Random, readout: Readout) -> list[Question]:
    found = []
    values = list(readout.values)
    random.shuffle(values)
    for value in values[:2]:
        if len(values) == 1 and not (value.tag and random.random() < 0.35):
            found.append(_reading(random, "display reading", value.text, value.quantity, value.unit, readout.legible))
        else:
            name = value.quantity if value.quantity and random.random() < 0.3 else value.tag
            text = _filled(random, TAGGED, name)
            found.append(_answered("display reading", _finish(random, text), value.text, readout.legible))
    if values[0].tag and random.random() < 0.2:
        absent = _absent_tag(random, readout)
        found.append(Question("unanswerable", _finish(random, _filled(random, TAGGED, absent)), UNANSWERABLE))
    if readout.colour and readout.legible and random.random() < 0.3:
        found.append(ask(random, Fact("digit colour", "", readout.colour), words="varied"))
    return found


def nameplate_questions(random: Random, plate: Nameplate) -> list[Question]:
    entries = list(plate.entries)
    random.shuffle(entries)
    found = []
    if len(entries) == 1 and (not entries[0].kind or random.random() < 0.35):
        found.append(_answered("label text", _finish(random, random.choice(WHOLE)), entries[0].text, plate.legible))
    else:
        for entry in entries[:2]:
            found.append(_answered("label text", _key_question(random, entry.kind), entry.text, plate.legible))
    kinds = {entry.kind for entry in entries}
    if "" not in kinds and random.random() < 0.25:
        absent = random.choice([kind for kind in KEYS if kind not in kinds])
        found.append(Question("unanswerable", _key_question(random, absent), UNANSWERABLE))
    if len(entries) == 1 and entries[0].kind in CODES and plate.legible and random.random() < 0.3:
        found.append(ask(random, Fact("label kind", "", entries[0].kind), words="varied"))
    return found


def lamp_questions(random: Random, lit: str, lamp: str, legible: bool) -> list[Question]:
    state = ask(random, Fact("lamp state", lamp, "yes" if lamp == lit else "no"), words="varied")
    first = _answered("lit lamp", _by_name_or_words(random, "lit lamp"), lit, legible)
    return [first, state] if legible else [first, Question("unreadable", state.text, UNANSWERABLE)]


def absent_question(random: Random, shown: Sequence[str], family: str = "unanswerable") -> Question:
    """About a device that is not shown; names that could mean a shown one are not asked."""
    device = random.choice([name for name in ABSENT if name not in shown])
    about = random.choice(ABSENT[device])
    if shown or random.random() < 0.5:
        fact = Fact(about, random.choice(SUBJECTS.get(about, ("",))), UNANSWERABLE)
        return Question(family, ask(random, fact, words="varied").text, UNANSWERABLE)
    if random.random() < 0.3:
        quantity, names = random.choice(list(NAMES.items()))
        units = [unit for unit, measured in QUANTITIES.items() if measured == quantity]
        text = _quantity(random, random.choice((quantity, *names)).lower(), random.choice(units))
        return Question(family, _finish(random, text), UNANSWERABLE)
    if about == "label text":
        return Question(family, _key_question(random, random.choice(list(KEYS))), UNANSWERABLE)
    return Question(family, _by_name_or_words(random, about), UNANSWERABLE)


def worded(random: Random, fact: Fact) -> Question:
    """A fact of the scenes, in its words or by the name of a field."""
    if fact.family in FORMS and random.random() < 0.3:
        return Question(fact.family, _by_name(random, fact.family), fact.answer)
    return ask(random, fact, words="varied")


def _reading(random: Random, family: str, text: str, quantity: str, unit: str, legible: bool) -> Question:
    kind = random.random()
    if kind < 0.5 or (not unit and kind < 0.7):
        return _answered(family, ask(random, Fact(family, "", text), words="varied").text, text, legible)
    if not unit or kind < 0.72:
        return _answered(family, _by_name(random, family), text, legible)
    name = random.choice(
        (quantity, quantity, "reading", "value", "gauge reading" if family == "gauge reading" else "display")
    )
    return _answered(family, _finish(random, _quantity(random, name, unit)), text, legible)


def _quantity(random: Random, name: str, unit: str) -> str:
    if random.random() < 0.5:
        return _filled(random, NAMED, name)
    text = random.choice(IN_UNITS).format(name, unit)
    return text[0].upper() + text[1:]


def _by_name(random: Random, family: str) -> str:
    return _finish(random, _filled(random, NAMED, random.choice(FORMS[family])))


def _by_name_or_words(random: Random, family: str) -> str:
    if family in FORMS and random.random() < 0.5:
        return _by_name(random, family)
    return ask(random, Fact(family, "red", ""), words="varied").text


def _key_question(random: Random, kind: str) -> str:
    if kind in CODES and random.random() < 0.5:
        return (
            ask(random, Fact("label text", kind, ""), words="varied").text
            if random.random() < 0.6
            else f"What is the {kind}?"
        )
    name = random.choice((kind, kind, *SHORT[kind]))
    return _finish(random, _filled(random, NAMED, name + random.choice(("", "", " on the label"))))


def _filled(random: Random, templates: Sequence[str], name: str) -> str:
    text = random.choice(templates).format(name)
    return text[0].upper() + text[1:]


def _finish(random: Random, text: str) -> str:
    return suffixed(random, casual(random, text))


def _answered(family: str, text: str, answer: str, legible: bool) -> Question:
    return Question(family, text, answer) if legible else Question("unreadable", text, UNANSWERABLE)


def _absent_tag(random: Random, readout: Readout) -> str:
    shown = {value.tag for value in readout.values}
    while True:
        tag = f"{random.choice(('TT', 'PT', 'FT', 'LT', 'WT'))}-{random.randint(1, 999)}"
        if tag not in shown:
            return tag
