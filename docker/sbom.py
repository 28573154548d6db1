"""`python docker/sbom.py LOCK FOLDER`: what an image holds, as CycloneDX (`sbom.cdx.json`) and as a list of licences.

Python packages come from the lock, with the hashes that pip checked; their licences are those that the installed
packages state, where this Python has the same versions. `--system` adds the packages that dpkg knows. The build of
each image runs it; needs nothing but Python.
"""

import argparse
import json
import platform
import re
import subprocess
import uuid
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

Component = dict[str, Any]

PACKAGE = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ \\;]+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
UNSTATED, ABSENT = "not stated by the package", "not known: not installed here"
DEBIAN = "see /usr/share/doc/{}/copyright"


def locked(lock: str) -> list[Component]:
    """A component for each package of a lock, with the hashes of all files that pip may take for it."""
    starts = [*PACKAGE.finditer(lock)]
    ends = [found.start() for found in starts[1:]] + [len(lock)]
    return [
        python_component(found["name"], found["version"], HASH.findall(lock[found.start() : end]))
        for found, end in zip(starts, ends, strict=True)
    ]


def python_component(name: str, version: str, hashes: list[str]) -> Component:
    """Of a package by its name in an index."""
    normal = normal_name(name)
    purl = f"pkg:pypi/{normal}@{version}"
    contents = [{"alg": "SHA-256", "content": digest} for digest in hashes]
    return {
        **{"type": "library", "bom-ref": purl, "name": normal, "version": version, "purl": purl},
        **({"hashes": contents} if contents else {}),
    }


def normal_name(name: str) -> str:
    """As indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence_of(package: Distribution) -> str:
    """An SPDX expression where the package gives one, else its own words."""

    def stated(field: str) -> list[str]:
        return package.metadata.get_all(field) or []

    licences = [line for line in stated("Classifier") if line.startswith("License ::")]
    names = [line.rpartition(" :: ")[2] for line in licences if not line.endswith("OSI Approved")]
    # some put the whole text there
    short = [text for text in stated("License") if len(text) < 80]
    return ", ".join(stated("License-Expression") or names or short) or UNSTATED


def system_packages() -> list[Component]:
    """What dpkg knows."""
    system = platform.freedesktop_os_release()["ID"]
    form = "-f=${Package} ${Version} ${Architecture}\n"
    lines = subprocess.run(["dpkg-query", "-W", form], capture_output=True, text=True, check=True).stdout.splitlines()
    made = []
    for name, version, architecture in (line.split(" ") for line in lines):
        purl = f"pkg:deb/{system}/{name}@{version}?arch={architecture}"
        made.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl})
    return made


def with_licences(components: list[Component]) -> list[Component]:
    """Licences of those that are installed here in the same version."""
    here = {
        (normal_name(name), one.version): licence_of(one)
        for one in distributions()
        if (name := one.metadata["Name"])  # what holds no name is no package
    }
    for component in components:
        if component["purl"].startswith("pkg:deb/"):
            licence = DEBIAN.format(component["name"])
        else:
            licence = here.get((component["name"], component["version"]), ABSENT)
        component["licenses"] = [{"license": {"name": licence}}]
    return components


def bill(components: list[Component], name: str) -> Component:
    """The whole; the same components give the same bytes."""
    references = "\n".join(component["bom-ref"] for component in components)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, references)}",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": f"edgevlm:{name}"}},
        "components": components,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes what an image holds.")
    parser.add_argument("lock", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--system", action="store_true", help="the packages of this system, too")
    arguments = parser.parse_args()
    lock, folder = arguments.lock, arguments.folder
    found = locked(lock.read_text(encoding="utf-8")) + (system_packages() if arguments.system else [])
    components = with_licences(found)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(bill(components, lock.stem), indent=1)
    (folder / "sbom.cdx.json").write_text(text + "\n", encoding="utf-8")
    lines = [f"{one['name']} {one['version']}: {one['licenses'][0]['license']['name']}" for one in components]
    (folder / "licences.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{folder}: {len(components)} components")


if __name__ == "__main__":
    main()
