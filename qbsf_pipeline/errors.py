"""What can go wrong with a service, in the four kinds that the program treats differently.

A client of a service (``salesforce``, ``quickbooks``, ``slack``) raises nothing else: it reads the service's own error
codes and answers the one question that matters afterwards, "what may be done next?".
"""

from __future__ import annotations

#: The systems as people call them.
SYSTEM_NAMES = {"salesforce": "Salesforce", "quickbooks": "QuickBooks", "slack": "Slack"}


class ServiceError(Exception):
    """A service answered with an error, or did not answer.

    Attributes:
        system: ``salesforce``, ``quickbooks`` or ``slack``.
        code: the service's own error code (``6240``, ``UNABLE_TO_LOCK_ROW``, ``channel_not_found``), or a word of ours in
            lower case when there was none (``connection``, ``timeout``).
        message: the service's own text, without secrets or payloads.
        request_reference: what the service's support asks for (Intuit's ``intuit_tid``), where it gives one.
    """

    def __init__(self, system: str, code: str, message: str, request_reference: str | None = None) -> None:
        self.system = system
        self.code = code
        self.message = message
        self.request_reference = request_reference
        super().__init__(f"{system}: {code}: {message}")


class ServiceUnavailable(ServiceError):
    """The service is down, throttles us or cannot be reached, and nothing was changed: the same call may be tried later."""


class OutcomeUnknown(ServiceError):
    """A write was sent and its answer was lost: it may or may not have been carried out. Look before repeating it."""


class AccessRefused(ServiceError):
    """Credentials, permissions or the connection itself need a person; trying again does not help."""


class RecordRefused(ServiceError):
    """The service refuses this one record or query for good; the others are not concerned.

    Attributes:
        field: the offending field, where the service names it.
    """

    def __init__(
        self, system: str, code: str, message: str, field: str | None = None, request_reference: str | None = None
    ) -> None:
        super().__init__(system, code, message, request_reference)
        self.field = field


class StaleRecord(RecordRefused):
    """Somebody changed the record since it was read: read it again and decide again."""


class ConfigurationError(Exception):
    """Settings, rules or the set-up of a service do not fit.

    Attributes:
        problems: one line for each problem: the key or field, what is allowed, what was found, what to do.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))
