"""Opportunity products as the source of a deal's lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import polars as pl

from qbsf_pipeline.customers.texts import short_id
from qbsf_pipeline.invoices import validation
from qbsf_pipeline.invoices.line_sources.sold import SoldLine, SoldLines
from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.warehouse.tables import decimal_or_none

#: What every source tells of a product, by product_id.
_PRODUCT = ("name", "product_code", "sku", "family", "description", "item_name", "class_name")


def products_by_id(products: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Rows of ``salesforce.product2`` by id: name, product_code, sku, family, description, item_name and class_name."""
    known = [column for column in _PRODUCT if column in products.columns]
    return {row["id"]: row for row in products.select("id", *known).iter_rows(named=True)}


class OpportunityProducts:
    """The products on the deal itself. It answers for every deal, with a reason where there is nothing to bill."""

    def __init__(self, lines: pl.DataFrame, products: pl.DataFrame) -> None:
        """
        Args:
            lines: ``salesforce.opportunity_line_item``, best of only those deals that are asked for. The columns
                billing_frequency, billing_periods, billing_start_date, billing_end_date (rules: ``recurring.line_…_field``) and
                has_revenue_schedule (``HasRevenueSchedule``) may be missing.
            products: ``salesforce.product2``.
        """
        self._products = products_by_id(products)
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        live = (
            lines.filter(~pl.col("is_deleted").fill_null(False))
            .drop("record", strict=False)
            .unique("id", keep="first", maintain_order=True)
            .sort("opportunity_id", "sort_order", "id", nulls_last=True)
        )
        for row in live.iter_rows(named=True):
            self._rows[short_id(row["opportunity_id"] or "")].append(row)

    def sold(self, deal: Mapping[str, Any]) -> SoldLines:
        """The deal's products, by SortOrder and id; a reason for products without a total, and for none at all."""
        rows = self._rows.get(short_id(deal["id"]), [])
        unknown = [self._label(row) for row in rows if row["total_price"] is None]
        reasons: list[Reason | None] = [validation.line_without_amount(unknown)]
        if not rows:
            reasons.append(validation.no_line_items([]))
        return SoldLines(
            source="opportunity_products",
            lines=tuple(self._sold(row) for row in rows if row["total_price"] is not None),
            reasons=tuple(reason for reason in reasons if reason is not None),
        )

    def _label(self, row: Mapping[str, Any]) -> str:
        product = self._products.get(row["product_id"] or "", {})
        return str(product.get("name") or row["name"] or row["id"])

    def _sold(self, row: Mapping[str, Any]) -> SoldLine:
        product = self._products.get(row["product_id"] or "", {})
        return SoldLine(
            line=DealLine(
                line_id=row["id"],
                product_id=row["product_id"],
                product_code=row["product_code"] or product.get("product_code"),
                product_name=product.get("name"),
                product_sku=product.get("sku"),
                product_description=product.get("description"),
                item_name=product.get("item_name"),
                class_name=product.get("class_name"),
                description=row["description"],
                quantity=row["quantity"],
                unit_price=row["unit_price"],
                discount=row["discount"],
                total=row["total_price"],
                service_date=row["service_date"],
            ),
            family=product.get("family"),
            frequency=row.get("billing_frequency"),
            periods=decimal_or_none(row.get("billing_periods")),
            start_date=row.get("billing_start_date"),
            end_date=row.get("billing_end_date"),
            has_revenue_schedule=row.get("has_revenue_schedule") is True,
        )
