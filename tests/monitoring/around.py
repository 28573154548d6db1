"""Rows of the dashboard about what serves them: caches, the model, the device, the process, and who asks."""

from tests.monitoring.expressions import (
    Panel,
    Row,
    here,
    mean,
    middle_and_slow,
    per_second,
    quantile,
    risen,
    share,
    used,
)

PASSIVE = 'type="passive"'

CACHES = Row(
    "Pictures and caches",
    [
        Panel("Decoding a picture", "From a file to pixels.", middle_and_slow("edgevlm_image_decode_seconds"), "s"),
        Panel("Encoding a picture", "From pixels to features.", middle_and_slow("edgevlm_image_encode_seconds"), "s"),
        Panel(
            "Fetched pictures",
            "From addresses, by outcome.",
            [("{{outcome}}", per_second("edgevlm_image_fetches_total", "outcome"))],
            "reqps",
            stacked=True,
        ),
        Panel(
            "Found in caches",
            "Share of pictures, and of prompts' positions.",
            [
                ("{{instance}} pictures", share("edgevlm_mm_cache_hits_total", "edgevlm_mm_cache_queries_total")),
                (
                    "{{instance}} prompts",
                    share("edgevlm_prefix_cache_hits_total", "edgevlm_prefix_cache_queries_total"),
                ),
            ],
            "percentunit",
        ),
        Panel(
            "Memory of the picture cache",
            "Used, and its limit.",
            used("edgevlm_image_cache_bytes", "edgevlm_image_cache_limit_bytes"),
            "bytes",
        ),
        Panel(
            "Memory of the prompt cache",
            "Used, and its limit.",
            used("edgevlm_prefix_cache_bytes", "edgevlm_prefix_cache_limit_bytes"),
            "bytes",
        ),
        Panel(
            "Put out of caches",
            "In a second.",
            [
                ("{{instance}} pictures", per_second("edgevlm_image_cache_evictions_total")),
                ("{{instance}} prompts", per_second("edgevlm_prefix_cache_evictions_total")),
            ],
        ),
    ],
)
CERTAINTY = Row(
    "How sure the model is",
    [
        Panel(
            "Confidence of decisions",
            "Mean probability that the model, left alone, would give the likeliest answer.",
            [("{{instance}}", mean("edgevlm_decision_confidence"))],
            "percentunit",
        ),
        Panel(
            "Would it answer so by itself?",
            "Mean probability of any of the answers to choose from; the rest is how far it refuses.",
            [("{{instance}}", mean("edgevlm_decision_label_mass"))],
            "percentunit",
        ),
        Panel(
            "Confidence of answers",
            "Mean, and what nine of ten answers reach.",
            [
                ("{{instance}} mean", mean("edgevlm_answer_confidence")),
                ("{{instance}} 9 of 10", quantile(0.1, "edgevlm_answer_confidence")),
            ],
            "percentunit",
        ),
        Panel(
            "Refusals",
            "Of the model itself, and of answers that are not sure enough, in a second.",
            [("{{reason}}", per_second("edgevlm_answers_refused_total", "reason"))],
            "reqps",
            stacked=True,
        ),
    ],
    folded=True,
)
DEVICE = Row(
    "Device",
    [
        Panel(
            "GPU",
            "How busy it is.",
            [("{{instance}} {{gpu}}", here("edgevlm_device_gpu_utilization_ratio"))],
            "percentunit",
        ),
        Panel(
            "Memory",
            "Of all programs.",
            [
                ("{{instance}} used", here("edgevlm_device_memory_used_bytes")),
                ("{{instance}} for the GPU", here("edgevlm_device_gpu_memory_used_bytes")),
                ("{{instance}} total", here("edgevlm_device_memory_total_bytes")),
            ],
            "bytes",
        ),
        Panel("Clocks", "Now.", [("{{instance}} {{clock}}", here("edgevlm_device_clock_hertz"))], "hertz"),
        Panel(
            "Watts",
            "By rail; rails may be part of each other.",
            [
                ("{{instance}} {{rail}}", here("edgevlm_device_power_watts")),
                ("{{instance}} in all", here("edgevlm_device_total_power_watts")),
            ],
            "watt",
        ),
        Panel(
            "Temperatures",
            "And where the first zone is slowed down.",
            [
                ("{{instance}} {{zone}}", here("edgevlm_device_temperature_celsius")),
                (
                    "{{instance}} slows down",
                    f"min by (instance) ({here('edgevlm_device_trip_point_celsius', PASSIVE)})",
                ),
            ],
            "celsius",
        ),
        Panel(
            "Slowed down",
            "1 while any part is; and how often by voltage or current.",
            [
                ("{{instance}}", here("edgevlm_device_throttling")),
                (
                    "{{instance}} {{line}}",
                    risen("edgevlm_device_overcurrent_events_total", "instance, line"),
                ),
            ],
        ),
        Panel(
            "Fans",
            "How hard they are driven.",
            [("{{instance}} {{fan}}", here("edgevlm_device_fan_drive_ratio"))],
            "percentunit",
        ),
        Panel(
            "Joules for a token",
            "All that the module takes, idle time included.",
            [("{{instance}}", share("edgevlm_device_energy_joules_total", "edgevlm_generation_tokens_total"))],
            "joule",
        ),
        Panel(
            "Power mode",
            "Of a Jetson.",
            [("{{instance}} {{name}}", here("edgevlm_device_power_mode_info"))],
            kind="stat",
        ),
    ],
)
PROCESS = Row(
    "Process",
    [
        Panel(
            "Memory",
            "That is the process's own in RAM.",
            [("{{instance}}", here("process_resident_memory_bytes"))],
            "bytes",
        ),
        Panel("Processors", "How many it keeps busy.", [("{{instance}}", per_second("process_cpu_seconds_total"))]),
        Panel("File descriptors", "Open, and how many may be.", used("process_open_fds", "process_max_fds")),
        Panel("Threads", "Those of libraries included.", [("{{instance}}", here("edgevlm_threads"))]),
        Panel(
            "Event loop",
            "How late it is for what is due, 99 of 100 times.",
            [("{{instance}}", quantile(0.99, "edgevlm_event_loop_lag_seconds"))],
            "s",
        ),
        Panel(
            "Versions",
            "Of the servers.",
            [("{{instance}} {{version}} {{commit}}", here("edgevlm_build_info"))],
            kind="stat",
        ),
    ],
    folded=True,
)
CLIENTS = Row(
    "Clients, with --metrics-clients",
    [
        Panel(
            "Requests",
            "In a second.",
            [("{{client}}", per_second("edgevlm_client_requests_total", "client"))],
            "reqps",
            stacked=True,
        ),
        Panel(
            "Tokens",
            "Of prompts and answers, in a second.",
            [
                (
                    "{{client}}",
                    per_second("edgevlm_client_prompt_tokens_total", "client")
                    + " + "
                    + per_second("edgevlm_client_generation_tokens_total", "client"),
                )
            ],
            stacked=True,
        ),
        Panel(
            "Not heard for",
            "Since the last request.",
            [("{{client}}", f"time() - max by (client) ({here('edgevlm_client_last_request_timestamp_seconds')})")],
            "s",
        ),
    ],
    folded=True,
)
