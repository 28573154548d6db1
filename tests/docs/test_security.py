"""SECURITY.md: each promise has a test, routes without a key and limits are those of the code."""

import ast
import hashlib
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edgevlm_engines import size_text
from edgevlm_server import stations
from edgevlm_server.guided.compiler import MOST_BYTES, THOROUGH
from edgevlm_server.guided.sandbox import MAX_BYTES
from edgevlm_server.http.access.key_file import add_key
from edgevlm_server.http.access.keys import KeyRing
from edgevlm_server.http.app import build_api
from edgevlm_server.http.body.json_body import MAX_REST
from edgevlm_server.http.transport.heads import MAX_HEAD
from edgevlm_server.images.formats.limits import FORMATS, ImageLimits
from edgevlm_server.model import load_model
from edgevlm_server.options import flag
from edgevlm_server.runtime.bodies import ROOM, SMALL_BODY
from edgevlm_server.settings import OPTIONS, Settings, SettingsError

from tests.boundaries.walls import LIBRARIES, ROOMS, ROOT
from tests.docs.pages import code, read, section, table
from tests.live import LiveServer
from tests.pictures import data_url, image_part, text_part, user

TEXT = read("SECURITY.md")
SECRET = "zq7secret"

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
def key_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    file = tmp_path_factory.mktemp("keys") / "keys"
    return file, add_key(file, "camera-1")


@pytest.fixture(scope="module")
def locked(bundles: Callable[[str], Path], key_file: tuple[Path, str]) -> Iterator[LiveServer]:
    """A server with one client."""
    settings = Settings(engine="echo")
    ring = KeyRing.load(key_file[0])
    with LiveServer(lambda: load_model(bundles("v2"), settings), settings, ring) as server:
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


def test_keys_are_stored_as_sha256(key_file: tuple[Path, str]) -> None:
    file, key = key_file
    assert file.read_text().split() == ["camera-1", hashlib.sha256(key.encode()).hexdigest()]


def test_keys_are_compared_in_constant_time(key_file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bool] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one == other)
        return compared[-1]

    monkeypatch.setattr("hmac.compare_digest", compare)
    ring = KeyRing.load(key_file[0])
    assert ring.client_of(key_file[1]) == "camera-1" and ring.client_of("wrong") is None
    assert compared == [True, False]


# -- connections, code, values ---------------------------------------------------------------------------------------


class Connections:
    """What this process connects to and looks up while `watching`; audit hooks cannot be removed."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.watching = False
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event in ("socket.connect", "socket.getaddrinfo"):
            self.seen.append(arguments[1] if event == "socket.connect" else arguments[0])


@pytest.mark.slow
def test_no_connection_is_opened_without_a_list(bundles: Callable[[str], Path]) -> None:
    connections = Connections()
    connections.watching = True
    try:
        with LiveServer.on_bundle(bundles("v2"), engine="echo") as server:
            assert server.chat(user(image_part(), text_part("see http://192.0.2.1/a.jpg"))[0]["content"]).is_success
            assert server.chat(user(image_part("http://192.0.2.1/a.jpg"))[0]["content"]).status_code == 400
            own = {("127.0.0.1", server.port), "127.0.0.1"}
    finally:
        connections.watching = False
    assert connections.seen and set(connections.seen) <= own


def test_no_room_unpickles() -> None:
    assert LIBRARIES["pickle"] == set()


def test_values_are_neither_answered_nor_logged(
    locked: LiveServer, key_file: tuple[Path, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = {"role": "user", "content": f"say {SECRET}"}
    picture = user(text_part(), {**image_part(), "uuid": SECRET})
    bodies: list[dict[str, Any]] = [
        {"messages": [said]},
        {"messages": picture},
        {"messages": [said], "user": SECRET, "stop": SECRET},
        {"messages": [said], "model": SECRET},
        {"messages": [said], "temperature": SECRET},
        {"messages": [said], "unheard_of": SECRET},
        {"messages": user(image_part(f"data:image/png;base64,{SECRET}"))},
        {"messages": user(image_part(f"http://{SECRET}.example/a.png"))},
        {"messages": user({"type": "image_url", "uuid": f"{SECRET}-unknown"})},
    ]
    headers = {"authorization": f"Bearer {key_file[1]}"}
    answers = [locked.client.post("/v1/chat/completions", json=body, headers=headers) for body in bodies]
    assert [answer.status_code for answer in answers] == [200] * 3 + [404] + [400] * 4 + [404]
    for answer in answers[3:]:
        assert SECRET not in answer.text
    # a request's line is written behind its answer
    deadline = time.monotonic() + 5
    while len(lines := _lines(caplog)) < len(bodies) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(lines) >= len(bodies)
    assert not [line for line in lines if SECRET in line]


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the product has logged."""
    return [record.getMessage() for record in caplog.records if record.name.startswith("edgevlm")]


@pytest.mark.slow
def test_caches_can_be_turned_off(bundles: Callable[[str], Path]) -> None:
    text = section(TEXT, "What it does not do")
    assert "`--image-cache 0 --prefix-cache 0`" in text
    content = user(image_part(), text_part("a long question about it " * 8))[0]["content"]
    with LiveServer.on_bundle(bundles("v2"), engine="echo", image_cache=0, prefix_cache=0) as server:
        usages = [server.chat(content).json()["usage"] for _ in range(2)]
        hits = server.metrics()["edgevlm_mm_cache_hits_total"]
    assert [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages] == [0, 0]
    assert hits == 0


# -- limits ----------------------------------------------------------------------------------------------------------


def constant(name: str) -> Any:
    """The value of the server's one constant of this name."""
    found = [
        ast.literal_eval(node.value)
        for path in ROOMS["edgevlm_server"].rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]
    ]
    [value] = found
    return value


def limits() -> dict[str, str]:
    """What the table must say."""
    settings, images = Settings(), ImageLimits()
    return {
        "open connections": str(settings.max_connections),
        "open connections of one address": str(settings.max_connections_per_address),
        "time for the head of a request to arrive": f"{settings.head_timeout:g} s",
        "time that an idle connection is kept": f"{settings.keep_alive:g} s",
        "one body": size_text(settings.max_body),
        "time for a body to arrive": f"{constant('BODY_SECONDS'):g} s",
        "large bodies on their way together": f"{10 * ROOM:g} bodies of the largest size for 10 places",
        "head of a request": size_text(MAX_HEAD),
        "rest of a body whose request is answered": f"{constant('REST_SECONDS'):g} s, and ten times the largest body",
        "values in a JSON body": str(constant("MAX_VALUES")),
        "a JSON body without its long texts and pictures": size_text(MAX_REST),
        "one text, and all texts of a chat": f"{constant('MAX_TEXT')} characters",
        "messages of a chat": str(constant("MAX_MESSAGES")),
        "parts of a message": str(constant("MAX_PARTS")),
        "fields of a form": str(constant("MAX_FIELDS")),
        "fields read in one request": str(constant("MOST_FIELDS")),
        "pictures, and parts of pictures, that they look at": str(constant("MOST_VIEWS")),
        "stations": f"{constant('MAX_STATIONS')}, of {size_text(stations.MAX_BYTES)} each",
        "answers to one request": str(constant("MAX_ANSWERS")),
        "pictures of one request": str(settings.max_images),
        "file of one picture": size_text(images.max_bytes),
        "megapixels of one picture": ", ".join(f"{one} {images.most_pixels(one) / 1e6:.1f}" for one in FORMATS),
        "processor time to decode a picture": f"{settings.image_timeout:g} s",
        "memory of the process that decodes": size_text(images.memory_bytes),
        "time to fetch a picture": f"{images.fetch_seconds:g} s",
        "pictures fetched at once": str(constant("AT_ONCE")),
        "pictures fetched at once from one host": str(constant("AT_ONE_HOST")),
        "stop strings": "4, of 64 characters",
        "one JSON schema": f"{constant('MAX_SIZE')} characters",
        "levels of a JSON schema": str(constant("MAX_DEPTH")),
        "memory of one compiled schema, or other form of an answer": size_text(MAX_BYTES),
        "memory of all of them": size_text(MOST_BYTES),
        "processor time to compile one": f"{THOROUGH:g} s",
        "requests that wait": str(settings.max_queue),
        "time for a whole request": "none" if settings.request_timeout is None else "?",
        "one client's requests at once": "none" if settings.limit_requests_at_once is None else "?",
        "one client's requests in 60 seconds": "none" if settings.limit_requests_per_minute is None else "?",
        "one client's tokens in 60 seconds": "none" if settings.limit_tokens_per_minute is None else "?",
        "one client's pictures in the cache": "none" if settings.limit_pictures_kept is None else "?",
        "one step of the engine": f"{settings.engine_timeout:g} s",
    }


@pytest.mark.slow
def test_limits_are_those_of_the_code() -> None:
    rows = table(section(TEXT, "Limits"))
    assert {what: limit for what, limit, _ in rows} == limits()
    options = {name for _, _, option in rows for name in code(option)}
    assert options <= {flag(name) for name in OPTIONS}
    assert f"after {constant('GRACE_SECONDS'):g} s at the earliest" in TEXT
    assert f"Bodies of up to {size_text(SMALL_BODY)} are" in TEXT


HI = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": ["a", "b", "c", "d"]},
        {"stop": "s" * 64},
        {"messages": HI * 63},
        {"messages": user(*[text_part("hi")] * 64)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_as_much_as_the_limit_is_taken(echo_server: LiveServer, fields: dict[str, Any]) -> None:
    body = {"messages": HI, "max_tokens": 1, **fields}
    assert echo_server.client.post("/v1/chat/completions", json=body).is_success


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": ["a", "b", "c", "d", "e"]},
        {"stop": "s" * 65},
        {"n": 17},
        {"messages": HI * 1025},
        {"messages": user(*[text_part("hi")] * 65)},
        {"messages": [{"role": "user", "content": "h" * 32769}]},
        {"messages": user(*[image_part(data_url((shade, 0, 0))) for shade in range(9)])},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"const": "x" * 32768}}}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_more_than_the_limit_is_refused(echo_server: LiveServer, fields: dict[str, Any]) -> None:
    body = {"messages": HI, **fields}
    assert echo_server.client.post("/v1/chat/completions", json=body).status_code == 400
