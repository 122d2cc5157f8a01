"""ZIP archives as a tree, read member by member and never unpacked.

Before a byte is decompressed the archive's own directory is judged: names that lead out, links,
encryption, compression ratios and totals that only a bomb has. A directory that lies about sizes gains
nothing, because no more than the stated size is ever read and its checksum is compared.
"""

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .contract import FormatError, Refusal, Unreadable
from .tree import is_junk, reason_against, too_long

MAX_RATIO: Final = 200
# Below this many bytes a ratio means nothing: an all-black mask of 600 kB packs 900 to 1.
RATIO_FLOOR_BYTES: Final = 1 << 20
MAX_MEMBERS: Final = 1_000_000


class ZipTree:
    """An archive on this machine, open until `close`."""

    def __init__(self, path: Path, *, max_total_bytes: int) -> None:
        """Opens and judges the archive.

        Args:
            path: the archive.
            max_total_bytes: the most that its members may come to unpacked.

        Raises:
            FormatError: it is no ZIP, cut short, or as a whole what only a bomb is.
        """
        try:
            self._archive = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise FormatError(f"There is no file “{path}”.") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
            raise FormatError(_why_no_zip(path)) from error
        except OSError as error:
            raise FormatError(f"“{path.name}” can't be read ({error.strerror}).") from error
        try:
            self._refuse_bombs(path.stat().st_size, max_total_bytes)
        except FormatError:
            self._archive.close()
            raise
        self.refusals: list[Refusal] = []
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._sort_members()
        self.names: list[str] = sorted(self._members)

    def __enter__(self) -> "ZipTree":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __contains__(self, name: object) -> bool:
        return name in self._members

    def close(self) -> None:
        self._archive.close()

    def size(self, name: str) -> int:
        return self._members[name].file_size

    def read(self, name: str, max_bytes: int) -> bytes:
        member = self._members[name]
        if member.file_size > max_bytes:
            raise too_long(member.file_size, max_bytes)
        try:
            with self._archive.open(member) as stream:
                # Without a count, Python unpacks all there is before it looks at the stated size.
                return stream.read(member.file_size + 1)
        except NotImplementedError as error:
            raise Unreadable("It is packed in a way that can't be read; zip it again.") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            raise Unreadable(f"It is damaged inside the archive ({error}).") from error

    def _refuse_bombs(self, archive_bytes: int, max_total_bytes: int) -> None:
        members = self._archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise FormatError(f"The archive lists {len(members):,} files; at most {MAX_MEMBERS:,} are taken.")
        total = sum(member.file_size for member in members)
        if total > max_total_bytes:
            raise FormatError(
                f"The archive unpacks to {total / 1e9:,.2f} GB; "
                f"at most {max_total_bytes / 1e9:,.2f} GB are taken."
            )
        if total > RATIO_FLOOR_BYTES and total > MAX_RATIO * archive_bytes:
            ratio = total / max(archive_bytes, 1)
            raise FormatError(f"The archive unpacks to {ratio:,.0f} times its size; images never do.")

    def _sort_members(self) -> None:
        for name, member in self._ordinary():
            reason = reason_against(name) or _reason_against_member(member)
            if reason is None and name in self._members:
                reason = "The archive holds this name twice; the first one is taken."
            if reason:
                self.refusals.append(Refusal(_shown(name), reason))
            else:
                self._members[name] = member

    def _ordinary(self) -> Iterator[tuple[str, zipfile.ZipInfo]]:
        for member in self._archive.infolist():
            name = member.filename.replace("\\", "/")
            if not name.endswith("/") and not is_junk(name):
                yield name.removeprefix("./"), member


def _why_no_zip(path: Path) -> str:
    with path.open("rb") as stream:
        starts_as_zip = stream.read(2) == b"PK"
    if starts_as_zip:
        return f"“{path.name}” is cut short or damaged: its directory is missing. Send it again."
    return f"“{path.name}” is no ZIP archive."


def _reason_against_member(member: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind and kind != stat.S_IFREG:
        return "It is a link or another special file; only ordinary files are taken."
    if member.flag_bits & 0x1:
        return "It is encrypted; zip it without a password."
    if member.file_size > RATIO_FLOOR_BYTES and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        ratio = member.file_size / max(member.compress_size, 1)
        return f"It unpacks to {ratio:,.0f} times its packed size; at most {MAX_RATIO} times is taken."
    return None


def _shown(name: str) -> str:
    shown = name if name.isprintable() else ascii(name)[1:-1]
    return shown if len(shown) <= 200 else f"{shown[:197]}…"
