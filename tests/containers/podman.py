"""Images built and run by podman as a cluster would run them, on a machine without a daemon or a registry.

No file of the machine is changed: settings and storage are folders of ours. Why these settings: runc, since crun
refuses machines with both kinds of control groups; limits, because podman's own defaults ask for more than a
machine without CAP_SYS_RESOURCE may give; no systemd and no journal is needed.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PORT = 8000

CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=8192:8192"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "{graph}"
runroot = "{run}"
"""
PIP_CONF = """
[global]
cert = /run/certificates.crt
disable-pip-version-check = true
"""

TIGHT = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=2g", "--pids-limit=256"]


def configure(storage: Path, folder: Path) -> None:
    """Write settings to `folder`, which is thrown away; `storage` keeps images from one run to the next."""
    storage.mkdir(parents=True, exist_ok=True)
    files = {
        "containers.conf": CONTAINERS_CONF,
        "storage.conf": STORAGE_CONF.format(graph=storage, run=folder / "run"),
        "pip.conf": PIP_CONF,
    }
    for name, text in files.items():
        (folder / name).write_text(text)


class Podman:
    """With the settings of a folder, which several processes may use at once.

    `architecture` is that of its images, as Debian calls it, where it is not this machine's.
    """

    def __init__(self, folder: Path, architecture: str | None = None) -> None:
        self._architecture = architecture
        self._suffix = f"-{architecture}" if architecture else ""
        self.base = f"localhost/debian-base{self._suffix}"
        self._pip = folder / "pip.conf"
        self.environment = {
            **os.environ,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        }

    def __call__(self, *arguments: str | Path, check: bool = True, given: str | None = None) -> str:
        """What podman prints on standard output; its complaints are in the error if it fails."""
        return self.result(*arguments, check=check, given=given).stdout.strip()

    def result(
        self, *arguments: str | Path, check: bool = False, given: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["podman", *arguments], capture_output=True, text=True, env=self.environment, input=given
        )
        assert not check or done.returncode == 0, f"{arguments}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def make_base(self) -> None:
        if self.result("image", "exists", self.base).returncode:
            script = Path(__file__).with_name("base.sh")
            other = [self._architecture] if self._architecture else []
            subprocess.run([script, self.base, *other], env=self.environment, check=True)

    def build(self, name: str, dockerfile: Path, context: Path, **arguments: str) -> str:
        """The image's name. The machine's certificates are lent to the build, for a pip behind a proxy of a site.

        The format is Docker's: the other one drops HEALTHCHECK.
        """
        options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        if self._architecture:
            options.append(f"--platform=linux/{self._architecture}")
        lent = [f"--volume={CERTIFICATES}:/run/certificates.crt:ro", f"--volume={self._pip}:/etc/pip.conf:ro"]
        image = f"localhost/edgevlm:{name}{self._suffix}"
        self(
            "build",
            "--format=docker",
            "--network=host",
            *options,
            *lent,
            f"--file={dockerfile}",
            "-t",
            image,
            context,
        )
        return image

    def inspect(self, image: str) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self("image", "inspect", image))[0]["Config"]
        return config

    @contextmanager
    def volume(self) -> Iterator[str]:
        """The name of an empty one."""
        name = self("volume", "create")
        try:
            yield name
        finally:
            self("volume", "rm", "--force", name)

    @contextmanager
    def running(self, image: str, *options: str, command: Sequence[str] = ()) -> Iterator["Container"]:
        """A container as tight as can be, with a port of this machine's loopback."""
        name = self("run", "--detach", f"--publish=127.0.0.1::{PORT}", *TIGHT, *options, image, *command)
        try:
            yield Container(self, name)
        finally:
            self("rm", "--force", name)


class Container:
    """One that runs, or ran."""

    def __init__(self, podman: Podman, name: str) -> None:
        self._podman = podman
        self.name = name

    @property
    def url(self) -> str:
        return f"http://{self._podman('port', self.name, f'{PORT}/tcp').splitlines()[0]}"

    @property
    def log(self) -> str:
        done = self._podman.result("logs", self.name)
        return done.stdout + done.stderr

    def inspect(self, field: str) -> str:
        return self._podman("inspect", "--format", f"{{{{{field}}}}}", self.name)

    @property
    def pid(self) -> int:
        """On this machine."""
        return int(self.inspect(".State.Pid"))

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self._podman.result("exec", self.name, *command)

    def healthy(self) -> bool:
        """Its HEALTHCHECK, run by hand: podman's timer is systemd's."""
        return self._podman.result("healthcheck", "run", self.name).returncode == 0

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return int(self._podman("wait", self.name))

    def until_ready(self, seconds: float = 120, url: str | None = None) -> None:
        """`url` is needed where the server's port is not the image's."""
        url, deadline = url or self.url, time.monotonic() + seconds
        while time.monotonic() < deadline and self.inspect(".State.Running") == "true":
            try:
                if httpx.get(f"{url}/ready").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"not ready:\n{self.log}")
