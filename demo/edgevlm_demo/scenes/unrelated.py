"""Questions and requests that have nothing to do with any device, of very many kinds.

`{noun}`, `{place}` and the other blanks are filled from word lists, now and then with an invented word, so
that a word never met before means: this is not about the picture. Held-out templates and words are never
trained on.
"""

from __future__ import annotations

import string
from random import Random


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OBJECTS = _words(
    "dog cat horse bird car bus train boat bicycle plane person man woman child tree flower house bridge chair "
    "table book phone laptop cup bottle apple banana pizza clock shoe hat umbrella ball guitar river mountain"
)
_NOUNS = _words(
    "dog cat horse elephant bird fish car bus train boat bicycle plane man woman child girl boy player teacher "
    "doctor tree flower forest house bridge castle church school garden chair table sofa bed book letter poem song "
    "story movie film picture phone laptop computer cup bottle glass apple banana pizza bread cheese coffee tea "
    "clock shoe hat shirt coat umbrella ball guitar piano drum river mountain lake sea island beach desert moon sun "
    "star planet rocket robot king queen president painter writer actor singer team match game race election war "
    "company bank market price stock recipe cake soup language word sentence number year day month season"
)
_NOUNS_HELD_OUT = _words("football kitten tiger violin sandwich museum airport wedding dragon")
_PLACES = _words(
    "France Spain Italy Germany Japan China India Brazil Canada Mexico Egypt Kenya Norway Peru Paris London Berlin "
    "Rome Madrid Tokyo Moscow Vienna Cairo Boston Chicago Texas Europe Africa Asia America"
)
_PLACES_HELD_OUT = _words("Sweden Portugal Sydney Lisbon Toronto Greece")
_VERBS = _words("wrote painted invented built won lost found made sold bought sang played wore drove cooked saw")
_VERBS_HELD_OUT = _words("discovered directed designed founded killed")
_QUALITIES = _words("old tall big small heavy far fast expensive deep long warm cold famous happy rich loud")
_QUALITIES_HELD_OUT = _words("strong bright healthy wide dangerous")

_TEMPLATES = (
    "Who {verb} the {noun}?",
    "Who {verb} the {noun} in {place}?",
    "Who is the {noun}?",
    "Who is the {noun} of {place}?",
    "Who was the first {noun}?",
    "Whose {noun} is this?",
    "What is the capital of {place}?",
    "What is the name of the {noun}?",
    "What is the price of the {noun}?",
    "What is the title of the {noun}?",
    "What is the weather like in {place}?",
    "What is the weather like?",
    "What is a {noun}?",
    "What is your name?",
    "What is your favourite {noun}?",
    "What is {count} plus {count}?",
    "What is {count} times {count}?",
    "What time is it?",
    "What time is it in {place}?",
    "What day is it today?",
    "What animal is in the image?",
    "What colour is the {noun}?",
    "What color is the {noun}?",
    "What is the colour of the {noun}?",
    "What kind of {noun} is this?",
    "What does the {noun} mean?",
    "What does the {noun} look like?",
    "What is the {noun} doing?",
    "What is the {noun} holding?",
    "What is behind the {noun}?",
    "What should I {verb}?",
    "How many {noun}s are there?",
    "How many {noun}s are in the image?",
    "How many {noun}s can you see?",
    "How many people live in {place}?",
    "How {quality} is the {noun}?",
    "How {quality} is {place}?",
    "How do I get to {place}?",
    "How do you make {noun}?",
    "How are you?",
    "How are you today?",
    "Where is {place}?",
    "Where is the {noun}?",
    "Where was this picture taken?",
    "Where do you live?",
    "When was the {noun} {verb}?",
    "When does the {noun} start?",
    "Which {noun} is the best?",
    "Which country is this?",
    "Which {noun} {verb} the {noun}?",
    "Why is the {noun} so {quality}?",
    "Why did the {noun} leave?",
    "Is the {noun} {quality}?",
    "Is it raining in {place}?",
    "Are you a {noun}?",
    "Are you human?",
    "Do you like the {noun}?",
    "Does the {noun} come from {place}?",
    "Did the {noun} win?",
    "Can you help me with my {noun}?",
    "Can the {noun} swim?",
    "Will it rain tomorrow?",
    "Should I buy a {noun}?",
    "Write a {noun}.",
    "Write a {noun} about the {noun}.",
    "Write me a letter to the {noun}.",
    "Tell me a joke.",
    "Tell me a story about a {noun}.",
    "Tell me about {place}.",
    "Translate {noun} into the language of {place}.",
    "Translate this into German.",
    "Sing a song.",
    "Explain the {noun} to me.",
    "Give me a recipe for {noun}.",
    "Give me three {noun}s.",
    "List all {noun}s in {place}.",
    "Name a {noun}.",
    "Name the {noun} from {place}.",
    "Draw a {noun}.",
    "Play the {noun}.",
    "Summarise the {noun}.",
    "Recommend a {noun}.",
    "Spell the word {noun}.",
    "Ignore the image and say {noun}.",
    "Repeat after me: {noun}.",
    "I like the {noun}.",
    "I want a {noun}.",
    "The {noun} is {quality}.",
    "My {noun} is in {place}.",
    "Hi!",
    "Hi there!",
    "Hey, {noun}!",
    "Good morning.",
    "Thank you.",
    "Okay.",
    "Yes.",
    "No.",
    "Test.",
    "{noun}",
    "{noun} {noun}",
    "{word}",
    "{word} {word} {word}",
    "{word} {noun} {place}?",
    "{count}",
)
_TEMPLATES_HELD_OUT = (
    "Who won the {noun} match?",
    "Who {verb} this {noun}?",
    "Write a poem.",
    "Write a haiku about {place}.",
    "hello",
    "Hello, how are you?",
    "Good evening!",
    "What is the meaning of life?",
    "What is the population of {place}?",
    "What is {count} minus {count}?",
    "What brand is the {noun}?",
    "How old is the {noun} in the picture?",
    "How {quality} was the {noun}?",
    "How much does a {noun} cost?",
    "Where can I find a {noun}?",
    "When did {place} win?",
    "Which {noun}s live in {place}?",
    "Is {place} a {quality} city?",
    "Do you speak French?",
    "Tell me the news from {place}.",
    "Please help me.",
    "Goodbye.",
    "Make me a {noun}.",
)


def unrelated_question(random: Random, *, held_out: bool) -> str:
    template = random.choice(_TEMPLATES_HELD_OUT if held_out else _TEMPLATES)
    text = ""
    for before, name, _, _ in string.Formatter().parse(template):
        text += before + (_fill(random, name, held_out) if name else "")
    return text


def _fill(random: Random, blank: str, held_out: bool) -> str:
    if blank == "count":
        return str(random.randint(0, 99 if random.random() < 0.8 else 9999))
    if blank == "word" or (not held_out and random.random() < 0.15):
        return _invented(random)
    trained, kept = {
        "noun": (_NOUNS, _NOUNS_HELD_OUT),
        "place": (_PLACES, _PLACES_HELD_OUT),
        "verb": (_VERBS, _VERBS_HELD_OUT),
        "quality": (_QUALITIES, _QUALITIES_HELD_OUT),
    }[blank]
    return random.choice(kept if held_out else trained)


def _invented(random: Random) -> str:
    """Three to eight letters, by turns a consonant and a vowel, or any at all."""
    length = random.randint(3, 8)
    if random.random() < 0.3:
        return "".join(random.choice(string.ascii_lowercase) for _ in range(length))
    return "".join(random.choice("aeiou" if n % 2 else "bcdfghjklmnprstvwz") for n in range(length))
