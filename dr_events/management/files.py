"""Files that commands write."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from django.core.management.base import CommandError


def opened(path: Path) -> BinaryIO:
    """Opened before anything is exported: what was not written is not on record either. Raises
    CommandError."""
    try:
        return path.open("wb")
    except OSError as error:
        raise CommandError(f"--output: {path}: {error.strerror}") from error


def manifest_beside(path: Path) -> Path:
    """Where the manifest of an export goes."""
    return path.with_name(f"{path.name}.manifest.json")
