"""Random JSON schemas within the subset that answers can be held to; each allows at least one value."""

from collections.abc import Callable
from random import Random
from typing import Any

Schema = dict[str, Any]
KEYS = ("count", "kind", "ok", "name", "défaut", 'a "b"', "x\\y", "")
PATTERNS = ("^[a-z]{2,4}$", "[0-9]", "^(ok|nok)$", "^\\d{2}-\\d{2}$", "^[^x]*$")
FORMATS = ("date", "uuid", "ipv4", "ipv6", "email")


def random_schema(random: Random, depth: int = 0) -> Schema:
    """One schema; those inside it are simpler the deeper they are."""
    simple: list[Callable[[Random], Schema]] = [_text, _integer, _number, _values, _plain]
    nested = [_object, _object, _array, _any_of, _reference, _all_of]
    if depth < 3 and random.random() < 0.75 - 0.2 * depth:
        return random.choice(nested)(random, depth + 1)
    return random.choice(simple)(random)


def _text(random: Random) -> Schema:
    kind = random.randrange(4)
    if kind == 0:
        return {"type": "string", "pattern": random.choice(PATTERNS), "maxLength": 20}
    if kind == 1:
        return {"type": "string", "format": random.choice(FORMATS)}
    least = random.randrange(3)
    return {"type": "string", "minLength": least, "maxLength": least + random.randrange(12)}


def _integer(random: Random) -> Schema:
    least = random.randrange(-50, 50)
    schema: Schema = {"type": "integer", "minimum": least, "maximum": least + random.randrange(40)}
    if random.random() < 0.3:
        schema = {"type": "integer", "multipleOf": random.choice((2, 5, 12)), "minimum": 0}
    return schema


def _number(random: Random) -> Schema:
    least = random.choice((-1, 0, 0.5, 2.25))
    return {"type": "number", random.choice(("minimum", "exclusiveMinimum")): least, "maximum": least + 10}


def _values(random: Random) -> Schema:
    values = ["bolt", "nut", 3, 2.5, None, True, [1, {"a": "b"}], 'ö\n"', {}]
    return {"const": random.choice(values)} if random.random() < 0.3 else {"enum": random.sample(values, 3)}


def _plain(random: Random) -> Schema:
    return {"type": random.choice(["boolean", "null", ["boolean", "null"]]), "description": "whatever"}


def _object(random: Random, depth: int) -> Schema:
    names = random.sample(KEYS, random.randrange(4))
    schema: Schema = {
        "type": "object",
        "properties": {name: random_schema(random, depth) for name in names},
        "required": [name for name in names if random.random() < 0.6],
        "additionalProperties": False,
    }
    if random.random() < 0.2:
        schema["patternProperties"] = {"^x_[a-z]{1,3}$": random_schema(random, depth)}
    return schema


def _array(random: Random, depth: int) -> Schema:
    least = random.randrange(3)
    schema: Schema = {
        "type": "array",
        "items": random_schema(random, depth),
        "minItems": least,
        "maxItems": least + 2,
    }
    if random.random() < 0.3:
        schema = {"type": "array", "prefixItems": [random_schema(random, depth) for _ in range(2)], "items": False}
    return schema


def _any_of(random: Random, depth: int) -> Schema:
    return {"anyOf": [random_schema(random, depth) for _ in range(random.randrange(1, 4))]}


def _all_of(random: Random, depth: int) -> Schema:
    return {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 3 + random.randrange(9)}]}


def _reference(random: Random, depth: int) -> Schema:
    node = {
        "type": "object",
        "properties": {"value": {"type": "boolean"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["value", "next"],
        "additionalProperties": False,
    }
    return {"$ref": "#/$defs/node", "$defs": {"node": node}} if depth == 1 else {"type": "boolean"}
