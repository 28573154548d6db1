"""From a JSON schema to what is asked for. Knows keywords, and which values can be asked for; no model."""

from typing import Any

from edgevlm_server.filled.fields import kind_of
from edgevlm_server.filled.labels import labels
from edgevlm_server.filled.patterns import whole_text
from edgevlm_server.filled.plain import Plain, Plainer
from edgevlm_server.filled.tree import Branch, Constant, Leaf, Member, Node, Unfillable, leaves
from edgevlm_server.guided.grammar import GrammarError
from edgevlm_server.guided.json_schema import MAX_DEPTH

MOST_LEAVES = 32
"""Questions about one request's pictures."""

Refs = frozenset[str]
Path = tuple[str, ...]


def tree_of(schema: dict[str, Any]) -> Branch:
    """Of a schema that answers can be held to. Raises `Unfillable`."""
    plainer = Plainer(schema)
    try:
        root = _TreeBuilder(plainer).node(schema, (), frozenset())
    except RecursionError:  # one reference leads to the next
        raise Unfillable("it is too deep") from None
    if not isinstance(root, Branch):
        raise Unfillable("it is no object")
    count = sum(1 for _ in leaves(root))
    if not 1 <= count <= MOST_LEAVES:
        raise Unfillable("there is nothing to ask" if not count else f"it has more than {MOST_LEAVES} values")
    return root


class _TreeBuilder:
    def __init__(self, plainer: Plainer) -> None:
        self._plainer = plainer

    def node(self, schema: Any, path: Path, refs: Refs) -> Node:
        if len(path) > MAX_DEPTH:
            raise Unfillable("it is too deep")
        plain = self._plainer.plain(schema, refs)
        if (values := plain.values) is not None:
            if not values and not plain.nullable:
                raise Unfillable("no value is allowed")
            if len(values) + plain.nullable == 1:
                return Constant(values[0] if values else None)
            _check_values(values)
        elif plain.schema["type"] == "object":
            return self._branch(plain, path)
        else:
            plain = plain._replace(schema=self._checked(plain))
        return _asked(Leaf(path, plain.schema, plain.nullable))

    def _branch(self, plain: Plain, path: Path) -> Branch:
        schema = plain.schema
        members, needed = schema.get("properties", {}), schema.get("required", [])
        free = not members and schema.get("additionalProperties") is not False
        if free or "patternProperties" in schema or not {*needed} <= members.keys():
            raise Unfillable("not all keys of an object are known")
        made = []
        for name, one in members.items():
            # left out, it would be taken for its default, which nobody has seen
            default = isinstance(one, dict) and one.get("default") is not None
            made.append(Member(name, self.node(one, (*path, name), plain.refs), name not in needed and not default))
        return Branch(tuple(made), plain.nullable)

    def _checked(self, plain: Plain) -> dict[str, Any]:
        """The schema of one value, a list's with its items made plain."""
        schema, kind = plain.schema, plain.schema["type"]
        if kind not in ("string", "number", "integer", "boolean", "array"):
            raise Unfillable("a type that is not known")
        if kind == "string":
            whole_text(schema)
        return schema if kind != "array" else {**schema, "items": self._items(plain)}

    def _items(self, plain: Plain) -> dict[str, Any]:
        item = self._plainer.plain(plain.schema.get("items", True), plain.refs)
        if "prefixItems" in plain.schema:
            raise Unfillable("a list whose places differ")
        if item.values is not None:
            _check_values(item.values)
        elif item.schema["type"] != "string" or whole_text(item.schema) is not None:
            raise Unfillable("a list of anything but texts and given values")
        return item.schema


def _asked(leaf: Leaf) -> Leaf:
    """A form has bounds of its own, in front of which JSON in one piece need not stop."""
    try:
        kind_of(leaf).form()
    except GrammarError as error:
        raise Unfillable(str(error)) from None
    return leaf


def _check_values(values: list[Any]) -> None:
    if not all(isinstance(value, bool) for value in values):
        labels(values)
