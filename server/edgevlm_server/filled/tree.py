"""What a JSON schema becomes to be filled: objects, values that are known, and those to ask for. Knows no schemas."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Unfillable(Exception):
    """A schema that cannot be filled field by field, and why; its answer is left to the model as a whole."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The only value that the schema allows here."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A value to ask for, and the keys that lead to it.

    `schema` is its own, without references and unions: it has a `type`, or an `enum` without null.
    """

    path: tuple[str, ...]
    schema: Mapping[str, Any]
    nullable: bool

    @property
    def is_boolean(self) -> bool:
        """Whether it can be true or false, and nothing else."""
        values = self.schema.get("enum")
        return self.schema.get("type") == "boolean" if values is None else _all_booleans(values)


class Member(NamedTuple):
    """One key of an object. An optional one may be left out."""

    name: str
    node: "Node"
    optional: bool


@dataclass(frozen=True, slots=True)
class Branch:
    """An object, its keys in the schema's order."""

    members: tuple[Member, ...]
    nullable: bool = False


Node = Constant | Leaf | Branch


def leaves(node: Node) -> Iterator[Leaf]:
    """All that is asked for, in the order of the text."""
    if isinstance(node, Leaf):
        yield node
    if isinstance(node, Branch):
        for member in node.members:
            yield from leaves(member.node)


def _all_booleans(values: Sequence[Any]) -> bool:
    return all(isinstance(value, bool) for value in values)
