"""``qbsf dev``: the built-in services and the Dagster UI, with sensors and schedules running, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from filelock import FileLock, Timeout

from qbsf_pipeline.cli.output import say
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.settings import Mode, Settings, load_settings


def dev(
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address the Dagster UI listens on.")] = "127.0.0.1",
) -> None:
    """Bring up the Dagster UI with sensors and schedules running; in mode sandbox also the built-in services.

    Close a deal on the page of the built-in services, and watch its invoice appear.
    """
    with _only_one(load_settings()) as alone, services_for(alone) as settings:
        from qbsf_pipeline.cli.passes import fail_left_over_runs, instance_for  # Dagster takes seconds to import

        with instance_for(settings) as instance:
            fail_left_over_runs(instance)
        if settings.mode is Mode.SANDBOX:
            say(f"Salesforce, QuickBooks and Slack side by side: {settings.environment.salesforce_login_url}/", style="bold")
        say(f"Dagster UI: http://{host}:{port}/  (ready in about half a minute; Ctrl-C ends everything)", style="bold")
        command = [sys.executable, "-m", "dagster", "dev", "-m", "qbsf_pipeline.definitions", "-h", host, "-p", str(port)]
        child = subprocess.Popen(command, env=os.environ | {"DAGSTER_HOME": os.environ["DAGSTER_HOME"]})
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.terminate()
            code = child.wait()
        raise typer.Exit(0 if code in (0, 130, -signal.SIGINT, -signal.SIGTERM) else code)


@contextmanager
def _only_one(settings: Settings) -> Iterator[Settings]:
    """The settings, while no other ``qbsf dev`` runs in the same folder: two daemons would start everything twice.

    Raises:
        ConfigurationError: one runs already.
    """
    home = settings.environment.home
    (home / "locks").mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "locks" / "dev.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        text = f"qbsf dev runs already in QBSF_HOME {home}: end that one first, or set QBSF_HOME to another folder"
        raise ConfigurationError([text]) from error
    try:
        yield settings
    finally:
        lock.release()
