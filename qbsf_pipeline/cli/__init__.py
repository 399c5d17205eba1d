"""The ``qbsf`` command. One module for each command; what they share is how output looks and how a pass is run."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; a wrong setting is one line for each, without a traceback."""
    from qbsf_pipeline.cli.loading import loading

    with loading():
        from qbsf_pipeline.cli.app import app
        from qbsf_pipeline.cli.output import complain
        from qbsf_pipeline.errors import ConfigurationError

    try:
        app()
    except SystemExit:
        raise  # the usual end; what follows would import a lot to compare with
    except KeyboardInterrupt:
        complain("stopped; what was begun is finished by the next pass")
        sys.exit(130)
    except ConfigurationError as error:
        complain(*error.problems)
        sys.exit(1)
    except _told_in_a_line() as error:
        complain(str(error))
        sys.exit(1)


def _told_in_a_line() -> tuple[type[Exception], ...]:
    """What a person can do something about. Asked for when something was raised, because the import takes a while."""
    from qbsf_pipeline.errors import ServiceError
    from qbsf_pipeline.state.transactions import StateBusy
    from qbsf_pipeline.warehouse.connection import WarehouseBusy

    return ServiceError, StateBusy, WarehouseBusy
