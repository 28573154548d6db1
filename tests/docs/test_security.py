"""SECURITY.md: each promise has a test, and routes without a key are those of the code."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.app import build_api
from edgevlm_server.model import load_model
from edgevlm_server.settings import Settings, SettingsError

from tests.boundaries.walls import LIBRARIES, ROOT
from tests.docs.pages import code, read, section, table
from tests.live import LiveServer

TEXT = read("SECURITY.md")

HELD_BY = {
    "It listens on loopback": [
        "test_without_keys_only_loopback_is_served",
        "test_a_network_address_without_keys_is_refused",
    ],
    "Every route needs a key once keys are set": [
        "test_every_other_route_needs_a_key",
        "test_the_file_holds_no_key_and_is_private",
        "test_keys_are_compared_in_constant_time",
        "test_a_file_that_is_wrong_says_where",
        "test_new_keys_are_taken_and_a_broken_file_is_said_once",
        "test_a_body_is_not_read_before_the_key_is_checked",
    ],
    "A page on the internet cannot use a server without keys on loopback": [
        "test_a_server_without_keys_on_loopback_is_safe_from_rebinding",
        "test_without_the_option_no_origin_may",
        "test_another_origin_may_do_neither",
    ],
    "It opens no outgoing connection": [
        "test_no_connection_is_opened_without_a_list",
        "test_links_in_texts_are_not_followed",
    ],
    "With the list, it connects only to what is in it.": [
        "test_not_allowed",
        "test_a_name_is_looked_up_once_and_the_connection_goes_there",
        "test_a_listed_name_does_not_lead_into_the_private_network",
        "test_redirects_are_not_followed",
        "test_no_proxy_is_used",
        "test_too_much_is_not_read",
        "test_a_host_that_drips_is_left",
        "test_https_with_another_name_or_authority",
        "test_no_text_from_the_host_or_the_client_is_repeated",
    ],
    "Nothing from a request runs": [
        "test_no_room_unpickles",
        "test_no_code_is_taken_from_data",
        "test_hostile_pickles_are_refused_and_not_run",
    ],
    "A picture is checked by its header first": [
        "test_size_is_checked_before_decoding",
        "test_a_hung_process_is_replaced_and_the_machine_to_blame",
        "test_a_picture_that_decodes_too_long_is_stopped",
        "test_memory_limit",
        "test_every_spelling_of_a_file_is_that_file",
        "test_a_server_without_the_extra_says_so",
    ],
    "Nothing is sent anywhere that was not asked for": ["test_nothing_is_left_in_a_home_of_its_own"],
    "Requests are bounded": ["test_limits_are_those_of_the_code", "test_more_than_the_limit_is_refused"],
    "Connections are bounded": [
        "test_one_address_leaves_room_for_others",
        "test_all_addresses_together_have_a_bound",
        "test_who_says_nothing_is_told_nothing",
        "test_a_head_that_does_not_come_to_its_end_is_told_so",
        "test_out_of_descriptors_is_a_line_a_second",
    ],
    "It speaks TLS 1.2 or newer": [
        "test_nothing_older_than_tls_1_2",
        "test_a_broken_file_keeps_the_certificate_of_before",
        "test_handshakes_under_way_count_as_connections",
        "test_a_handshake_that_does_not_come_is_given_up",
    ],
    "One client does not hold up the others": [
        "test_the_first_request_of_another_waits_for_one_of_the_flood_at_most",
        "test_pictures_are_decoded_and_encoded_in_turn",
        "test_a_full_queue_has_a_place_for_a_client_who_has_none",
    ],
    "Values are not repeated.": ["test_values_are_neither_answered_nor_logged"],
    "A bundle's files are verified": ["test_one_flipped_bit_is_found", "test_a_missing_file_is_found"],
}
"""How a promise begins, and the tests that fail when it is broken."""


@pytest.fixture(scope="module")
def locked(bundles: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with one client."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    add_key(file, "camera-1")
    settings = Settings(engine="echo")
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, KeyRing.load(file)) as server:
        yield server


def test_every_promise_has_tests_that_exist() -> None:
    promises = re.findall(r"^- \*\*(.+?)\*\*", section(TEXT, "What edgevlm promises"), re.MULTILINE)
    assert promises == list(HELD_BY)
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for name in (name for names in HELD_BY.values() for name in names):
        assert f"def {name}(" in written, name


# -- routes ----------------------------------------------------------------------------------------------------------


def open_routes() -> set[str]:
    return {name for row in table(section(TEXT, "Routes without a key")) for name in code(row[0])}


def routes(router: Any) -> Iterator[tuple[str, str]]:
    """Method and path of every route, also of those in routers that were included."""
    for route in router.routes:
        if (inner := getattr(route, "original_router", None)) is not None:
            yield from routes(inner)
        else:
            yield from ((method, route.path) for method in route.methods)


@pytest.fixture(scope="module")
def table_of_routes(locked: LiveServer) -> list[tuple[str, str]]:
    app = build_api(locked.service, None)
    found = list(routes(app))
    assert len(found) > 20
    return found


def listed_as(path: str) -> str:
    """How the page's list spells a path: files of a folder are one entry."""
    return re.sub(r"^/(page|docs)/.+", r"/\1/{name}", path)


def is_open(path: str) -> bool:
    return listed_as(path) in open_routes()


def test_every_other_route_needs_a_key(locked: LiveServer, table_of_routes: list[tuple[str, str]]) -> None:
    closed = [(method, path) for method, path in table_of_routes if not is_open(path)]
    assert len(closed) > 10
    for method, path in closed:
        assert locked.client.request(method, path).status_code == 401, (method, path)


def test_routes_without_a_key_are_there(locked: LiveServer, table_of_routes: list[tuple[str, str]]) -> None:
    paths = {path for _, path in table_of_routes if is_open(path)}
    assert {listed_as(path) for path in paths} == open_routes()
    for path in paths:
        assert locked.client.get(path).status_code == 200, path


@pytest.mark.slow
def test_without_the_page_its_routes_are_gone(bundles: Callable[[str], Path]) -> None:
    with LiveServer.on_bundle(bundles("v2"), engine="echo", no_page=True) as server:
        assert [server.client.get(path).status_code for path in ("/", "/page/page.js")] == [404, 404]


# -- keys and addresses ----------------------------------------------------------------------------------------------


def test_without_keys_only_loopback_is_served() -> None:
    assert Settings().host == "127.0.0.1"
    Settings().check()
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        with pytest.raises(SettingsError):
            Settings(host=host).check()
        Settings(host=host, open_to_network_without_keys=True).check()
        Settings(host=host, api_keys=Path("keys.txt")).check()


# -- code ------------------------------------------------------------------------------------------------------------


def test_no_room_unpickles() -> None:
    assert LIBRARIES["pickle"] == set()
