"""What became of customers that were merged in QuickBooks.

QuickBooks tells nothing of a merge: one of the two customers is gone or inactive, and its transactions stand on the other.
Pure: frames in, frame out.
"""

from __future__ import annotations

from collections import defaultdict

import polars as pl

#: Invoices as they were created: by which customer.
CREATED_INVOICES = pl.Schema({"invoice_id": pl.String, "customer_id": pl.String})
SUCCESSORS = pl.Schema({"customer_id": pl.String, "successor_id": pl.String})


def find_successors(created: pl.DataFrame, invoices: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """The successor of each customer that cannot be billed any more while its invoices were moved.

    A customer is succeeded by another where all of the invoices that were created for it, and that QuickBooks still has,
    stand on that one other customer now, and that one can be billed. Where they stand on several, or one still stands on the
    old customer, a person has to say what happened.

    Args:
        created: columns of :data:`CREATED_INVOICES`: what the ledger created, and for which customer.
        invoices: id, customer_id, is_deleted: as they were pulled.
        customers: id, active, is_deleted.

    Returns:
        Columns of :data:`SUCCESSORS`, ordered by ``customer_id``, each customer at most once.
    """
    usable = {
        customer_id
        for customer_id, active, is_deleted in customers.select("id", "active", "is_deleted").iter_rows()
        if active is not False and not is_deleted
    }
    standing = {
        invoice_id: customer_id
        for invoice_id, customer_id, is_deleted in invoices.select("id", "customer_id", "is_deleted").iter_rows()
        if not is_deleted and customer_id
    }
    moved: dict[str, set[str]] = defaultdict(set)
    for invoice_id, customer_id in created.select("invoice_id", "customer_id").iter_rows():
        if customer_id and customer_id not in usable and invoice_id in standing:
            moved[customer_id].add(standing[invoice_id])
    rows = [
        {"customer_id": customer_id, "successor_id": next(iter(now))}
        for customer_id, now in sorted(moved.items())
        if len(now) == 1 and now <= usable
    ]
    return pl.DataFrame(rows, schema=SUCCESSORS)
