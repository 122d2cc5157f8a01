"""Files of pretrained weights: which there are, where they lie, whether they are whole. Imports no torch.

A file keeps torchvision's own name, which ends in the first digits of its SHA-256. One whose content differs
is never opened. Nothing is fetched from another machine but by `download_weights`, which a person asks for.
"""

import hashlib
import http.client
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final

ORIGIN: Final = "https://download.pytorch.org/models/"  # torchvision's own, for each of the files
CHUNK_BYTES: Final = 1 << 20
TIMEOUT_S: Final = 30

_HASH_IN_NAME: Final = re.compile(r"-([0-9a-f]{8,64})\.pth$")


class WeightsUnusable(Exception):
    """Pretrained weights that are missing, damaged or of another network. The message says what to do."""


@dataclass(frozen=True)
class WeightFile:
    """The weights that torchvision offers first for a network.

    Attributes:
        network: torchvision's name of it.
        name: of the file, torchvision's own.
        mebibytes: of the file, as torchvision gives them.
    """

    network: str
    name: str
    mebibytes: float

    @property
    def sha256_prefix(self) -> str:
        """The first hexadecimal digits of the content's SHA-256, which every file's name ends in."""
        found = _HASH_IN_NAME.search(self.name)
        if found is None:
            raise ValueError(f"{self.name} does not end in the first digits of a SHA-256 and .pth")
        return found.group(1)

    @property
    def url(self) -> str:
        return ORIGIN + self.name

    def __str__(self) -> str:
        return f"{self.name} ({self.mebibytes:.0f} MiB)"


WEIGHT_FILES: Final[dict[str, WeightFile]] = {
    one.network: one
    for one in (
        WeightFile("vgg16", "vgg16-397923af.pth", 527.796),
        WeightFile("vgg19", "vgg19-dcbb9e9d.pth", 548.051),
        WeightFile("resnet18", "resnet18-f37072fd.pth", 44.661),
        WeightFile("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth", 9.829),
        WeightFile("mobilenet_v3_large", "mobilenet_v3_large-5c1a4163.pth", 21.107),
        WeightFile("inception_v3", "inception_v3_google-0cc3c7bd.pth", 103.903),
    )
}


def find_weights(network: str, folder: Path | None) -> Path:
    """The file of a network's pretrained weights, after its hash was compared with its name.

    Args:
        network: key of `WEIGHT_FILES`.
        folder: where such files lie; None where there is no such place.

    Raises:
        WeightsUnusable: the file is not there, can't be read, or is not the one that its name says.
    """
    wanted = WEIGHT_FILES[network]
    if folder is None:
        raise WeightsUnusable(f"{wanted} is needed, but no folder for pretrained weights is given.")
    path = folder / wanted.name
    if not path.is_file():
        raise WeightsUnusable(
            f"The pretrained weights of {network} are needed, and {wanted} is not in {folder.resolve()}. "
            "Put it there with “manage.py weights add FILE”, or on a machine with internet access with "
            f"“manage.py weights add --download {network}”. Or choose weights: none."
        )
    try:
        digest = _digest_of(path)
    except OSError as error:
        raise WeightsUnusable(f"{path} can't be read: {error}.") from error
    if not digest.startswith(wanted.sha256_prefix):
        raise WeightsUnusable(_not_it(wanted, path, digest) + " Remove it, and add a whole one.")
    return path


def add_weights(source: Path, folder: Path) -> Path:
    """Copies a file to where trainings look for it, under its own name, however it is called where it lies.

    Raises:
        WeightsUnusable: it can't be read, or by its hash it is none of `WEIGHT_FILES`.
        OSError: the folder can't be written, or is full.
    """
    try:
        opened = source.open("rb")
    except OSError as error:
        raise WeightsUnusable(f"{source} can't be read: {error}.") from error
    with opened as content, _unfinished(folder) as (path, unfinished):
        shutil.copyfileobj(content, unfinished, CHUNK_BYTES)
        unfinished.flush()
        digest = _hash(path)
        for known in WEIGHT_FILES.values():
            if digest.startswith(known.sha256_prefix):
                return path.replace(folder / known.name)
    named = next((known for known in WEIGHT_FILES.values() if known.name == source.name), None)
    if named is not None:
        raise WeightsUnusable(_not_it(named, source, digest) + " Copy it anew.")
    raise WeightsUnusable(
        f"By its SHA-256, which begins with {digest[:8]}, {source} is none of the files that a method uses. "
        f"These are {', '.join(known.name for known in WEIGHT_FILES.values())}."
    )


def download_weights(
    network: str, folder: Path, on_progress: Callable[[int, int], None] = lambda *_: None
) -> Path:
    """Fetches the weights of a network from torchvision's own place, and checks them.

    Args:
        network: key of `WEIGHT_FILES`.
        folder: where trainings look for them.
        on_progress: is given the bytes that have come and those that there are, 0 where that is not told.

    Raises:
        WeightsUnusable: they can't be fetched, or what came is something else.
        OSError: the folder can't be written, or is full.
    """
    wanted = WEIGHT_FILES[network]
    try:
        answer = urllib.request.urlopen(wanted.url, timeout=TIMEOUT_S)  # noqa: S310 - the scheme is ours
    except OSError as error:
        raise WeightsUnusable(
            f"{wanted.url} can't be reached: {error}. Fetch it on another machine, and bring it here with "
            "“manage.py weights add FILE”."
        ) from error
    with answer, _unfinished(folder) as (path, unfinished):
        total = int(answer.headers.get("Content-Length") or 0)
        while chunk := _received(answer, wanted):
            unfinished.write(chunk)
            on_progress(unfinished.tell(), total)
        unfinished.flush()
        digest = _hash(path)
        if not digest.startswith(wanted.sha256_prefix):
            raise WeightsUnusable(_not_it(wanted, path, digest) + " Try again.")
        return path.replace(folder / wanted.name)


def _received(answer: BinaryIO, wanted: WeightFile) -> bytes:
    try:
        return answer.read(CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsUnusable(f"{wanted.url} broke off: {error}. Try again.") from error


@contextmanager
def _unfinished(folder: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file in the folder to write to, gone at the end unless it was renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".unfinished-", delete=False) as file:
        path = Path(file.name)
        try:
            path.chmod(0o644)
            yield path, file
        finally:
            path.unlink(missing_ok=True)


def _not_it(wanted: WeightFile, path: Path, digest: str) -> str:
    size = path.stat().st_size / 2**20
    return (
        f"{path} is damaged, or is not {wanted.name}: its SHA-256 begins with {digest[:8]}, not with "
        f"{wanted.sha256_prefix}, and it has {size:.1f} of {wanted.mebibytes:.1f} MiB."
    )


def _digest_of(path: Path) -> str:
    """The SHA-256 of a file, computed once while the file stays as it is."""
    found = path.stat()
    return _remembered(path, found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=32)
def _remembered(path: Path, size: int, changed_ns: int, inode: int) -> str:
    return _hash(path)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
