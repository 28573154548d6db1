"""A server that can be told to look away: `python -m benchmarks.watched_server serve BUNDLE ...`.

It is `edgevlm` with one thing more: at each SIGUSR1 it stops reading finished requests (no count, no line of the log,
no last requests, no audit) or begins again. One process in two states can be compared closer than two processes.
"""

import signal
import sys
from types import FrameType

from edgevlm_server.observe.exchange import Exchange
from edgevlm_server.observe.record import Readers, RequestRecord
from edgevlm_server.service import Service

from edgevlm.cli import main


class Switch:
    """Whether requests are read."""

    def __init__(self) -> None:
        self.on = True
        self._read, self._exchange = Readers.read, Service.exchange

    def turn(self, _number: int, _frame: FrameType | None) -> None:
        self.on = not self.on

    def read(self, readers: Readers, record: RequestRecord) -> None:
        if self.on:
            self._read(readers, record)

    def exchange(self, service: Service) -> Exchange | None:
        return self._exchange(service) if self.on else None


def put(switch: Switch) -> None:
    """Between the server and its readers."""
    setattr(Readers, "read", lambda readers, record: switch.read(readers, record))  # noqa: B010
    setattr(Service, "exchange", lambda service: switch.exchange(service))  # noqa: B010
    signal.signal(signal.SIGUSR1, switch.turn)


if __name__ == "__main__":
    put(Switch())
    sys.exit(main())
