"""Schedules of lines and the quotes of CPQ: read where the org has them and the rules ask for them, for nothing where not."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.salesforce.objects import OBJECT_NAMES, check_fields, objects_for, optional_tables
from qbsf_pipeline.sandbox import salesforce as sandbox
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline_tests.salesforce.conftest import SandboxOrg
from qbsf_pipeline_tests.salesforce.test_pull import Deal, Pulling, a_deal

RULES = load_rules()
NAMES = {"OpportunityLineItemSchedule", "SBQQ__Quote__c", "SBQQ__QuoteLine__c", "SBQQ__Subscription__c"}


def ruled(**sections: dict[str, Any]) -> Rules:
    return RULES.model_copy(update={name: getattr(RULES, name).model_copy(update=changes) for name, changes in sections.items()})


@pytest.fixture
def rich(org: SandboxOrg) -> SandboxOrg:
    """An org with schedules and CPQ."""
    sandbox.enable(org.store, "cpq", "schedules")
    return org


@pytest.fixture
def pulling(rich: SandboxOrg) -> Pulling:
    return Pulling(rich, rich.door())


def quoted(org: SandboxOrg, made: Deal) -> tuple[str, list[str]]:
    (quote,) = org.put("SBQQ__Quote__c", {"SBQQ__Opportunity2__c": made.deal, "SBQQ__Primary__c": True, "SBQQ__Type__c": "Quote"})
    line = {"SBQQ__Quote__c": quote, "SBQQ__Product__c": made.product, "SBQQ__Quantity__c": 3}
    lines = org.put(
        "SBQQ__QuoteLine__c",
        {**line, "SBQQ__NetPrice__c": Decimal("333.335"), "SBQQ__Description__c": "Sièges: 'or' № 1"},
        {**line, "SBQQ__NetPrice__c": 50, "SBQQ__Optional__c": True},
    )
    return quote, lines


def scheduled(org: SandboxOrg, line: str, *rows: tuple[str, str]) -> list[str]:
    wanted = [
        {"OpportunityLineItemId": line, "Type": "Revenue", "ScheduleDate": day, "Revenue": Decimal(amount)}
        for day, amount in rows
    ]
    return org.put("OpportunityLineItemSchedule", *wanted)


def test_a_first_pull_reads_quotes_their_lines_and_schedules(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    quote, lines = quoted(pulling.org, made)
    rows = scheduled(pulling.org, made.lines[0], ("2026-04-01", "50.01"), ("2026-05-01", "50.00"))
    assert pulling().notes == []
    head = pulling.warehouse.live("cpq_quote")[quote]
    assert (head["opportunity_id"], head["is_primary"], head["net_amount"]) == (made.deal, True, Decimal("1000.01"))
    found = pulling.warehouse.live("cpq_quote_line")
    assert {key: (row["quote_id"], row["net_total"], row["is_optional"]) for key, row in found.items()} == {
        lines[0]: (quote, Decimal("1000.01"), False),
        lines[1]: (quote, Decimal("150"), True),
    }
    assert found[lines[0]]["description"] == "Sièges: 'or' № 1"
    schedule = pulling.warehouse.live("opportunity_line_item_schedule")
    assert {key: (row["line_id"], row["schedule_date"], row["revenue"], row["type"]) for key, row in schedule.items()} == {
        rows[0]: (made.lines[0], date(2026, 4, 1), Decimal("50.01"), "Revenue"),
        rows[1]: (made.lines[0], date(2026, 5, 1), Decimal("50"), "Revenue"),
    }
    told = {key: row["has_revenue_schedule"] for key, row in pulling.warehouse.live("opportunity_line_item").items()}
    assert told == {made.lines[0]: True, made.lines[1]: False}


def test_lines_of_a_changed_quote_are_read_whole(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    quote, lines = quoted(pulling.org, made)
    pulling()
    pulling.org.later(hours=1)
    # Gone past the bin: only the quote's changed total tells of it.
    sandbox.delete_record(pulling.org.store, pulling.org.clock, "SBQQ__QuoteLine__c", lines[0], hard=True)
    table = next(each for each in pulling().tables if each.table.name == "cpq_quote_line")
    assert (table.complete, table.scope) == (False, ("quote_id", (quote,)))
    assert set(pulling.warehouse.live("cpq_quote_line")) == {lines[1]}


def test_lines_of_a_quote_are_read_whole_when_only_one_of_them_changed(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    _, lines = quoted(pulling.org, made)
    pulling()
    pulling.org.later(hours=1)
    # Neither changes what the quote comes to, so nothing of the quote itself changes.
    sandbox.delete_record(pulling.org.store, pulling.org.clock, "SBQQ__QuoteLine__c", lines[1], hard=True)
    pulling.org.put("SBQQ__QuoteLine__c", {"Id": lines[0], "SBQQ__Description__c": "changed by itself"})
    pulling()
    found = pulling.warehouse.live("cpq_quote_line")
    assert {key: row["description"] for key, row in found.items()} == {lines[0]: "changed by itself"}


def test_a_schedule_that_was_made_anew_replaces_the_old_one(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    old = scheduled(pulling.org, made.lines[0], ("2026-04-01", "60"), ("2026-05-01", "40"))
    others = scheduled(pulling.org, made.lines[1], ("2026-04-01", "1"))
    pulling()
    pulling.org.later(hours=1)
    for row in old:
        sandbox.delete_record(pulling.org.store, pulling.org.clock, "OpportunityLineItemSchedule", row, hard=True)
    new = scheduled(pulling.org, made.lines[0], ("2026-04-15", "60"), ("2026-05-15", "40"))
    pulling()
    assert set(pulling.warehouse.live("opportunity_line_item_schedule")) == {*new, *others}


def test_a_schedule_that_was_taken_away_is_gone(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    rows = scheduled(pulling.org, made.lines[0], ("2026-04-01", "60"), ("2026-05-01", "40"))
    pulling()
    pulling.org.later(hours=1)
    for row in rows:
        sandbox.delete_record(pulling.org.store, pulling.org.clock, "OpportunityLineItemSchedule", row, hard=True)
    pulling()
    assert pulling.warehouse.live("opportunity_line_item_schedule") == {}
    assert pulling.warehouse.live("opportunity_line_item")[made.lines[0]]["has_revenue_schedule"] is False


def test_a_row_of_a_schedule_that_only_moved_is_read(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    first, second = scheduled(pulling.org, made.lines[0], ("2026-04-01", "60"), ("2026-05-01", "40"))
    pulling()
    pulling.org.later(hours=1)
    pulling.org.put("OpportunityLineItemSchedule", {"Id": second, "ScheduleDate": "2026-05-31"})
    pulling()
    days = {key: row["schedule_date"] for key, row in pulling.warehouse.live("opportunity_line_item_schedule").items()}
    assert days == {first: date(2026, 4, 1), second: date(2026, 5, 31)}


def test_an_org_without_them_costs_no_call_and_has_empty_tables(org: SandboxOrg) -> None:
    pulling = Pulling(org, org.door())
    a_deal(org)
    # One call for all descriptions, two for the objects, and the login is not counted.
    assert pulling.calls_of() == 3
    org.later(minutes=5)
    assert pulling.calls_of() == 2
    lacking = {table.name for table in optional_tables(RULES)} - {"opportunity_stage"}
    assert lacking >= {"opportunity_line_item_schedule", "cpq_quote", "cpq_quote_line"}
    assert not any(pulling.warehouse.live(name) for name in lacking)


def test_an_idle_pull_of_an_org_with_all_of_them_is_three_calls(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    quoted(pulling.org, made)
    pulling()
    pulling.org.later(minutes=5)
    assert pulling.calls_of() == 3


@pytest.mark.parametrize(
    ("rules", "read"),
    [
        (RULES, NAMES),
        (ruled(cpq={"lines_from": "opportunity_products"}), {"OpportunityLineItemSchedule"}),
        (ruled(recurring={"enabled": False}), NAMES - {"OpportunityLineItemSchedule"}),
        (ruled(recurring={"sources": ("line", "deal")}), NAMES - {"OpportunityLineItemSchedule"}),
    ],
)
def test_what_no_rule_asks_for_is_not_read(rich: SandboxOrg, rules: Rules, read: set[str]) -> None:
    described = rich.door().client.describe(OBJECT_NAMES)
    check_fields(rules, described)
    assert {found.name for found in objects_for(rules, described)} & NAMES == read


def test_what_a_rule_asks_for_again_is_read_from_where_it_stopped(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    quote, _ = quoted(pulling.org, made)
    pulling()
    pulling.org.later(hours=1)
    pulling.org.put("SBQQ__Quote__c", {"Id": quote, "SBQQ__PaymentTerms__c": "Net 45"})
    pulling.org.later(hours=1)
    pulling(rules=ruled(cpq={"lines_from": "opportunity_products"}))
    assert pulling.warehouse.live("cpq_quote")[quote]["payment_terms"] is None
    pulling()
    assert pulling.warehouse.live("cpq_quote")[quote]["payment_terms"] == "Net 45"


def test_an_org_may_keep_fields_of_its_quotes_elsewhere(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    quote, _ = quoted(pulling.org, made)
    pulling.org.put("SBQQ__Quote__c", {"Id": quote, "SBQQ__BillingName__c": "Net 15"})
    pulling(rules=ruled(salesforce={"cpq_quote": {"payment_terms": "SBQQ__BillingName__c"}}))
    assert pulling.warehouse.live("cpq_quote")[quote]["payment_terms"] == "Net 15"


def test_fields_of_a_line_that_the_rules_name_are_its_terms(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    pulling.org.put("OpportunityLineItem", {"Id": made.lines[0], "Description": "Quarterly", "ServiceDate": "2026-04-01"})
    named = {"line_frequency_field": "Description", "line_start_date_field": "ServiceDate", "line_periods_field": "Quantity"}
    pulling(rules=ruled(recurring=named))
    line = pulling.warehouse.live("opportunity_line_item")[made.lines[0]]
    terms = [line[f"billing_{name}"] for name in ("frequency", "start_date", "periods", "end_date")]
    assert terms == ["Quarterly", date(2026, 4, 1), Decimal(3), None]


@pytest.mark.parametrize(
    ("hidden", "lines"),
    [
        (("SBQQ__QuoteLine__c",), ["the object SBQQ__QuoteLine__c is not shown"]),
        (("SBQQ__Quote__c",), ["the object SBQQ__Quote__c is not shown"]),
        # The deal's own field tells that the package is there.
        (("SBQQ__Quote__c", "SBQQ__QuoteLine__c"), ["object SBQQ__Quote__c is not", "object SBQQ__QuoteLine__c is not"]),
    ],
)
def test_cpq_that_is_shown_in_part_is_refused_with_what_to_do(
    rich: SandboxOrg, hidden: tuple[str, ...], lines: list[str]
) -> None:
    for name in hidden:
        sandbox.hide_object(rich.store, name)
    described = rich.door().client.describe(OBJECT_NAMES)
    with pytest.raises(ConfigurationError) as refused:
        check_fields(RULES, described)
    assert len(refused.value.problems) == len(lines)
    for line, problem in zip(lines, refused.value.problems, strict=True):
        assert line in problem
        assert 'cpq.lines_from = "opportunity_products"' in problem
    check_fields(ruled(cpq={"lines_from": "opportunity_products"}), described)


@pytest.mark.parametrize(
    ("object_name", "field"),
    [
        ("SBQQ__QuoteLine__c", "SBQQ__Optional__c"),
        ("SBQQ__Quote__c", "SBQQ__Primary__c"),
        ("OpportunityLineItemSchedule", "Revenue"),
    ],
)
def test_a_field_without_which_the_wrong_thing_would_be_billed_must_be_shown(
    rich: SandboxOrg, object_name: str, field: str
) -> None:
    sandbox.hide_field(rich.store, object_name, field)
    with pytest.raises(ConfigurationError) as refused:
        check_fields(RULES, rich.door().client.describe(OBJECT_NAMES))
    (problem,) = refused.value.problems
    assert problem.startswith(f"{object_name}.{field} is not shown")


def test_a_rule_for_a_column_that_is_none_is_refused(rich: SandboxOrg) -> None:
    rules = ruled(salesforce={"cpq_quote_line": {"frequency": "Invoicing__c"}})
    with pytest.raises(ConfigurationError) as refused:
        check_fields(rules, rich.door().client.describe(OBJECT_NAMES))
    (problem,) = refused.value.problems
    assert problem.startswith("salesforce.cpq_quote_line.frequency: there is no such column; there are quote_id, ")
    named = ruled(salesforce={"cpq_quote_line": {"billing_frequency": "Invoicing__c"}})
    with pytest.raises(ConfigurationError, match=r"SBQQ__QuoteLine__c\.Invoicing__c does not exist.*cpq_quote_line\.billing"):
        check_fields(named, rich.door().client.describe(OBJECT_NAMES))


def test_an_object_that_appears_is_found_when_the_descriptions_are_a_day_old(org: SandboxOrg) -> None:
    pulling = Pulling(org, org.door())
    made = a_deal(org)
    pulling()
    sandbox.enable(org.store, "cpq")
    quote, _ = quoted(org, made)
    org.later(hours=25)
    pulling()
    assert set(pulling.warehouse.live("cpq_quote")) == {quote}


# --- contracts ------------------------------------------------------------------------------------------------------


def amending(org: SandboxOrg, made: Deal, contract: str, kind: str = "Amendment") -> str:
    """The quote by which another deal changes a contract."""
    (quote,) = org.put(
        "SBQQ__Quote__c",
        {"SBQQ__Primary__c": True, "SBQQ__Type__c": kind, "SBQQ__MasterContract__c": contract, "SBQQ__Account__c": made.account},
    )
    return quote


def contracted(org: SandboxOrg, made: Deal, *, told: bool) -> tuple[str, list[str]]:
    """A contract, and its subscriptions; ``told``: it names its deal itself."""
    _, lines = quoted(org, made)
    (contract,) = org.put("Contract", {"AccountId": made.account, "SBQQ__Opportunity__c": made.deal if told else None})
    return contract, org.put("SBQQ__Subscription__c", {"SBQQ__Contract__c": contract, "SBQQ__QuoteLine__c": lines[0]})


def test_a_contract_that_tells_its_deal_costs_no_call(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    contract, _ = contracted(pulling.org, made, told=True)
    pulling()
    pulling.org.later(minutes=5)
    quote = amending(pulling.org, made, contract)
    # The three of an idle pull, and one for the lines of a new quote.
    assert pulling.calls_of() == 4
    row = pulling.warehouse.live("cpq_quote")[quote]
    assert (row["contract_id"], row["contract_opportunity_id"]) == (contract, made.deal)
    assert pulling.warehouse.live("cpq_subscription") == {}


def test_of_other_contracts_the_subscriptions_are_read_once(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    contract, (subscription,) = contracted(pulling.org, made, told=False)
    contracted(pulling.org, made, told=False)
    pulling()
    assert pulling.warehouse.live("cpq_subscription") == {}
    pulling.org.later(minutes=15)
    amending(pulling.org, made, contract, "Renewal")
    # One more for the contract.
    assert pulling.calls_of() == 5
    found = pulling.warehouse.live("cpq_subscription")
    line = next(key for key, row in pulling.warehouse.live("cpq_quote_line").items() if row["is_optional"] is False)
    assert {key: (row["contract_id"], row["quote_line_id"]) for key, row in found.items()} == {subscription: (contract, line)}
    pulling.org.later(minutes=15)
    assert pulling.calls_of() == 3
    assert pulling.calls_of(full=True) > 3
    assert set(pulling.warehouse.live("cpq_subscription")) == {subscription}


@pytest.mark.parametrize(
    "hidden", [("Contract", None), ("Contract", "SBQQ__Opportunity__c"), ("SBQQ__Quote__c", "SBQQ__MasterContract__c")]
)
def test_what_an_org_does_not_show_of_contracts_is_not_asked_for(rich: SandboxOrg, hidden: tuple[str, str | None]) -> None:
    name, field = hidden
    if field is None:
        sandbox.hide_object(rich.store, name)
    else:
        sandbox.hide_field(rich.store, name, field)
    pulling = Pulling(rich, rich.door())
    made = a_deal(rich)
    contract, subscriptions = contracted(rich, made, told=True)
    quote = amending(rich, made, contract)
    pulling()
    assert pulling.warehouse.live("cpq_quote")[quote]["contract_opportunity_id"] is None
    read = set(pulling.warehouse.live("cpq_subscription"))
    assert read == (set() if field == "SBQQ__MasterContract__c" else set(subscriptions))


def test_subscriptions_that_appear_are_read_for_the_quotes_that_were_there_before(rich: SandboxOrg) -> None:
    for name in ("Contract", "SBQQ__Subscription__c"):
        sandbox.hide_object(rich.store, name)
    pulling = Pulling(rich, rich.door())
    made = a_deal(rich)
    contract, subscriptions = contracted(rich, made, told=False)
    amending(rich, made, contract)
    pulling()
    assert pulling.warehouse.live("cpq_subscription") == {}
    sandbox.hide_object(rich.store, "SBQQ__Subscription__c", hidden=False)
    rich.later(hours=25)
    pulling()
    assert set(pulling.warehouse.live("cpq_subscription")) == set(subscriptions)
