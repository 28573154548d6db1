"""Manifests that say something else than the export did, with a digest of their own that is right."""

import json
from pathlib import Path
from typing import Any

from edgevlm_engines.bundle import MANIFEST, file_digest
from edgevlm_engines.sealed_json import sealed, unsealed


def content(bundle: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(unsealed((bundle / MANIFEST).read_bytes()))
    return read


def change(bundle: Path, **fields: Any) -> None:
    """Put these in place of the manifest's fields, or beside them."""
    (bundle / MANIFEST).write_bytes(sealed(json.dumps({**content(bundle), **fields}, indent=2)))


def change_part(bundle: Path, part: str, **fields: Any) -> None:
    """The same with the fields of one part."""
    change(bundle, **{part: {**content(bundle)[part], **fields}})


def change_file(bundle: Path, name: str, data: bytes) -> None:
    """Another content of a file, which the manifest vouches for."""
    path = bundle / name
    path.write_bytes(data)
    change_part(bundle, "files", **{name: {"size": len(data), "sha256": file_digest(path)}})
