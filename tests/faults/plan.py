"""The faults, and which tests make them happen."""

from typing import NamedTuple


class Fault(NamedTuple):
    """Names of test functions, wherever they lie. None for what the folder's docstring says cannot be done here."""

    what: str
    tests: tuple[str, ...]


FAULTS: dict[str, Fault] = {
    "F1": Fault(
        "killed while it answers",
        ("test_killed_within_a_stream_nothing_looks_complete", "test_killed_outright_it_starts_again"),
    ),
    "F2": Fault(
        "the engine fails",
        (
            "test_a_dead_engine_ends_the_process_with_a_code_that_restarts_it",
            "test_an_engine_failure_ends_everyone_and_refuses_everyone_later",
            "test_a_stream_that_has_begun_ends_with_an_error_event_and_no_done",
        ),
    ),
    "F3": Fault(
        "the engine is stuck",
        (
            "test_while_an_engine_is_stuck_in_c_the_server_says_that_it_lives",
            "test_an_engine_that_hangs_is_found_out_and_the_process_restarted",
            "test_a_vision_encoder_that_hangs_keeps_nobody_waiting",
        ),
    ),
    "F4": Fault(
        "one of eight fails",
        (
            "test_one_of_eight_fails_and_seven_are_answered_as_alone",
            "test_a_prompt_that_the_engine_refuses_ends_one_request_alone",
        ),
    ),
    "F5": Fault("numbers that are none", ("test_broken_numbers_end_one_request_and_spare_the_others",)),
    "F6": Fault("memory runs out in a call of the engine", ("test_memory_that_runs_out_at_any_call_loses_nobody",)),
    "F7": Fault(
        "a client leaves a stream",
        ("test_whenever_a_client_leaves_the_next_answer_is_right", "test_a_client_that_leaves_frees_its_slot"),
    ),
    "F8": Fault(
        "a client leaves a whole answer",
        (
            "test_whenever_a_client_leaves_the_next_answer_is_right",
            "test_a_client_that_leaves_while_it_waits_is_forgotten",
            "test_who_ends_its_side_with_its_request_gets_the_answer",
        ),
    ),
    "F9": Fault("a link is dropped", ()),
    "F10": Fault("a reader stops reading", ("test_a_reader_that_stops_reading_holds_up_nobody",)),
    "F11": Fault("hundreds connect and leave", ("test_hundreds_that_connect_and_leave_change_nothing",)),
    "F12": Fault("more requests than places", ("test_one_too_many_is_told_when_to_come_back",)),
    "F13": Fault(
        "slow senders",
        (
            "test_slow_senders_of_every_kind_keep_no_client_out",
            "test_half_sent_large_bodies_lock_nobody_out",
            "test_silent_connections_lock_nobody_out_for_long",
        ),
    ),
    "F14": Fault(
        "a signal",
        (
            "test_a_signal_while_it_loads_ends_it",
            "test_it_answers_and_ends_cleanly_on_sigterm",
            "test_running_requests_end_before_the_process_does",
            "test_a_signal_with_every_place_taken_answers_everyone",
            "test_a_signal_while_a_picture_decodes_is_no_crash",
            "test_a_second_signal_ends_it_at_once",
        ),
    ),
    "F15": Fault(
        "damaged files of a model",
        (
            "test_wherever_a_bundle_is_damaged_it_is_refused",
            "test_every_flipped_bit_is_refused",
            "test_a_manifest_that_contradicts_itself_is_refused",
            "test_a_bundles_file_that_became_a_pipe_is_not_waited_for",
            "test_every_call_is_tried_before_a_server_is_ready",
            "test_damaged_plans_are_refused",
            "test_a_damaged_bundle_is_one_sentence_and_a_code_that_does_not_restart",
        ),
    ),
    "F16": Fault(
        "a full disk",
        (
            "test_an_export_onto_a_full_disk_leaves_what_was_there",
            "test_a_log_that_cannot_be_written_fails_no_request",
            "test_a_full_disk_is_found_out_before_the_work",
        ),
    ),
    "F17": Fault("an export is killed", ("test_a_killed_export_leaves_no_bundle",)),
    "F18": Fault("a clock that jumps", ("test_a_clock_that_jumps_changes_no_deadline",)),
    "F19": Fault(
        "out of descriptors",
        ("test_out_of_descriptors_is_a_line_a_second", "test_as_many_connections_as_descriptors_allow"),
    ),
    "F20": Fault(
        "the decoding process fails",
        (
            "test_process_killed_while_it_decodes",
            "test_a_hung_process_is_replaced_and_the_machine_to_blame",
            "test_worker_that_fails_on_a_picture",
            "test_memory_limit",
        ),
    ),
    "F21": Fault("many bad starts", ("test_the_unit_restarts_what_a_restart_can_help",)),
    "F22": Fault(
        "nowhere to write",
        (
            "test_it_is_the_chart_s_user_and_writes_where_the_chart_says",
            "test_without_a_home_or_a_temporary_folder_it_serves",
        ),
    ),
    "F23": Fault("steps become slow", ("test_a_slow_engine_is_not_taken_for_a_stuck_one",)),
}
"""By their numbers in the project's plan of tests."""
