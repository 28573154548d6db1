"""Options of any dataclass: flag, variable and default, several values, and variables that mean nothing."""

# ruff: noqa: RUF009 - a field is made by `option`

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from edgevlm_server.options import SettingsError, add_options, chosen_options, option, unknown_variables


@dataclass(frozen=True)
class Some:
    what: Path | None = option(None, "what", "WHAT", Path, positional=True)
    count: int = option(0, "how many", "N", int)
    kind: str | None = option(None, "which", choices=("a", "b"))
    parts: tuple[str, ...] = option((), "of what", "PART", many=True)


def chosen(*argv: str, environment: Mapping[str, str] | None = None) -> Some:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser, Some)
    return chosen_options(Some, parser.parse_args(argv), environment or {})


def test_without_anything_it_is_the_default() -> None:
    assert chosen() == Some()


def test_flags_and_what_has_none_win_over_variables() -> None:
    environment = {"EDGEVLM_WHAT": "variable", "EDGEVLM_PARTS": "x", "EDGEVLM_COUNT": "3"}
    assert chosen(environment=environment) == Some(Path("variable"), 3, None, ("x",))
    given = ("given", "--parts", "y", "--parts", "z,z", "--count", "0")
    assert chosen(*given, environment=environment) == Some(Path("given"), 0, None, ("y", "z,z"))


def test_a_variable_separates_several_values_by_commas() -> None:
    assert chosen(environment={"EDGEVLM_PARTS": "x:0.5, y"}).parts == ("x:0.5", "y")


def test_a_variable_is_held_to_the_choices() -> None:
    with pytest.raises(SettingsError, match=r"EDGEVLM_KIND: choose one of a, b\."):
        chosen(environment={"EDGEVLM_KIND": "c"})


def test_help_names_variables_only_where_they_are_read() -> None:
    for variables in (True, False):
        parser = argparse.ArgumentParser()
        add_options(parser, Some, variables=variables)
        assert ("[EDGEVLM_WHAT]" in parser.format_help()) == variables


def test_a_variable_of_no_option_is_named_with_the_one_that_may_be_meant() -> None:
    environment = {"EDGEVLM_COUNTS": "1", "EDGEVLM_SERVICE_HOST": "10.0.0.1", "EDGEVLM_COUNT": "1", "HOME": "/"}
    assert unknown_variables([Some], environment) == [
        "EDGEVLM_COUNTS is set, but there is no such option; is EDGEVLM_COUNT meant?",
        "EDGEVLM_SERVICE_HOST is set, but there is no such option.",
    ]
