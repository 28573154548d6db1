"""Rows of the dashboard about requests: how many, how they ended, what they wait for, how fast."""

from tests.monitoring.expressions import Panel, Row, here, mean, middle_and_slow, per_second, quantile, share, used

STAGES = ("body", "prepare", "pictures", "queue", "prefill", "decode", "score", "send")

GLANCE = Row(
    "At a glance",
    [
        Panel(
            "State",
            "What each server is doing.",
            [("{{instance}} {{state}}", here("edgevlm_server_state") + " == 1")],
            kind="stat",
        ),
        Panel(
            "Up for",
            "Since the process began to serve.",
            [("{{instance}}", here("edgevlm_uptime_seconds"))],
            "s",
            "stat",
        ),
        Panel(
            "Requests",
            "Accepted, in a second.",
            [("{{instance}}", per_second("edgevlm_requests_accepted_total"))],
            "reqps",
            "stat",
        ),
        Panel(
            "Tokens",
            "Generated, in a second.",
            [("{{instance}}", per_second("edgevlm_generation_tokens_total"))],
            "short",
            "stat",
        ),
        Panel(
            "Failing",
            "Share of the accepted requests that end with an error.",
            [("{{instance}}", share("edgevlm_requests_failed_total", "edgevlm_requests_accepted_total"))],
            "percentunit",
            "stat",
        ),
        Panel(
            "First token",
            "95 of 100 requests have it by then.",
            [("{{instance}}", quantile(0.95, "edgevlm_time_to_first_token_seconds"))],
            "s",
            "stat",
        ),
        Panel(
            "Hottest",
            "Of all zones.",
            [("{{instance}}", f"max by (instance) ({here('edgevlm_device_temperature_celsius')})")],
            "celsius",
            "stat",
        ),
        Panel(
            "Power",
            "Of the whole module.",
            [("{{instance}}", here("edgevlm_device_total_power_watts"))],
            "watt",
            "stat",
        ),
    ],
)
REQUESTS = Row(
    "Requests",
    [
        Panel(
            "By route and status",
            "Of any kind, in a second.",
            [("{{route}} {{status}}", per_second("edgevlm_http_requests_total", "route, status") + " > 0")],
            "reqps",
            stacked=True,
        ),
        Panel(
            "How they ended",
            "left: the client did, before its answer was complete.",
            [("{{outcome}}", per_second("edgevlm_http_request_outcomes_total", "outcome"))],
            "reqps",
            stacked=True,
        ),
        Panel(
            "Errors by code",
            "docs/api.md says what each code means.",
            [("{{code}}", per_second("edgevlm_request_errors_total", "code") + " > 0")],
            "reqps",
            stacked=True,
        ),
        Panel(
            "Not accepted, by reason",
            "queue_full: the client is told when to come again.",
            [("{{reason}}", per_second("edgevlm_admission_rejections_total", "reason"))],
            "reqps",
            stacked=True,
        ),
        Panel(
            "Without a valid key",
            "In a second.",
            [("{{instance}}", per_second("edgevlm_unauthorized_requests_total"))],
            "reqps",
        ),
        Panel(
            "Bytes",
            "Of bodies.",
            [
                ("in", f"sum({per_second('edgevlm_http_request_body_bytes_total')})"),
                ("out", f"sum({per_second('edgevlm_http_response_body_bytes_total')})"),
            ],
            "Bps",
        ),
    ],
)
LOAD = Row(
    "Load",
    [
        Panel(
            "Slots",
            "Requests that run, and how many may run together.",
            used("edgevlm_num_requests_running", "edgevlm_num_requests_running_limit"),
        ),
        Panel(
            "Queue",
            "Requests that wait for a slot, and how many may wait.",
            used("edgevlm_num_requests_waiting", "edgevlm_num_requests_waiting_limit"),
        ),
        Panel(
            "Places",
            "Requests that are prepared, wait or run.",
            used("edgevlm_num_requests_inside", "edgevlm_num_requests_inside_limit"),
        ),
        Panel(
            "Connections",
            "Open ones, and how many may be open.",
            used("edgevlm_connections", "edgevlm_connections_limit"),
        ),
    ],
)
SPEED = Row(
    "Speed",
    [
        Panel(
            "First token", "From a request's arrival.", middle_and_slow("edgevlm_time_to_first_token_seconds"), "s"
        ),
        Panel("Between two tokens", "Of one answer.", middle_and_slow("edgevlm_inter_token_latency_seconds"), "s"),
        Panel(
            "Whole answers",
            "From arrival to the last token.",
            middle_and_slow("edgevlm_e2e_request_latency_seconds"),
            "s",
        ),
        Panel(
            "Where the time goes",
            "Mean of each stage of a request that passes it.",
            [
                (
                    stage,
                    mean(f"edgevlm_request_{stage}_time_seconds", "job"),
                )
                for stage in STAGES
            ],
            "s",
            stacked=True,
        ),
        Panel(
            "Steps of the engine",
            "Mean of one call, by kind.",
            [("{{instance}} {{kind}}", mean("edgevlm_step_seconds", "instance, kind"))],
            "s",
        ),
        Panel(
            "Sequences in a step",
            "Mean: how much is answered together.",
            [("{{instance}}", mean("edgevlm_decode_batch_size"))],
        ),
        Panel(
            "Tokens",
            "In a second.",
            [
                ("{{instance}} prompts", per_second("edgevlm_prompt_tokens_total")),
                ("{{instance}} answers", per_second("edgevlm_generation_tokens_total")),
            ],
        ),
        Panel(
            "Tokens of a request",
            "Mean.",
            [
                ("{{instance}} prompt", mean("edgevlm_request_prompt_tokens")),
                ("{{instance}} answer", mean("edgevlm_request_generation_tokens")),
            ],
        ),
    ],
)
