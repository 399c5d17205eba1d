"""Which Salesforce org and which QuickBooks company this state belongs to: memory of one pair is wrong for any other."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.state.tables import identity
from qbsf_pipeline.state.transactions import Transactions

_SHORT_ID = 15
_LONG_ID = 18


class Identity:
    """The bound pair in the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def bind(self, organization_id: str, realm_id: str, now: datetime) -> None:
        """Bind this state to an org (15 or 18 characters) and a company, or check that it is bound to them.

        Raises:
            ConfigurationError: it belongs to another org or company; one line for each.
        """
        given = {"salesforce": organization_id, "quickbooks": realm_id}
        with self._transactions.write() as connection:
            bound = {row.system: row.id for row in connection.execute(select(identity))}
            problems = [
                _problem(system, bound[system], found)
                for system, found in given.items()
                if system in bound and not _same(bound[system], found)
            ]
            if problems:
                raise ConfigurationError(problems)
            for system, found in given.items():
                if system not in bound:
                    connection.execute(insert(identity).values(system=system, id=found, bound_at=now))

    def bound(self) -> dict[str, str]:
        """The ids this state belongs to, by ``salesforce`` and ``quickbooks``; empty before the first pass."""
        with self._transactions.read() as connection:
            return {row.system: row.id for row in connection.execute(select(identity))}


def _same(one: str, other: str) -> bool:
    lengths = {len(one), len(other)}
    if lengths == {_SHORT_ID, _LONG_ID}:
        return one[:_SHORT_ID] == other[:_SHORT_ID]
    return one == other


def _problem(system: str, bound: str, found: str) -> str:
    what, variable = {
        "salesforce": ("Salesforce org", "SALESFORCE_LOGIN_URL"),
        "quickbooks": ("QuickBooks company", "QUICKBOOKS_REALM_ID"),
    }[system]
    return (
        f"{variable}: this QBSF_HOME (and its state database) belongs to {what} {bound}, and the connection leads to "
        f"{found}; use an own QBSF_HOME for each pair of org and company, or mend the variable"
    )
