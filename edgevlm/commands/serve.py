"""`edgevlm serve`: the HTTP server on a bundle, on a checkpoint, or on the demo model."""

import argparse
import logging
import os
import sys
from functools import partial

from edgevlm_server.exit_codes import EXIT_CANNOT_START
from edgevlm_server.options import add_options, chosen_options, unknown_variables
from edgevlm_server.settings import Settings, SettingsError, from_arguments
from edgevlm_server.settings import add_arguments as add_settings

from edgevlm.cli import configure_log
from edgevlm.conversion import Conversion, Served
from edgevlm.errors import CommandError

log = logging.getLogger(__name__)

OPTIONS = (Served, Settings, Conversion)
"""Where its options are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser, Served)
    add_settings(parser)
    add_options(parser.add_argument_group("for a checkpoint only"), Conversion)


def run(arguments: argparse.Namespace) -> int:
    from edgevlm_server.model import load_model
    from edgevlm_server.observe.log_writer import GatheringHandler, write_rest
    from edgevlm_server.run import serve

    from edgevlm.first_start import check_conversion, loaded, served_bundle
    from edgevlm.plans import ensure_plans

    settings = from_arguments(arguments)
    served, conversion = chosen_options(Served, arguments), chosen_options(Conversion, arguments)
    try:
        check_conversion(served.model, conversion)
    except CommandError as error:
        raise SettingsError(str(error)) from None
    form = settings.log_format or ("text" if sys.stderr.isatty() else "json")
    handler = GatheringHandler()
    configure_log(settings.log_level, form, handler)
    for sentence in unknown_variables(OPTIONS):
        log.warning("%s", sentence)
    find = partial(served_bundle, served.model, settings, conversion)
    prepare = partial(ensure_plans, plans=settings.plans)
    load = partial(load_model, settings=settings, prepare=prepare, name=served.name)
    try:
        code = serve(settings, lambda: loaded(find, served.model, load))
    except SettingsError as error:
        log.error("%s", error)
        code = EXIT_CANNOT_START
    if not write_rest(handler.close):
        os._exit(code)
    return code
