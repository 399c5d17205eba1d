"""OAuth tokens of both services, apart from every other table.

Belongs here: keeping them for every process of this installation. Does not belong here: when to refresh one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Table, insert, select, update

from qbsf_pipeline.errors import ServiceUnavailable
from qbsf_pipeline.quickbooks.connection import StoredTokens
from qbsf_pipeline.salesforce.login import CachedToken
from qbsf_pipeline.state.tables import quickbooks_tokens, salesforce_tokens
from qbsf_pipeline.state.transactions import StateBusy, Transactions

#: ``exclusive(name, wait_seconds)`` of the state database.
Exclusive = Callable[[str, float], AbstractContextManager[None]]

#: A refresh may take two calls of a minute each.
_REFRESH_WAIT_SECONDS = 180.0


class QuickBooksTokens:
    """The :class:`qbsf_pipeline.quickbooks.connection.TokenVault` of the state database."""

    def __init__(self, transactions: Transactions, exclusive: Exclusive) -> None:
        self._transactions = transactions
        self._exclusive = exclusive

    def load(self, realm: str) -> StoredTokens | None:
        """The newest tokens of a company, whichever process stored them."""
        with self._transactions.read() as connection:
            row = connection.execute(select(quickbooks_tokens).where(quickbooks_tokens.c.realm_id == realm)).one_or_none()
        if row is None:
            return None
        return StoredTokens(
            access_token=row.access_token,
            refresh_token=row.refresh_token,
            access_expires_at=row.access_expires_at,
            refresh_expires_at=row.refresh_expires_at,
            refresh_hard_expires_at=row.refresh_hard_expires_at,
            first_token_hash=row.first_token_hash,
            updated_at=row.updated_at,
        )

    def store(self, realm: str, tokens: StoredTokens) -> None:
        """Replace a company's tokens; on the disk when this returns.

        Raises:
            RuntimeError: called inside another transaction.
        """
        values = {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "access_expires_at": tokens.access_expires_at,
            "refresh_expires_at": tokens.refresh_expires_at,
            "refresh_hard_expires_at": tokens.refresh_hard_expires_at,
            "first_token_hash": tokens.first_token_hash,
            "updated_at": tokens.updated_at,
        }
        _store(self._transactions, quickbooks_tokens, "realm_id", realm, values)

    @contextmanager
    def exclusive(self, realm: str) -> Iterator[None]:
        """Hold the right to refresh a company's tokens, over all processes.

        Raises:
            ServiceUnavailable: another process has been refreshing them for three minutes.
        """
        name = f"quickbooks tokens {realm}"
        try:
            with self._exclusive(name, _REFRESH_WAIT_SECONDS):
                yield
        except StateBusy as error:
            if error.name != name:
                raise
            raise ServiceUnavailable("quickbooks", "token_refresh_busy", str(error)) from error


class SalesforceTokens:
    """The :class:`qbsf_pipeline.salesforce.login.TokenCache` of the state database."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def load(self, name: str) -> CachedToken | None:
        """The token last stored under ``name``."""
        with self._transactions.read() as connection:
            row = connection.execute(select(salesforce_tokens).where(salesforce_tokens.c.name == name)).one_or_none()
        return None if row is None else CachedToken(row.access_token, row.instance_url, row.issued_at)

    def store(self, name: str, token: CachedToken) -> None:
        """Keep a token in place of an older one."""
        values = {
            "access_token": token.access_token,
            "instance_url": token.instance_url,
            "issued_at": token.issued_at,
        }
        _store(self._transactions, salesforce_tokens, "name", name, values)


class Tokens:
    """Both services' tokens.

    Attributes:
        quickbooks: the vault of the QuickBooks connection.
        salesforce: the cache of the Salesforce login.
    """

    def __init__(self, transactions: Transactions, exclusive: Exclusive) -> None:
        self.quickbooks = QuickBooksTokens(transactions, exclusive)
        self.salesforce = SalesforceTokens(transactions)


def _store(transactions: Transactions, table: Table, id_column: str, record_id: str, values: dict[str, object]) -> None:
    with transactions.write(must_commit=True) as connection:
        changed = connection.execute(update(table).where(table.c[id_column] == record_id).values(values))
        if changed.rowcount == 0:
            connection.execute(insert(table).values({id_column: record_id, **values}))
