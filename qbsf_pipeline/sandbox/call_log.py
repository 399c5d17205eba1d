"""The log of calls that the three services received: what was asked, what was answered, what went wrong on purpose.

Control calls and the person's page are not in it. Bodies and headers are not kept: they hold secrets.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

_IN_MEMORY = 50_000
_LOADED_AT_START = 5_000
_LONGEST_QUERY = 2_000


class CallLog:
    """Calls in the order they were answered; the newest 50,000 in memory, every one in the file.

    `path` is a file of JSON lines, appended to; None keeps the calls in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self._calls: deque[dict[str, Any]] = deque(maxlen=_IN_MEMORY)
        self._path = path
        self._file: TextIO | None = None
        if path is not None:
            if path.exists():
                with path.open(encoding="utf-8") as file:
                    for line in deque(file, maxlen=_LOADED_AT_START):
                        # The last line is cut off when the process was killed while writing it.
                        if line.endswith("\n"):
                            self._calls.append(json.loads(line))
            self._file = path.open("a", encoding="utf-8")

    def add(
        self,
        *,
        at: datetime,
        service: str,
        endpoint: str,
        method: str,
        path: str,
        query: str,
        status: int | None,
        fault: str | None,
        milliseconds: float,
    ) -> None:
        """Keep one call. `status` is None when the connection was cut instead of an answer."""
        call = {
            "at": at.isoformat(timespec="milliseconds"),
            "service": service,
            "endpoint": endpoint,
            "method": method,
            "path": path,
            "query": query[:_LONGEST_QUERY],
            "status": status,
            "fault": fault,
            "ms": round(milliseconds, 1),
        }
        self._calls.append(call)
        if self._file is not None:
            self._file.write(json.dumps(call, ensure_ascii=False) + "\n")
            self._file.flush()

    def listed(self) -> list[dict[str, Any]]:
        """The calls, oldest first: {"at", "service", "endpoint", "method", "path", "query", "status", "fault", "ms"}."""
        return list(self._calls)

    def summary(self) -> list[dict[str, Any]]:
        """How many calls per service and endpoint: {"service", "endpoint", "calls"}, by name."""
        counts = Counter((call["service"], call["endpoint"]) for call in self._calls)
        return [{"service": key[0], "endpoint": key[1], "calls": counts[key]} for key in sorted(counts)]

    def clear(self) -> None:
        """Forget every call, in the file too."""
        self._calls.clear()
        if self._file is not None:
            self._file.truncate(0)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
