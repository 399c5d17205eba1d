"""Items: which QuickBooks item is sold for a Salesforce product, and what may be created where there is none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qbsf_pipeline.invoices import validation
from qbsf_pipeline.invoices.lines import DealLine
from qbsf_pipeline.invoices.validation import Reason
from qbsf_pipeline.settings import ItemRules

#: Groups (bundles) and categories stand in the item list but cannot be the item of a plain line (Intuit, Item).
_NOT_SELLABLE = frozenset({"category", "group", "bundle"})


@dataclass(frozen=True)
class Item:
    """An item of QuickBooks.

    Attributes:
        taxable: the item's own setting (United States).
        tax_code_id: the item's sales tax code (elsewhere).
    """

    item_id: str
    name: str
    full_name: str
    sku: str
    kind: str
    active: bool
    taxable: bool
    tax_code_id: str | None

    @property
    def sellable(self) -> bool:
        """Whether a line can carry it."""
        return self.kind.casefold() not in _NOT_SELLABLE


@dataclass(frozen=True)
class MissingItem:
    """There is no item for the line's product, and the rules say that one is created."""

    line: DealLine


class ItemCatalogue:
    """The items of QuickBooks, found by what a product says of itself."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], rules: ItemRules) -> None:
        """Args: rows of ``quickbooks.item``."""
        self._rules = rules
        self.items = [
            Item(
                item_id=row["id"],
                name=row["name"] or "",
                full_name=row["fully_qualified_name"] or row["name"] or "",
                sku=(row["sku"] or "").strip(),
                kind=row["type"] or "",
                active=row["active"] is not False,
                taxable=row["taxable"] is True,
                tax_code_id=row["tax_code_id"],
            )
            for row in rows
            if not row["is_deleted"]
        ]
        self._by_sku = _index(self.items, lambda item: (item.sku,))
        self._by_name = _index(self.items, lambda item: (item.name, item.full_name))
        self._products = {_folded(product): item for product, item in rules.products.items()}

    def find(self, line: DealLine) -> Item | MissingItem | Reason:
        """The item for a line; why there is none; or, where the rules say create, that it is missing.

        The rules' own table and the product's own field name an item; else the rules' ``match_by`` is followed in order. Of
        several items that only differ in case the one spelled alike counts.
        """
        named = self._named(line)
        if named:
            found = self._pick(self._by_name, named)
            return self._judged(line, found) or validation.product_without_item(line, f"the item {named}, which is named for it,")
        passed_over: list[Item] = []
        for step in self._rules.match_by:
            for found in self._step(step, line):
                usable = [item for item in found if item.active and item.sellable]
                if usable:
                    return usable[0] if len(usable) == 1 else validation.item_ambiguous(line, [item.full_name for item in usable])
                passed_over += found
        if passed_over:
            judged = self._judged(line, passed_over)
            if judged is not None:
                return judged
        return self._missing(line)

    def _named(self, line: DealLine) -> str | None:
        for product in (line.product_code, line.product_name):
            if product and _folded(product) in self._products:
                return self._products[_folded(product)]
        return (line.item_name or "").strip() or None

    def _step(self, step: str, line: DealLine) -> Iterable[Sequence[Item]]:
        if step == "sku":
            return (self._pick(self._by_sku, line.product_code), self._pick(self._by_sku, line.product_sku))
        return (self._pick(self._by_name, line.product_code if step == "code_is_name" else line.product_name),)

    def _missing(self, line: DealLine) -> Item | MissingItem | Reason:
        if self._rules.missing == "default" and self._rules.default_item:
            found = self._pick(self._by_name, self._rules.default_item)
            return self._judged(line, found) or validation.product_without_item(
                line, f"the default item {self._rules.default_item}"
            )
        if line.product_id is None:
            return validation.line_without_product(line)
        if self._rules.missing == "create":
            return MissingItem(line)
        return validation.product_without_item(line, "an item of that SKU or name")

    def _judged(self, line: DealLine, found: Sequence[Item]) -> Item | Reason | None:
        usable = [item for item in found if item.active and item.sellable]
        if len(usable) == 1:
            return usable[0]
        if usable:
            return validation.item_ambiguous(line, [item.full_name for item in usable])
        for item in found:
            if not item.active:
                return validation.item_inactive(line, item.full_name)
            return validation.item_not_sellable(line, item.full_name, item.kind)
        return None

    def _pick(self, index: Mapping[str, Sequence[Item]], wanted: str | None) -> Sequence[Item]:
        if not wanted or not wanted.strip():
            return ()
        found = index.get(_folded(wanted), ())
        if len(found) > 1:
            alike = [item for item in found if wanted.strip() in (item.name, item.full_name, item.sku)]
            return alike or found
        return found


def _index(items: Iterable[Item], keys: Callable[[Item], Iterable[str]]) -> dict[str, list[Item]]:
    index: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        for key in {_folded(key) for key in keys(item)} - {""}:
            index[key].append(item)
    return dict(index)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
