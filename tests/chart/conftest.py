"""Helm, and what it renders, once for each version and set of values."""

from collections.abc import Callable

import pytest

from tests.chart.cases import CASES
from tests.chart.helm import VERSIONS, Helm, Manifest

Rendered = Callable[[str], list[Manifest]]


@pytest.fixture(scope="session", params=VERSIONS)
def helm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Each version in turn."""
    return Helm(str(request.param), tmp_path_factory.mktemp(str(request.param)))


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> Rendered:
    """The manifests of a case by its name. They are shared: nobody changes them."""
    made: dict[str, list[Manifest]] = {}

    def of(case: str) -> list[Manifest]:
        if case not in made:
            made[case] = helm.render(CASES[case])
        return made[case]

    return of


@pytest.fixture(scope="session")
def helm4(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm("helm4", tmp_path_factory.mktemp("helm4-alone"))
