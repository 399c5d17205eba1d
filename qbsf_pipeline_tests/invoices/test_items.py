"""Items: the one that is meant, or a reason; never a guess between two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qbsf_pipeline.invoices.items import Item, ItemCatalogue, MissingItem
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline_tests.invoices.records import item
from qbsf_pipeline_tests.invoices.test_lines import LINE

RULES = load_rules().items


def found(rows, line=LINE, **changes):
    rules = RULES.model_copy(update=changes)
    catalogue = ItemCatalogue([{"is_deleted": False, "tax_code_id": None, **row} for row in rows], rules)
    result = catalogue.find(line)
    if isinstance(result, Item):
        return result.item_id
    return "missing" if isinstance(result, MissingItem) else result.code


def other(**values):
    return item(2, **{"name": "Other", "fully_qualified_name": "Other", "sku": None, **values})


@pytest.mark.parametrize(
    "row",
    [
        other(sku="plat "),
        other(name="PLAT"),
        other(name="platform"),
        other(name="Pack", fully_qualified_name="Platform"),
        other(sku="SKU-9"),
    ],
)
def test_an_item_is_found_by_sku_code_or_name_without_case(row):
    assert found([row], replace(LINE, product_sku="SKU-9")) == "202"


def test_the_first_way_that_finds_one_counts():
    assert found([item(sku="x"), other(sku="PLAT")]) == "202"


def test_two_items_of_one_sku_are_told():
    assert found([item(), other(sku="PLAT")]) == "item_ambiguous"


def test_the_one_spelled_alike_counts_among_those_that_differ_in_case():
    assert found([item(sku="plat"), other(sku="PLAT")]) == "202"


def test_an_inactive_item_is_passed_over_for_an_active_one_and_else_told():
    assert found([item(active=False), other(name="PLAT")]) == "202"
    assert found([item(active=False)]) == "item_inactive"
    assert found([item(active=False)], missing="create") == "item_inactive"


@pytest.mark.parametrize("kind", ["Category", "Group", "Bundle"])
def test_bundles_and_categories_are_not_sold(kind):
    assert found([item(type=kind)]) == "item_not_sellable"


def test_the_rules_table_comes_before_everything():
    rows = [item(), other()]
    assert found(rows, products={"plat": "Other"}) == "202"
    assert found(rows, products={"Platform": "Other"}) == "202"
    assert found(rows, products={"PLAT": "Nowhere"}) == "product_without_item"


def test_the_products_own_field_names_the_item():
    assert found([item(), other()], replace(LINE, item_name="Other")) == "202"


def test_what_has_no_item_is_refused_defaulted_or_created_by_rule():
    assert found([]) == "product_without_item"
    assert found([other()], missing="default", default_item="other") == "202"
    assert found([], missing="default", default_item="other") == "product_without_item"
    assert found([], missing="create") == "missing"


def test_a_line_without_product_is_told_unless_there_is_a_default():
    bare = replace(LINE, product_id=None, product_code=None, product_name=None)
    assert found([item()], bare) == "line_without_product"
    assert found([item()], bare, missing="create") == "line_without_product"
    assert found([item()], bare, missing="default", default_item="Platform") == "201"


def test_deleted_items_do_not_exist():
    assert found([item(is_deleted=True)]) == "product_without_item"
