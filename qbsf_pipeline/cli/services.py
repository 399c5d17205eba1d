"""The built-in services for commands that need them: in mode ``sandbox`` they are there, without a hand on anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.settings import Mode, Settings, load_settings


@contextmanager
def services_for(settings: Settings) -> Iterator[Settings]:
    """Settings that reach the services of their mode.

    In mode ``sandbox``: those of a running ``qbsf dev``, else services started for as long as the block lasts. Other modes
    reach real services; missing credentials are refused here, before any call.

    Raises:
        ConfigurationError: a variable that the mode needs is missing.
    """
    if settings.mode is not Mode.SANDBOX:
        settings.require_credentials()
        _require_connection(settings)
        yield settings
        return
    from qbsf_pipeline.sandbox.server import running_sandbox, start_sandbox

    folder = settings.environment.home / "sandbox"
    running = running_sandbox(folder)
    sandbox = running or start_sandbox(folder)
    try:
        os.environ.update(sandbox.environment())
        os.environ["QBSF_MODE"] = Mode.SANDBOX.value
        yield load_settings()
    finally:
        if running is None:
            sandbox.stop()


def _require_connection(settings: Settings) -> None:
    """Refuse, before any call, a company that was never connected."""
    environment = settings.environment
    if environment.quickbooks_refresh_token is not None:
        return
    from qbsf_pipeline.state.database import State

    realm = environment.quickbooks_realm_id or ""
    with State.open(environment.state_url, environment.home) as state:
        connected = state.tokens.quickbooks.load(realm) is not None
    if not connected:
        raise ConfigurationError(
            [
                f"QUICKBOOKS_REFRESH_TOKEN is not set, and company {realm} was never connected from here: connect it "
                "(`qbsf connect quickbooks`, or Intuit's OAuth playground with the app's keys) and set its refresh token"
            ]
        )
