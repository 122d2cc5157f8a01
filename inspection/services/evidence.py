"""What a line keeps of its parts' images and maps. The line's process writes and prunes it."""

from pathlib import Path

from .lines import line_folder


def evidence_file(line_slug: str, relative_path: str) -> Path | None:
    """A kept file of a line; None where nothing was kept, it is gone, or the path leads out of the folder."""
    if not relative_path:
        return None
    folder = line_folder(line_slug).resolve()
    path = (folder / relative_path).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None
