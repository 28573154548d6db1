"""What source files use of a compiled module: names, methods, arguments, read from their syntax trees.

Types come from annotations in the source (`config: tensorrt.IBuilderConfig`), from constructors, and from what the
module's own docstrings say that a method returns. A receiver whose type is unknown is not judged. Besides a name that
a file imports, `x.tensorrt` is the module, and so is what is annotated as a `ModuleType`: files import it for its
types and are handed it when they run.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SIGNATURE = r"^(?:\d+\. )?{name}\((?P<parameters>.*)\)(?: -> (?P<returns>.+))?$"


@dataclass(slots=True)
class Report:
    """Uses that exist, as `Class.name`, and what is wrong with the others."""

    found: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


def check(path: Path, modules: Mapping[str, Any]) -> Report:
    """Check a file's uses of `modules`, which maps the names that it may import to what stands for them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aliases = {local: modules[name] for local, name in _imports(tree) if name in modules}
    report = Report()
    for scope in _scopes(tree):
        _Scope(path, aliases, report).run(scope)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            _check_overrides(path, tree, node, aliases, report)
    return report


def _imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Local name and full name of everything that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.asname or alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _scopes(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """The module without its functions and classes, every function alone, every class whole for its attributes."""
    flat = (ast.FunctionDef, ast.ClassDef)
    yield [node for node in tree.body if not isinstance(node, flat)]
    for node in tree.body:
        if isinstance(node, flat):
            yield [node]


class _Scope(ast.NodeVisitor):
    """Walks statements in order and keeps the types of names and of attributes of `self`."""

    def __init__(self, path: Path, aliases: Mapping[str, Any], report: Report) -> None:
        self._path, self._aliases, self._report = path, aliases, report
        self._types: dict[str, Any] = {}

    def run(self, body: list[ast.stmt]) -> None:
        for statement in body:
            for node in ast.walk(statement):
                if isinstance(node, ast.AnnAssign):
                    self._types[ast.unparse(node.target)] = self._annotated(node.annotation)
            self.visit(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        kept = dict(self._types)
        for argument in (*node.args.args, *node.args.kwonlyargs):
            self._types[argument.arg] = self._annotated(argument.annotation)
        self.generic_visit(node)
        self._types = kept

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            self._types[node.targets[0].id] = self._value(node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        if node.value is not None and self._types.get(ast.unparse(node.target)) is None:
            self._types[ast.unparse(node.target)] = self._value(node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        self._types[ast.unparse(node.target)] = self._type(node.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        owner = self._value(node.value)
        if owner is None:
            return
        name = f"{getattr(owner, '__name__', owner)}.{node.attr}"
        if hasattr(owner, node.attr):
            self._report.found.add(name)
        else:
            self._complain(node, f"there is no {name}")

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        function, arguments = self._called(node)
        if function is None:
            return
        signatures = [(_without_self(names, node), returns) for names, returns in _signatures(function)]
        if signatures and not any(_fits(names, arguments, node.keywords) for names, _ in signatures):
            self._complain(node, f"{ast.unparse(node)} does not fit {signatures[0][0]}")

    def _called(self, node: ast.Call) -> tuple[Any, list[ast.expr]]:
        """The function of a module and its arguments, also where it is handed to `call(function, ...)`."""
        function = self._value(node.func)
        if function is None and isinstance(node.func, ast.Name) and node.func.id == "call" and node.args:
            return self._value(node.args[0]), node.args[1:]
        return function, node.args

    def _value(self, node: ast.expr) -> Any:
        """What an expression names in the module, a class for an object of it; `None` if that is unknown."""
        if isinstance(node, ast.Name) and node.id in self._aliases:
            return self._aliases[node.id]
        known = self._types.get(ast.unparse(node))
        if known is not None:
            return known
        if isinstance(node, ast.Attribute):
            owner = self._value(node.value)
            if owner is None and node.attr == "tensorrt":
                return self._module()
            return None if owner is None else getattr(owner, node.attr, None)
        return self._type(node)

    def _module(self) -> Any:
        """The one that the file imports for its types."""
        return next(iter(self._aliases.values()), None)

    def _type(self, node: ast.expr) -> Any:
        """The class of what a call returns."""
        if not isinstance(node, ast.Call):
            return None
        function = self._value(node.func)
        if inspect.isclass(function):
            return function
        for _, returns in _signatures(function) if function is not None else ():
            return self._named(returns)
        return None

    def _annotated(self, node: ast.expr | None) -> Any:
        """The class that an annotation names, of `X` and of `X | None`; or the module."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._annotated(ast.parse(node.value, mode="eval").body)
        if isinstance(node, ast.Name) and node.id == "ModuleType":
            return self._module()
        if isinstance(node, ast.BinOp):
            return self._annotated(node.left)
        value = self._value(node) if isinstance(node, ast.Attribute) else None
        return value if inspect.isclass(value) else None

    def _named(self, text: str) -> Any:
        name = re.split(r"[.:]", text)[-1]
        return next((getattr(module, name) for module in self._aliases.values() if hasattr(module, name)), None)

    def _complain(self, node: ast.AST, text: str) -> None:
        self._report.wrong.append(f"{self._path.name}:{getattr(node, 'lineno', 0)}: {text}")


def _signatures(function: Any) -> Iterator[tuple[list[str], str]]:
    """Parameters, a name each, `=` behind those that may be left out, and the result, for each way to call it."""
    if inspect.isclass(function):
        function = function.__init__
    name = getattr(function, "__name__", "")
    for line in (getattr(function, "__doc__", None) or "").splitlines():
        found = re.match(_SIGNATURE.format(name=re.escape(name)), line.strip())
        if found and found["parameters"] != "*args, **kwargs":  # so begins a list of overloads
            yield [_parameter(text) for text in _split(found["parameters"])], found["returns"] or ""


def _split(parameters: str) -> Iterator[str]:
    """At the commas that stand in no brackets."""
    depth, start = 0, 0
    for index, letter in enumerate(parameters):
        depth += (letter in "[(<") - (letter in "])>")
        if letter == "," and depth == 0:
            yield parameters[start:index]
            start = index + 1
    if parameters[start:].strip():
        yield parameters[start:]


def _parameter(text: str) -> str:
    """`pool_size: int = 0` and `size_t size` -> a name."""
    before, _, default = text.partition("=")
    words = before.split(":")[0].split()
    return (words[-1] if words else "") + ("=" if default else "")


def _without_self(names: list[str], call: ast.Call) -> list[str]:
    """A base class's `__init__` is given the object like any other argument."""
    explicit = isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"
    return names if explicit else [name for name in names if name != "self"]


def _fits(names: list[str], arguments: list[ast.expr], keywords: list[ast.keyword]) -> bool:
    """Whether a call may have these parameters. What is unpacked from a list may be any number."""
    plain = [name.rstrip("=") for name in names]
    if not all(keyword.arg is None or keyword.arg in plain for keyword in keywords):
        return False
    if any(isinstance(argument, ast.Starred) for argument in arguments):
        return True
    given = {*plain[: len(arguments)], *(keyword.arg for keyword in keywords)}
    needed = {name for name in names if not name.endswith("=")}
    return len(arguments) <= len(plain) and needed <= given


def _base(tree: ast.AST, base: ast.expr) -> ast.Attribute | None:
    """`module.Class`, also where a name was given to it: `base: Any = module.Class`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == ast.unparse(base):
            return node.value if isinstance(node.value, ast.Attribute) else None
    return base if isinstance(base, ast.Attribute) else None


def _check_overrides(
    path: Path, tree: ast.Module, node: ast.ClassDef, aliases: Mapping[str, Any], report: Report
) -> None:
    """Methods that a library calls back must have the names and numbers of parameters that it knows."""
    for base in filter(None, (_base(tree, base) for base in node.bases)):
        owner = next((getattr(module, base.attr) for module in aliases.values() if hasattr(module, base.attr)), None)
        for method in node.body:
            function = getattr(owner, method.name, None) if isinstance(method, ast.FunctionDef) else None
            if not isinstance(method, ast.FunctionDef) or method.name.startswith("__") or function is None:
                continue
            report.found.add(f"{base.attr}.{method.name} (overridden)")
            counts = {len(names) for names, _ in _signatures(function)}
            if counts and len(method.args.args) not in counts:
                report.wrong.append(f"{path.name}:{method.lineno}: {base.attr}.{method.name} has other parameters")
