"""The list of hosts: what may be asked for, where a name may lead, and no way around it by spelling."""

import ipaddress

import pytest
from edgevlm_server.images.hosts import ImageHosts, Target, read_url
from hypothesis import given
from hypothesis import strategies as st

LISTED = ImageHosts.parse("camera-1.local, Camera-2.local:8080, 10.0.0.7, 10.0.0.8:8081, [fd00::5]:81, 10.1.0.0/24")


def allowed(url: str, hosts: ImageHosts = LISTED) -> bool:
    target = read_url(url)
    return target is not None and hosts.allow(target)


@pytest.mark.parametrize(
    "url",
    [
        "http://camera-1.local/snap.jpg",
        "https://camera-1.local/snap.jpg",
        "HTTP://CAMERA-1.LOCAL/snap.jpg?channel=1&at=now",
        "http://camera-1.local:80",
        "https://camera-1.local:443?x",
        "http://camera-2.local:8080/",
        "https://camera-2.local:8080/",
        "http://10.0.0.7/",
        "http://10.0.0.8:8081/",
        "http://[fd00::5]:81/",
        "http://[fd00:0:0::5]:81/",
        "http://[::ffff:10.0.0.7]/",
        "http://10.1.0.255/user@name/%41",
    ],
)
def test_allowed(url: str) -> None:
    assert allowed(url)


@pytest.mark.parametrize(
    "url",
    [
        # another scheme
        "ftp://camera-1.local/",
        "file://camera-1.local/",
        "gopher://10.0.0.7/",
        "//camera-1.local/",
        "http:camera-1.local",
        "http:/camera-1.local/",
        "http:///camera-1.local/",
        # another host that looks like it
        "http://camera-1.local.evil.example/",
        "http://evil.camera-1.local/",
        "http://evil-camera-1.local/",
        "http://camera-1.local./",
        "http://camera-1.loca/",
        "http://camera-1%2elocal/",
        "http://camera-1\u3002local/",
        "http://\uff43amera-1.local/",
        "http://camera-1.local\\@evil.example/",
        "http://evil.example\\camera-1.local/",
        "http://evil.example#camera-1.local/",
        "http://evil.example/camera-1.local",
        "http://evil.example/?http://camera-1.local/",
        # user names
        "http://camera-1.local@evil.example/",
        "http://evil.example@camera-1.local/",
        "http://admin:admin@camera-1.local/",
        "http://@camera-1.local/",
        # other ports
        "http://camera-1.local:8080/",
        "http://camera-1.local:443/",
        "https://camera-1.local:80/",
        "http://camera-1.local:0/",
        "http://camera-1.local:65616/",
        "http://camera-1.local:99999999/",
        "http://camera-1.local:/",
        "http://camera-1.local:80:80/",
        "http://camera-2.local/",
        "http://10.0.0.7:8081/",
        "http://10.0.0.8/",
        "http://[fd00::5]/",
        "http://10.1.0.1:8080/",
        # other spellings of addresses
        "http://10.0.7/",
        "http://167772167/",
        "http://0x0a000007/",
        "http://0x0a.0.0.7/",
        "http://012.0.0.7/",
        "http://10.0.0.07/",
        "http://10.0.0.7./",
        "http://[10.0.0.7]:8081/",
        "http://[fd00::5%25eth0]:81/",
        "http://[fd00::5:81/",
        "http://[::ffff:10.0.0.8]/",
        "http://[::10.0.0.7]/",
        "http://[64:ff9b::10.0.0.7]/",
        # others
        "http://10.1.1.0/",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://0/",
        "http://",
        "",
        # what would end a header
        "http://camera-1.local/ HTTP/1.1",
        "http://camera-1.local/\r\nx: y",
        "http://camera-1.local/\n",
        "http://camera-1.local/\0",
        "http://camera-1.local/é",
        "http://camera-1.local/#fragment",
        "http://camera-1.local/" + "a" * 2048,
        "http://camera-1.local\t/",
        " http://camera-1.local/",
    ],
)
def test_not_allowed(url: str) -> None:
    assert not allowed(url)


def test_what_is_asked_of_whom() -> None:
    assert read_url("HTTPS://Camera.Local:8443/A?b=C") == Target("https", "camera.local", 8443, "/A?b=C")
    assert read_url("http://camera.local?b") == Target("http", "camera.local", 80, "/?b")
    headers = {
        url: target.host_header if (target := read_url(url)) else None
        for url in (
            "http://a",
            "http://a:80",
            "http://a:81",
            "https://a:80",
            "http://[fd00::5]",
            "http://[fd00::5]:81",
        )
    }
    assert list(headers.values()) == ["a", "a", "a:81", "a:80", "[fd00::5]", "[fd00::5]:81"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:4700::1", True),
        # listed
        ("10.0.0.7", True),
        ("10.1.0.200", True),
        ("::ffff:10.0.0.7", True),
        # not public and not listed
        ("10.0.0.9", False),
        ("10.1.1.0", False),
        ("127.0.0.1", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.1", False),
        ("172.16.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fd00::6", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("255.255.255.255", False),
        ("240.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
        ("fec0::1", False),
        ("feff:ffff::1", False),
        ("192.88.99.1", False),
        ("::ffff:192.88.99.1", False),
    ],
)
def test_where_a_name_may_lead(address: str, expected: bool) -> None:
    for port in (80, 9000):
        assert LISTED.may_connect(ipaddress.ip_address(address), port) is expected


@pytest.mark.parametrize("address", ["fd00::5", "10.0.0.8", "::ffff:10.0.0.8"])
def test_an_address_that_is_listed_with_a_port_is_reached_on_that_port_alone(address: str) -> None:
    port = 81 if address == "fd00::5" else 8081
    assert LISTED.may_connect(ipaddress.ip_address(address), port)
    assert not LISTED.may_connect(ipaddress.ip_address(address), 8080)
    assert not LISTED.may_connect(ipaddress.ip_address(address), 80)


def test_loopback_and_link_local_only_if_they_are_listed() -> None:
    hosts = ImageHosts.parse("127.0.0.1,169.254.7.0/24,fe80::/64")
    assert all(hosts.may_connect(ipaddress.ip_address(a), 80) for a in ("127.0.0.1", "169.254.7.9", "fe80::1%eth0"))
    assert not any(
        hosts.may_connect(ipaddress.ip_address(a), 80) for a in ("127.0.0.2", "169.254.169.254", "fe80:0:0:1::1")
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "*", "*.local", ".local", "camera..local", "http://camera-1.local", "camera-1.local/snap", "a b"),
        *("user@camera", "camera:", "camera:0", "camera:65536", "camera:x", "-camera", "camera-", "kamera\u00e4"),
        *("10.1", "10.0.0.256", "0x7f000001", "2130706433", "a.1", "[fd00::5", "fd00::5", "[10.0.0.7", "[camera]"),
        *(
            "0.0.0.0",
            "[::]",
            "224.0.0.1",
            "10.0.0.0/33",
            "10.0.0.7/24",
            "0.0.0.0/0",
            "::/0",
            "224.0.0.0/4",
            "10.0.0.0/8:80",
        ),
        "x" * 64,
    ],
)
def test_what_is_no_host_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a host: use NAME|covers every address|at least one host is needed"):
        ImageHosts.parse(text)
    with pytest.raises(ValueError):
        ImageHosts.parse(f"{text},")


URL_TEXT = st.text("htps:/@.[]%#?\\0x17fa-camer1.locl, \t\n", max_size=60)


@given(URL_TEXT.map("http://".__add__) | URL_TEXT.map("http://camera-1.local".__add__) | URL_TEXT)
def test_whatever_is_allowed_has_a_listed_host_and_nothing_that_ends_a_header(text: str) -> None:
    target = read_url(text)
    if target is None or not LISTED.allow(target):
        return
    assert (target.host, target.port) in {("camera-1.local", 80), ("camera-1.local", 443)}
    assert (
        target.path.startswith("/") and target.path.isascii() and target.path.isprintable() and " " not in target.path
    )
    rest = text.lower().removeprefix("https://").removeprefix("http://")
    assert rest.startswith("camera-1.local") and rest[14:15] in ("", "/", "?", ":")
