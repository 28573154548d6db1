"""A real nginx on loopback with docs/nginx-site.conf as it is, but for addresses and files. Knows no requests."""

import getpass
import grp
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT
from edgevlm.errors import CommandError
from edgevlm.own_server import free_port, stop

SITE = ROOT / "docs/nginx-site.conf"
START_SECONDS = 20.0
STOP_SECONDS = 10.0
_SERVER = re.compile(r"^ *server \d+\.\d+\.\d+\.\d+:\d+( [^;]*;)\n", re.MULTILINE)

MAIN = """
daemon off;
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
include {folder}/site.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM."""

    certificate: Path
    key: Path


def site_text(devices: Sequence[str], port: int, folder: Path, tls: Tls | None, *, affinity: bool = True) -> str:
    """The documented site for devices `HOST:PORT`. Without `affinity` they get requests in turn."""
    text = SITE.read_text(encoding="utf-8")
    found = _SERVER.search(text)
    assert found is not None
    lines = "".join(f"    server {device}{found[1]}\n" for device in devices)
    text = text[: found.start()] + lines + _SERVER.sub("", text[found.end() :])
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port}{' ssl' if tls else ''};")
    text = text.replace("/var/log/nginx/edgevlm.log", str(folder / "access.log"))
    if tls is None:
        text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    else:
        text = text.replace("/etc/nginx/edgevlm.crt", str(tls.certificate))
        text = text.replace("/etc/nginx/edgevlm.key", str(tls.key))
    return text if affinity else text.replace("    hash $edgevlm_affinity consistent;\n", "")


@contextmanager
def nginx(devices: Sequence[str], folder: Path, tls: Tls | None = None, *, affinity: bool = True) -> Iterator[str]:
    """The site's address for as long as the block runs; logs go to `folder`. Raises `CommandError`."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise CommandError("nginx is not installed (Debian: nginx-light).")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "site.conf").write_text(site_text(devices, port, folder, tls, affinity=affinity), encoding="utf-8")
    main = folder / "nginx.conf"
    main.write_text(MAIN.format(folder=folder, user=_user()), encoding="utf-8")
    command = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(main)]
    with subprocess.Popen(command) as process:
        try:
            _wait_until_open(process, folder)
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        finally:
            stop(process, STOP_SECONDS)


def _user() -> str:
    """Root's workers would become somebody who cannot read the folder."""
    return f"user {getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name};" if os.getuid() == 0 else ""


def _wait_until_open(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Its number is written when it listens; connecting before that could take the very port that it wants."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if (folder / "nginx.pid").exists():
            return
        time.sleep(0.02)
    raise CommandError(f"nginx did not start: {(folder / 'error.log').read_text(encoding='utf-8').strip()}")
