"""Whatever number stands in a manifest: the bundle is refused in one sentence, or it answers about a picture."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgevlm_engines import EngineError
from edgevlm_engines.names import EngineName
from edgevlm_server.images.decode.drawing import drawn_pixels
from edgevlm_server.model import load_model
from edgevlm_server.offline import answer, encode
from edgevlm_server.settings import Settings
from edgevlm_server.text.prompt import Mark, Turn
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.manifests import change, content

Way = tuple[str | int, ...]

ODD: list[Any] = [
    0,
    1,
    2,
    3,
    255,
    256,
    -1,
    2**20,
    2**20 + 1,
    10**9,
    10**30,
    0.5,
    -0.5,
    1e-300,
    1e300,
    True,
    None,
    "2",
    [2],
    {},
]


def numbers(part: Any, way: Way = ()) -> Iterator[Way]:
    """Where they stand, but for the sizes of files, which are checked file by file."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if isinstance(value, dict | list) and key not in ("files", "sources"):
            yield from numbers(value, (*way, key))
        elif isinstance(value, int | float):
            yield (*way, key)


def changed(part: Any, way: Way, change: Callable[[Any], Any]) -> Any:
    key, *rest = way
    value = changed(part[key], tuple(rest), change) if rest else change(part[key])
    if isinstance(part, dict):
        return {**part, key: value}
    return [*part[: int(key)], value, *part[int(key) + 1 :]]


CHANGES: st.SearchStrategy[Callable[[Any], Any]] = st.one_of(
    st.sampled_from(ODD).map(lambda odd: lambda value: odd),
    st.sampled_from([-1, 1, 2]).map(lambda more: lambda value: value + more),
    st.sampled_from([0.5, 2, 3]).map(lambda factor: lambda value: type(value)(value * factor)),
)


@pytest.fixture(scope="module")
def bundle(bundles: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy to break again and again."""
    return Path(shutil.copytree(bundles("v2"), tmp_path_factory.mktemp("any") / "bundle"))


@pytest.fixture(scope="module")
def whole(bundle: Path) -> dict[str, Any]:
    return content(bundle)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["ort", "echo"])
@settings(max_examples=150)
@given(data=st.data(), do=CHANGES)
def test_it_is_refused_or_it_answers(
    bundle: Path, whole: dict[str, Any], engine: EngineName, data: st.DataObject, do: Callable[[Any], Any]
) -> None:
    way = data.draw(st.sampled_from(list(numbers(whole))))
    change(bundle, **changed(whole, way, do))
    try:
        model = load_model(bundle, Settings(engine=engine, max_batch=1, prefix_cache=0, image_cache=0))
    except EngineError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
        return
    try:
        features = encode(model, [drawn_pixels(model.manifest.preprocessing)])
        turn = Turn("user", (Mark.IMAGE, "What is it?"))
        assert "".join(answer(model, [turn], features, max_tokens=2)) is not None
    finally:
        model.engine.close()
