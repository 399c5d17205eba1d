"""A token vault in files, for processes that share it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from qbsf_pipeline.quickbooks.connection import StoredTokens

_INSTANTS = ("access_expires_at", "refresh_expires_at", "refresh_hard_expires_at", "updated_at")


class FileVault:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, realm: str) -> StoredTokens | None:
        path = self.folder / f"{realm}.json"
        if not path.exists():
            return None
        found = json.loads(path.read_text())
        return StoredTokens(**{k: datetime.fromisoformat(v) if k in _INSTANTS and v is not None else v for k, v in found.items()})

    def store(self, realm: str, tokens: StoredTokens) -> None:
        new = self.folder / f"{realm}.new"
        new.write_text(json.dumps({k: v.isoformat() if isinstance(v, datetime) else v for k, v in asdict(tokens).items()}))
        os.replace(new, self.folder / f"{realm}.json")

    @contextmanager
    def exclusive(self, realm: str) -> Iterator[None]:
        with FileLock(self.folder / f"{realm}.lock"):
            yield
