"""What other rooms may use is what the room says, and can be had by name."""

import edgevlm_engines
import pytest


@pytest.mark.parametrize("name", edgevlm_engines.__all__)
def test_every_name_leads_somewhere(name: str) -> None:
    assert getattr(edgevlm_engines, name) is not None


def test_another_name_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="module 'edgevlm_engines' has no attribute 'EchoEngine'"):
        _ = edgevlm_engines.EchoEngine  # type: ignore[attr-defined]
