"""What labels of metrics can say: closed lists, which whoever acts takes as types. Imports nothing of ours."""

from typing import Literal, get_args

State = Literal["loading", "ready", "draining", "dead"]
"""Of the server."""

Outcome = Literal["ok", "refused", "failed", "left"]
"""Of a request. `left`: the client did, before its answer was complete."""

EndReason = Literal["stop", "length", "cancelled", "error"]
"""Why a sequence ended."""

Audited = Literal["request", "picture"]
"""What an entry of the audit holds."""

STATES: tuple[State, ...] = get_args(State)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
END_REASONS: tuple[EndReason, ...] = get_args(EndReason)
AUDITED: tuple[Audited, ...] = get_args(Audited)
