"""What the proxy itself does with a request: keys, sizes, names, figures, load."""

import signal
from concurrent.futures import ThreadPoolExecutor

from tests.server.engines import until
from tests.site.clients import WHOLE, ask, question
from tests.site.conftest import Site

MEGABYTE = 2**20


def test_one_key_file_serves_all_devices(echo_site: Site, picture: str) -> None:
    body = question(picture, 1, stream=False)
    seen = [ask(echo_site.client, body, str(number)) for number in range(12)]
    assert {one.outcome for one in seen} == {WHOLE}
    refused = echo_site.client.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer wrong"})
    assert refused.status_code == 401


def test_a_body_of_the_devices_limit_arrives_and_a_larger_one_is_refused_in_the_known_shape(echo_site: Site) -> None:
    json = {"content-type": "application/json"}
    arrived = echo_site.client.post("/v1/chat/completions", content=b" " * (10 * MEGABYTE), headers=json)
    assert arrived.status_code == 400
    refused = echo_site.client.post("/v1/chat/completions", content=b" " * (10 * MEGABYTE + 1), headers=json)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    assert not list(echo_site.folder.glob("body/**/0*")), "a picture was written to the disk"


def test_a_request_has_one_name_everywhere(echo_site: Site) -> None:
    given = echo_site.client.get("/v1/models", headers={"x-request-id": "shift-7"})
    assert given.headers["x-request-id"] == "shift-7"
    assert " shift-7 200 " in echo_site.logged("shift-7")
    ours = echo_site.client.get("/v1/models").headers["x-request-id"]
    assert f" {ours} 200 " in echo_site.logged(ours)


def test_figures_are_not_those_of_some_device(echo_site: Site) -> None:
    assert echo_site.client.get("/metrics").status_code == 404
    assert echo_site.client.get("/ready").status_code == 200


def test_more_work_with_one_header_than_a_device_takes_goes_to_the_next(site: Site, picture: str) -> None:
    body = question(picture, 20, stream=False)
    for device in site.devices:
        device.process.process.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(ask, site.client, body, "a key") for _ in range(20)]
        until(lambda: sum(device.unread() for device in site.devices) == 20, "all requests to be sent")
        for device in site.devices:
            device.process.process.send_signal(signal.SIGCONT)
    assert {one.result().outcome for one in asked} == {WHOLE}
    hosts = [site.device(one.result().request) for one in asked]
    assert sorted(hosts.count(host) for host in set(hosts)) == [4, 16]
