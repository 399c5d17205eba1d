"""`python -m qbsf_pipeline.sandbox --folder DIR [--port N] [--empty]`: the process that is the sandbox.

Belongs here: the port, the files of the folder, start and end. The folder holds `sandbox.sqlite` (everything),
`services.json` (while it runs), `port`, `calls.log` and, when a parent started it, `sandbox.log`.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import uvicorn
from filelock import FileLock, Timeout

from qbsf_pipeline.sandbox import company
from qbsf_pipeline.sandbox.app import Sandbox
from qbsf_pipeline.sandbox.call_log import CallLog
from qbsf_pipeline.sandbox.store import Store

_HOST = "127.0.0.1"


class _Server(uvicorn.Server):
    """Tells where it listens once it does."""

    def __init__(self, config: uvicorn.Config, folder: Path, port: int) -> None:
        super().__init__(config)
        self._folder = folder
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        told = {"url": f"http://{_HOST}:{self._port}", "pid": os.getpid(), "started_at": datetime.now(UTC).isoformat()}
        _write(self._folder / "services.json", json.dumps(told))


def main() -> None:
    """Serve until SIGTERM or Ctrl-C. Exit 2: another sandbox has the folder, or the port that was asked for is taken."""
    parser = argparse.ArgumentParser(prog="python -m qbsf_pipeline.sandbox", description="A local Salesforce, "
                                     "QuickBooks Online and Slack on one port.")  # fmt: skip
    parser.add_argument("--folder", type=Path, required=True, help="where everything is kept")
    parser.add_argument("--port", type=int, help="default: the folder's last port, else a free one")
    parser.add_argument("--empty", action="store_true", help="start without the sample company")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "sandbox.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _refuse(f"another sandbox runs on {folder}")
    listening = _listen(folder, arguments.port)
    port = int(listening.getsockname()[1])
    store = Store(folder / "sandbox.sqlite")
    calls = CallLog(folder / "calls.log")
    sandbox = Sandbox(store, calls)
    if not company.is_seeded(store):
        begin = company.open_books if arguments.empty else company.seed_company_data
        begin(store, sandbox.clock)
        store.commit()
    gc.freeze()
    server = _Server(
        uvicorn.Config(
            sandbox,
            log_level="warning",
            access_log=False,
            lifespan="off",
            date_header=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        ),
        folder,
        port,
    )
    # uvicorn ends its loop on these and then raises them again, for whoever had them before: nothing is left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        server.run(sockets=[listening])
    finally:
        (folder / "services.json").unlink(missing_ok=True)
        store.close()
        calls.close()
        lock.release()


def _listen(folder: Path, wanted: int | None) -> socket.socket:
    """A bound socket: on the port asked for, else on the folder's last one, else on a free one."""
    kept = folder / "port"
    before = kept.read_text(encoding="utf-8").strip() if kept.exists() else ""
    tries = [wanted] if wanted is not None else [int(before), 0] if before.isdigit() else [0]
    for port in tries:
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, port))
        except OSError as error:
            listening.close()
            if wanted is not None:
                _refuse(f"port {port} of {_HOST} cannot be used: {error.strerror}")
            continue
        _write(kept, str(listening.getsockname()[1]))
        return listening
    return _refuse("no free port")


def _refuse(why: str) -> NoReturn:
    sys.stderr.write(f"sandbox: {why}\n")
    raise SystemExit(2)


def _write(path: Path, text: str) -> None:
    """Write a small file so that nobody ever sees half of it."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)


if __name__ == "__main__":
    main()
