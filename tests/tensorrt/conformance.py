"""`python -m tests.tensorrt.conformance MODULE=NAME... -- FILE...`: what files use of a module, what it lacks.

Run with one version of the module on the path. It is imported and looked at; nothing of it is called.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

from tests.tensorrt.api_uses import Report, check


def main(arguments: list[str]) -> None:
    split = arguments.index("--")
    modules = {}
    for pair in arguments[:split]:
        used, _, installed = pair.partition("=")
        modules[used] = import_module(installed)
    total = Report()
    for name in arguments[split + 1 :]:
        report = check(Path(name), modules)
        total.found |= report.found
        total.wrong += report.wrong
    print(json.dumps({"found": sorted(total.found), "wrong": total.wrong}))


if __name__ == "__main__":
    main(sys.argv[1:])
