"""Which files of a repository are needed, how large they are, and their digests, as the hub tells. Fetches none."""

from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, constants
from huggingface_hub.hf_api import RepoSibling

from edgevlm.hub.cache import is_digest, repository_folder
from edgevlm.hub.errors import HubError
from edgevlm.hub.published import Repository

BESIDE = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "README.md",
    "LICENSE*",
)
"""Small files that an export reads, and those that people should."""
WEIGHTS = (
    ("model*.safetensors", "model.safetensors.index.json"),
    ("pytorch_model*.bin", "pytorch_model.bin.index.json"),
)
"""One form of the weights suffices: the first that there is."""
SECONDS = 30


class HubFile(NamedTuple):
    """`digest` is also what the hub's cache calls the content: SHA-256, or git's SHA-1 for small files."""

    name: str
    size: int
    digest: str


class Listing(NamedTuple):
    """Files at a commit, the largest last; `folder` is the repository's in the hub's cache.

    So the weights come last, and a snapshot that has them has all the rest.
    """

    endpoint: str
    commit: str
    folder: Path
    files: list[HubFile]

    @property
    def total(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def missing(self) -> int:
        """Bytes that are still to be fetched."""
        return sum(file.size - self.present(file) for file in self.files)

    def present(self, file: HubFile) -> int:
        """Bytes of it that are here, whole or in part."""
        if self.blob(file).is_file():
            return file.size
        part = self.part(file)
        return min(part.stat().st_size, file.size) if part.is_file() else 0

    def blob(self, file: HubFile) -> Path:
        return self.folder / "blobs" / file.digest

    def part(self, file: HubFile) -> Path:
        """As earlier versions of the hub's client called what they had not finished."""
        return self.folder / "blobs" / f"{file.digest}.incomplete"

    def pointer(self, file: HubFile) -> Path:
        return self.folder / "snapshots" / self.commit / file.name


def list_files(repository: Repository) -> Listing:
    """Raises what the hub's client raises, and `HubError` for a listing that says too little."""
    info = HfApi(library_name="edgevlm").model_info(
        repository.id, revision=repository.revision, files_metadata=True, timeout=SECONDS
    )
    files = [_file(repository, sibling) for sibling in _needed(info.siblings or [])]
    if info.sha is None or not is_digest(info.sha):
        raise HubError(f"{constants.ENDPOINT} does not say which commit of {repository.id} it has.")
    return Listing(
        constants.ENDPOINT, info.sha, repository_folder(repository), sorted(files, key=lambda file: file.size)
    )


def _needed(siblings: list[RepoSibling]) -> list[RepoSibling]:
    patterns = list(BESIDE)
    for form in WEIGHTS:
        if any(fnmatch(sibling.rfilename, form[0]) for sibling in siblings):
            patterns += form
            break
    # no folders: all that is needed lies on top
    return [
        sibling
        for sibling in siblings
        if "/" not in sibling.rfilename and any(fnmatch(sibling.rfilename, pattern) for pattern in patterns)
    ]


def _file(repository: Repository, sibling: RepoSibling) -> HubFile:
    digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
    if sibling.size is None or digest is None or not is_digest(digest):
        raise HubError(f"{constants.ENDPOINT} gives no size or no digest of {sibling.rfilename} in {repository.id}.")
    return HubFile(sibling.rfilename, sibling.size, digest)
