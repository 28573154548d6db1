"""Many more ways to ask for each family: patterns with alternatives, for the last stage of training.

`[a|b]` stands for one of its parts, which may be empty and may hold such brackets themselves; `{}` is the subject.
"""

from __future__ import annotations

import re
from random import Random

_ALTERNATIVES = re.compile(r"\[([^\[\]]*)\]")

PATTERNS = {
    "display reading": (
        "[What|Which] [number|value|reading|figure] [does|is] the [digital |][display|screen] "
        "[show|showing|read|give|indicate]?",
        "[What|Which] [number|value|reading|figure] [is|stands|do you see|can you see] on the "
        "[digital |][display|screen][ right now| now|]?",
        "What [is|does] the [digital |][display|screen] [show|showing|say|saying|read|display][ right now| now|]?",
        "[Please |][Read|Tell me|Give me] the [number|value|reading|digits] [on|of|from] the [digital |]"
        "[display|screen].",
        "[Please |]Read [out |]the [digital |][display|screen|digits].",
    ),
    "digit colour": (
        "[What|Which] [colour|color] [is|has] the [number|display|reading|text on the display]?",
        "[What|Which] [colour|color] [are|do] the [digits|numbers|segments] [on|of|in] the [digital |]"
        "[display|screen][ have|]?",
        "In [what|which] [colour|color] "
        "[does the display shine|are the digits shown|is the number shown|are the digits]?",
        "[Tell me|Name|Give me] the [colour|color] of the [digits|number|digits on the display|display's digits].",
    ),
    "gauge reading": (
        "[What|Which] [value|number|reading] [does|is] the [dial |pressure |][gauge|needle|dial] "
        "[show|showing|indicate|read|point to]?",
        "What does the [dial |pressure |][gauge|needle|dial|pointer] [show|say|indicate|point to|read]"
        "[ right now| now|]?",
        "[What|Which] [value|number|reading] [is|do you see|can you see] on the [dial |][gauge|dial|scale]?",
        "Where [is|does] the [needle|pointer] [pointing|point|stand][ to|]?",
        "[Please |][Read|Tell me|Give me] the [value|reading|number] [of|on|from] the [dial |][gauge|dial|needle].",
        "[Please |]Read [out |]the [dial |pressure |][gauge|dial].",
    ),
    "red zone": (
        "Is the [needle|pointer|gauge|reading|value] [in|inside|within] the red "
        "[zone|area|range|part|section][ now| right now|]?",
        "Does the [needle|pointer|gauge|dial] [point to|stand in|show|reach] the red [zone|area|range|part]?",
        "Is the [dial |][gauge|needle] [red|in the red]?",
        "Is the [reading|value|needle] of the [dial |][gauge|dial] [in|inside|within] the red [zone|area|range]?",
    ),
    "lit lamp": (
        "[Which|What] [lamp|light|lamp colour|colour] "
        "[is on|is lit|is lit up|glows|is burning|is shining|shines|is switched on]"
        "[ on the tower| on the signal tower| of the tower| of the signal tower| in the image| now|]?",
        "[What|Which] [colour|color] "
        "[is the lamp that is lit|is the lit lamp|is the light|does the tower show|is lit|is on]?",
        "[Which|What] of the [lamps|lights|three lamps] [is on|is lit|is burning|shines|glows]?",
        "[Tell me|Name] the [lamp|light|colour of the lamp] that is [on|lit|shining].",
        "What does the [signal tower|tower|stack light] show?",
    ),
    "lamp state": (
        "Is the {} [lamp|light] [on|lit|lit up|burning|shining|glowing|switched on]"
        "[ now| right now| on the tower| of the tower|]?",
        "[Does|Is] the {} [lamp|light] [shine|glow|burn|on]?",
        "[Do you see|Can you see] the {} [lamp|light] [on|lit|shining]?",
        "Is {} [on|lit][ on the tower| on the signal tower|]?",
    ),
    "label text": (
        "What is the {}[ on the label| here| that is printed| shown on the label| in the image|]?",
        "[Which|What] {} [is|do you see|can you see|stands|is printed|is written] on the [label|sticker|tag]?",
        "What [does|is] the [label|sticker|tag] [say|show|read|saying]?",
        "What is [written|printed] on the [label|sticker|tag]?",
        "[Please |][Read|Tell me|Give me] the {}[ on the label| from the label| of the label|].",
        "[Please |]Read [out |]the [label|sticker|tag].",
    ),
    "label kind": (
        "[What|Which] [kind|type|sort] of [number|code|label] "
        "[is|do you see|can you see|is printed|is shown] [on the label|here|in the image]?",
        "[What|Which] [kind|type|sort] of [number|code] does the [label|sticker] [have|show|hold|carry]?",
        "[What|Which] [kind|type|sort] of [label|sticker|tag] [is this|is it|do you see|is shown]?",
        "[Tell me|Name] the [kind|type] of number on the label.",
    ),
    "bolts missing": (
        "How many [bolts|screws] [are missing|are absent|are not there|are gone]"
        "[ from the flange| on the flange| here| in the image|]?",
        "How many [bolts|screws] [does|is] the flange [miss|missing|lack]?",
        "How many [holes|bolt holes] [are empty|are open|have no bolt|are without a bolt]"
        "[ in the flange| of the flange|]?",
        "[Count|Tell me the number of] [the missing bolts|bolts that are missing|empty holes].",
        "What is the [number|count] of [missing|absent] bolts[ in the flange| on the flange|]?",
    ),
    "bolts in place": (
        "How many [bolts|screws] [are there|are in place|are present|are mounted|are fitted]"
        "[ on the flange| in the flange| here| now|]?",
        "How many [bolts|screws] "
        "[do you see|can you see|does the flange have|does the flange hold|are on the flange|are in the flange]?",
        "What is the [number|count] of [bolts|screws] [in place|on the flange|in the flange|that are there]?",
        "[Count|Tell me the number of] [the bolts|bolts|the bolts in the flange|bolts on the flange].",
    ),
    "bolt is missing": (
        "[Is|Are] "
        "[a bolt|any bolt|there a bolt|one of the bolts|any bolts|there any bolts|bolts|some bolts] "
        "missing[ from the flange| on the flange| here| in the image|]?",
        "[Does|Is] the flange [miss a bolt|missing a bolt|lack a bolt|missing bolts|incomplete]?",
        "[Is|Are] there [missing bolts|an empty hole|empty holes|a missing bolt][ in the flange| on the flange|]?",
        "Do you see [missing bolts|a missing bolt|an empty hole]?",
    ),
    "defect": (
        "[Which|What] [kind of |type of |sort of |][defect|damage|fault|flaw] "
        "[is|do you see|can you see] [on the plate|on the metal plate|here|in the image|there]?",
        "[Which|What] [kind of |type of |][defect|damage|fault|flaw] [does|has] the "
        "[plate|metal plate|sheet] [have|show|got]?",
        "What is [wrong|the matter|the problem|the defect] [with|on] the [plate|metal plate|sheet]?",
        "[Name|Tell me|Describe] the [defect|damage|fault][ on the plate| of the plate|].",
    ),
    "defect is there": (
        "Is there [a|any|some] [defect|damage|fault|flaw]"
        "[ on the plate| on the metal plate| on this metal plate| in the metal plate| here| in the image|]?",
        "Is [a|any] [defect|damage|fault|flaw] on the [plate|metal plate|sheet][ to be seen| visible|]?",
        "[Does|Do] the [plate|metal plate|sheet] [have|show] [a|any] [defect|damage|fault|flaw]?",
        "Is [the|this] [plate|metal plate|sheet] [damaged|defective|faulty|flawed][ now| anywhere| somewhere|]?",
        "[Can you see|Do you see] [a|any] [defect|damage|fault][ on the plate| on the metal plate|]?",
        "Is anything wrong with the [plate|metal plate]?",
    ),
    "defect place": (
        "Where [is|do you see|can you see] the [defect|damage|fault|flaw]"
        "[ on the plate| on the sheet| in the image|]?",
        "Where [on|of] the [plate|metal plate|sheet] is the [damage|fault|flaw|damaged place]?",
        "[In|On] [which|what] [part|side|area|place|corner] of the [plate|sheet] "
        "[is the defect|is the damage|is it damaged]?",
        "[Which|What] [part|side|area] of the [plate|metal plate|sheet] [is damaged|has the defect|is defective]?",
        "Where is the [plate|metal plate|sheet] [damaged|defective]?",
        "[Tell me|Show me] where the [defect|damage] is.",
    ),
    "presence": (
        "[Is there|Can you see|Do you see|Does the image show|Does the picture show|Do you find] "
        "[a|any] {}[ here| in this picture| in the picture| anywhere|]?",
        "[Is|Are] there [a|any] {}[ in this image| in the picture| to be seen| shown|]?",
        "[Is|Does] the [image|picture] [show|showing|contain] a {}?",
        "[Do|Can] you see [a|any] {} [in|on] [this image|the picture|this picture|the photo|the scene]?",
        "Is [a|any] {} [in|on|part of] [this image|the picture|this picture|the photo|the scene]?",
        "Is [a|any] {} [visible|shown|there|present|to be seen][ here| in the picture| in the image|]?",
        "Is this a {}?",
    ),
    "description": (
        "[Describe|Please describe|Can you describe] [the|this] [picture|scene|image][ briefly| for me| please|].",
        "What [is|do you see|can you see|is shown] [in|on] [the|this] [picture|photo|scene]?",
        "What [do you see|can be seen|is to be seen|is shown|objects can you see] in [the|this] image?",
        "What can you see in this image?",
        "What [do you see|can you see|is there|is shown|is here][ here| in the picture| now|]?",
        "What [does|is] [the|this] [picture|photo] [show|showing|about]?",
        "[Tell me|Say] what [you see|is in the image|is in the picture|the image shows].",
    ),
}


def varied(random: Random, family: str) -> str:
    """One of the patterns, with one of its alternatives everywhere."""
    text = random.choice(PATTERNS[family])
    while found := _ALTERNATIVES.search(text):
        text = text[: found.start()] + random.choice(found[1].split("|")) + text[found.end() :]
    return text
