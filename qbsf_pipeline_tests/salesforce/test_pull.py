"""The pull against the sandbox's org, with a warehouse that keeps rows as the real one does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from qbsf_pipeline.errors import ConfigurationError, ServiceError, ServiceUnavailable
from qbsf_pipeline.salesforce.objects import TABLES, optional_tables
from qbsf_pipeline.salesforce.pull import SalesforcePull, pull_salesforce
from qbsf_pipeline.sandbox import salesforce as sandbox
from qbsf_pipeline.settings import Rules, load_rules
from qbsf_pipeline.warehouse.tables import KnownRecord, PulledTable, WarehouseView, Watermark
from qbsf_pipeline_tests.salesforce.conftest import Door, SandboxOrg
from qbsf_pipeline_tests.salesforce.scripted import Asked, Said, ScriptedSalesforce, found, refused

RULES = load_rules()


@dataclass
class Warehouse:
    """Rows by table and id, and watermarks."""

    rows: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    watermarks: dict[str, Watermark] = field(default_factory=dict)

    @property
    def view(self) -> WarehouseView:
        return WarehouseView(
            self.watermarks,
            lambda table: {
                key: KnownRecord(row["source_modified_at"], row["content_hash"]) for key, row in self.rows.get(table, {}).items()
            },
        )

    def keep(self, pulled: SalesforcePull, now: datetime) -> None:
        for table in pulled.tables:
            self._keep(table, now)

    def _keep(self, pulled: PulledTable, now: datetime) -> None:
        name = f"{pulled.table.schema}.{pulled.table.name}"
        assert pulled.frame.schema == pulled.table.polars_schema
        read = {row["id"]: row for row in pulled.frame.to_dicts()}
        assert len(read) == pulled.frame.height
        rows = self.rows.setdefault(name, {})
        for key, row in rows.items():
            in_scope = pulled.scope is not None and row[pulled.scope[0]] in pulled.scope[1]
            if key not in read and (pulled.complete or in_scope):
                row["is_deleted"] = True
        rows |= read
        before = self.watermarks.get(name)
        full_at = now if pulled.complete or before is None else before.last_full_at
        self.watermarks[name] = Watermark(name, pulled.watermark, full_at, pulled.fields_hash)

    def live(self, table: str) -> dict[str, dict[str, Any]]:
        return {key: row for key, row in self.rows.get(f"salesforce.{table}", {}).items() if row["is_deleted"] is False}


@dataclass(frozen=True)
class KeptText:
    text: str
    stored_at: datetime


@dataclass
class Texts:
    """A describe cache."""

    kept: dict[str, KeptText] = field(default_factory=dict)

    def load(self, key: str) -> KeptText | None:
        return self.kept.get(key)

    def store(self, key: str, text: str, now: datetime) -> None:
        self.kept[key] = KeptText(text, now)


@dataclass
class Pulling:
    """Pulls one org again and again into one warehouse."""

    org: SandboxOrg
    door: Door
    warehouse: Warehouse = field(default_factory=Warehouse)
    cache: Texts = field(default_factory=Texts)

    def __call__(self, *, full: bool = False, rules: Rules = RULES) -> SalesforcePull:
        now = self.org.clock.now()
        pulled = pull_salesforce(self.door.client, rules, self.warehouse.view, full=full, now=now, cache=self.cache)
        self.warehouse.keep(pulled, now)
        return pulled

    def calls_of(self, **options: Any) -> int:
        before = self.door.calls()
        self(**options)
        return self.door.calls() - before


@dataclass
class Deal:
    account: str
    contact: str
    product: str
    deal: str
    lines: list[str]
    role: str


@pytest.fixture
def pulling(org: SandboxOrg) -> Pulling:
    return Pulling(org, org.door())


def a_deal(org: SandboxOrg, name: str = "Acme - 200 seats") -> Deal:
    (account,) = org.put("Account", {"Name": "O'Brien: & Söhne"})
    (contact,) = org.put("Contact", {"AccountId": account, "LastName": "Łukasz", "Email": "billing@obrien.example"})
    (product,) = org.put("Product2", {"Name": "Seat", "ProductCode": "SEAT", "IsActive": True})
    (deal,) = org.put(
        "Opportunity",
        {"Name": name, "AccountId": account, "StageName": "Closed Won", "CloseDate": "2026-03-31"},
    )
    lines = org.put(
        "OpportunityLineItem",
        {"OpportunityId": deal, "Product2Id": product, "Quantity": 3, "UnitPrice": Decimal("33.335")},
        {"OpportunityId": deal, "Product2Id": product, "Quantity": 1, "UnitPrice": 0, "Description": "free"},
    )
    (role,) = org.put(
        "OpportunityContactRole",
        {"OpportunityId": deal, "ContactId": contact, "Role": "Bill To", "IsPrimary": True},
    )
    return Deal(account, contact, product, deal, lines, role)


def test_a_first_pull_reads_every_table_whole(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    pulled = pulling()
    assert {table.table.name for table in pulled.tables} == {table.name for table in TABLES}
    assert all(table.complete for table in pulled.tables)
    assert pulled.organization_id.startswith("00D")
    assert pulled.notes == []
    deal = pulling.warehouse.live("opportunity")[made.deal]
    assert deal["is_won"] is True
    assert deal["account_id"] == made.account
    assert set(pulling.warehouse.live("opportunity_line_item")) == set(made.lines)
    assert pulling.warehouse.live("account")[made.account]["name"] == "O'Brien: & Söhne"
    assert pulling.warehouse.live("opportunity_contact_role")[made.role]["role"] == "Bill To"
    assert pulling.warehouse.live("currency_type") == {}
    assert len(pulling.warehouse.live("organization")) == 1


def test_an_idle_pull_is_two_calls(pulling: Pulling) -> None:
    a_deal(pulling.org)
    pulling.org.later(hours=1)
    pulling()
    pulling.org.later(minutes=5)
    assert pulling.calls_of() == 2
    pulling.org.later(hours=3)
    assert pulling.calls_of() <= 3


def test_an_idle_pull_right_after_a_change_reads_no_lines_again(pulling: Pulling) -> None:
    a_deal(pulling.org)
    pulling()
    assert pulling.calls_of() == 2


def test_the_watermark_is_salesforce_s_own_clock(pulling: Pulling) -> None:
    pulling.org.later(days=400)
    before = pulling.org.clock.now()
    pulled = pulling()
    for table in pulled.tables:
        assert before - timedelta(seconds=20) <= table.watermark <= pulling.org.clock.now()
    assert pulled.server_time == min(table.watermark for table in pulled.tables)


def test_a_change_is_read_and_the_rest_is_not(pulling: Pulling) -> None:
    first, second = a_deal(pulling.org, "first"), a_deal(pulling.org, "second")
    pulling()
    pulling.org.later(hours=1)
    pulling()
    pulling.org.later(hours=1)
    pulling.org.put("Opportunity", {"Id": second.deal, "Name": "second, changed"})
    pulled = pulling()
    tables = {table.table.name: table for table in pulled.tables}
    assert tables["opportunity"].frame["id"].to_list() == [second.deal]
    assert tables["opportunity_line_item"].scope == ("opportunity_id", (second.deal,))
    assert set(tables["opportunity_line_item"].frame["id"]) == set(second.lines)
    assert pulling.warehouse.live("opportunity")[second.deal]["name"] == "second, changed"
    assert pulling.warehouse.live("opportunity")[first.deal]["name"] == "first"


def test_a_row_that_becomes_visible_late_is_still_read(pulling: Pulling) -> None:
    pulling()
    stamp = pulling.org.clock.now() - timedelta(minutes=8)
    pulling.org.later(minutes=1)
    (account,) = pulling.org.put("Account", {"Name": "late", "SystemModstamp": stamp.strftime("%Y-%m-%dT%H:%M:%S.000+0000")})
    pulling()
    assert account in pulling.warehouse.live("account")


def test_a_line_that_was_deleted_without_a_trace_is_gone(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    pulling()
    pulling.org.later(hours=1)
    sandbox.delete_record(pulling.org.store, pulling.org.clock, "OpportunityLineItem", made.lines[0])
    pulling()
    assert set(pulling.warehouse.live("opportunity_line_item")) == {made.lines[1]}


def test_a_line_that_leaves_the_amount_as_it_is_is_read(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    pulling()
    pulling.org.later(hours=1)
    pulling.org.put("OpportunityLineItem", {"Id": made.lines[1], "Description": "free of charge"})
    pulling()
    assert pulling.warehouse.live("opportunity_line_item")[made.lines[1]]["description"] == "free of charge"
    assert set(pulling.warehouse.live("opportunity_line_item")) == set(made.lines)


def test_a_deleted_deal_takes_its_lines_and_roles_with_it(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    pulling()
    pulling.org.later(hours=1)
    sandbox.delete_record(pulling.org.store, pulling.org.clock, "Opportunity", made.deal)
    pulling()
    assert pulling.warehouse.live("opportunity") == {}
    assert pulling.warehouse.live("opportunity_line_item") == {}
    assert pulling.warehouse.live("opportunity_contact_role") == {}


def test_what_vanished_without_a_trace_is_found_by_the_next_full_pull(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    pulling()
    pulling.org.later(hours=1)
    sandbox.delete_record(pulling.org.store, pulling.org.clock, "Contact", made.contact, hard=True)
    pulling()
    assert made.contact in pulling.warehouse.live("contact")
    pulling.org.later(hours=RULES.pull.full_every_hours)
    pulling()
    assert pulling.warehouse.live("contact") == {}


def test_a_touched_deal_is_no_changed_deal(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    pulling()
    before = pulling.warehouse.live("opportunity")[made.deal]["content_hash"]
    pulling.org.later(hours=1)
    sandbox.touch(pulling.org.store, pulling.org.clock, "Opportunity", made.deal)
    pulling()
    after = pulling.warehouse.live("opportunity")[made.deal]
    assert after["content_hash"] == before
    assert after["source_modified_at"] > pulling.org.clock.now() - timedelta(minutes=1)


def test_pages_lose_and_repeat_nothing_even_within_one_second(pulling: Pulling) -> None:
    accounts = pulling.org.put("Account", *({"Name": f"Account {number}"} for number in range(4500)))
    pulled = pulling()
    assert set(pulling.warehouse.live("account")) == set(accounts)
    assert pulled.notes == []
    pulling.org.later(hours=1)
    more = pulling.org.put("Account", *({"Name": f"More {number}"} for number in range(2100)))
    pulling()
    assert set(pulling.warehouse.live("account")) == {*accounts, *more}


def test_many_changed_deals_have_their_lines_read_in_few_calls(pulling: Pulling) -> None:
    (account,) = pulling.org.put("Account", {"Name": "Acme"})
    (product,) = pulling.org.put("Product2", {"Name": "Seat", "ProductCode": "SEAT", "IsActive": True})
    pulling()
    pulling.org.later(hours=1)
    deals = pulling.org.put(
        "Opportunity",
        *({"Name": f"Deal {n}", "AccountId": account, "StageName": "Closed Won", "CloseDate": "2026-03-31"} for n in range(450)),
    )
    pulling.org.put(
        "OpportunityLineItem",
        *({"OpportunityId": deal, "Product2Id": product, "Quantity": 1, "UnitPrice": 5} for deal in deals for _ in "ab"),
    )
    assert pulling.calls_of() <= 5
    assert len(pulling.warehouse.live("opportunity_line_item")) == 900


def test_another_list_of_fields_makes_that_object_be_read_whole(pulling: Pulling) -> None:
    a_deal(pulling.org)
    pulling()
    pulling.org.later(hours=1)
    sandbox.hide_field(pulling.org.store, "Contact", "Phone")
    pulling.cache.kept.clear()
    complete = {table.table.name for table in pulling().tables if table.complete}
    lacking = {table.name for table in optional_tables(RULES)}
    assert complete == {"contact", "organization"} | lacking


def test_a_field_that_disappears_is_named_although_descriptions_were_cached(pulling: Pulling) -> None:
    a_deal(pulling.org)
    pulling()
    sandbox.hide_field(pulling.org.store, "Opportunity", "Contract_URL__c")
    with pytest.raises(ConfigurationError, match=r"Opportunity\.Contract_URL__c"):
        pulling()
    sandbox.hide_field(pulling.org.store, "Opportunity", "Contract_URL__c", hidden=False)
    pulling()
    sandbox.hide_object(pulling.org.store, "Contact")
    with pytest.raises(ConfigurationError, match="Contact"):
        pulling()


def test_a_field_that_may_be_lacking_disappears_without_harm(pulling: Pulling) -> None:
    made = a_deal(pulling.org)
    pulling()
    pulling.org.later(hours=1)
    sandbox.hide_field(pulling.org.store, "Product2", "StockKeepingUnit")
    pulling()
    assert made.product in pulling.warehouse.live("product2")


def test_currencies_are_read_where_there_are_several(multi_currency_org: SandboxOrg) -> None:
    pulling = Pulling(multi_currency_org, multi_currency_org.door())
    multi_currency_org.put(
        "CurrencyType", {"IsoCode": "EUR", "ConversionRate": Decimal("0.912345"), "DecimalPlaces": 2, "IsActive": True}
    )
    multi_currency_org.put("Account", {"Name": "Acme", "CurrencyIsoCode": "EUR"})
    pulling()
    currencies = {row["iso_code"]: row for row in pulling.warehouse.live("currency_type").values()}
    assert currencies["EUR"]["conversion_rate"] == Decimal("0.912345")
    assert [row["currency"] for row in pulling.warehouse.live("account").values()] == ["EUR"]


def test_cached_descriptions_end_after_a_day_and_survive_nonsense(pulling: Pulling) -> None:
    pulling()
    pulling.org.later(hours=25)
    # Three composite calls, and the one that finds the session at its end.
    before = pulling.door.calls("composite")
    pulling()
    assert pulling.door.calls("composite") - before == 4
    for key in pulling.cache.kept:
        pulling.cache.kept[key] = KeptText("not what was stored", pulling.org.clock.now())
    pulling()
    assert pulling.door.calls("composite") - before == 7


def test_a_query_that_fails_makes_the_pull_fail(pulling: Pulling) -> None:
    pulling()
    sandbox.behave(pulling.org.store, {"daily_limit_reached": True})
    with pytest.raises(ServiceUnavailable):
        pulling()


# --- services that the sandbox does not play ------------------------------------------------------------------------

_STAMP = "2026-03-31T09:00:00.000+0000"


def _plain_service(records: dict[str, list[dict[str, Any]]], counts: dict[str, int] | None = None) -> Any:
    """A service without composite calls that shows every field and answers each query with all records of its object."""
    columns = {table.name: [column.path for column in table.columns if column.path] for table in TABLES}
    custom = [*RULES.salesforce.opportunity.model_dump().values(), *RULES.salesforce.account.model_dump().values()]

    def answer(asked: Asked) -> Said:
        if asked.path.endswith("/describe"):
            name = asked.path.split("/")[-2]
            if name in ("CurrencyType", "OpportunityLineItemSchedule", "Contract") or name.startswith("SBQQ__"):
                return refused(404, "NOT_FOUND")
            table = {"OpportunityLineItem": "opportunity_line_item", "Product2": "product2"}.get(name) or "".join(
                f"_{letter.lower()}" if letter.isupper() else letter for letter in name
            ).lstrip("_")
            names = {*columns[table], *custom, "SystemModstamp", "Id"}
            return Said(body={"name": name, "fields": [{"name": each, "type": "string"} for each in sorted(names)]})
        if "q" not in asked.params:
            return refused(404, "NOT_FOUND")
        soql = asked.params["q"]
        name = soql.partition(" FROM ")[2].split()[0]
        if "COUNT()" in soql:
            return Said(body={"totalSize": (counts or {}).get(name, 0), "done": True, "records": []})
        if "AND Id >" in soql:
            return found()
        return found(*records.get(name, [{"Id": "00D000000000062EAA"}] if name == "Organization" else []))

    return answer


def _pull(door: Door, warehouse: Warehouse | None = None) -> SalesforcePull:
    now = datetime(2026, 3, 31, 10, tzinfo=UTC)
    return pull_salesforce(door.client, RULES, (warehouse or Warehouse()).view, full=False, now=now)


def test_a_service_without_composite_calls_is_pulled_too(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(_plain_service({"Account": [{"Id": "001000000000001AAA", "Name": "A", "SystemModstamp": _STAMP}]}))
    pulled = _pull(signed_in)
    tables = {table.table.name: table for table in pulled.tables}
    assert tables["account"].frame["name"].to_list() == ["A"]
    assert tables["account"].frame["is_deleted"].to_list() == [False]
    assert tables["currency_type"].complete
    assert pulled.organization_id == "00D000000000062EAA"


def test_answers_without_a_date_are_followed_by_the_records_own_stamps(service: ScriptedSalesforce, signed_in: Door) -> None:
    plain = _plain_service({"Account": [{"Id": "001000000000001AAA", "Name": "A", "SystemModstamp": _STAMP}]})

    def without_date(asked: Asked) -> Said:
        said = plain(asked)
        return replace(said, headers={**said.headers, "Date": ""})

    service.says(without_date)
    warehouse, now = Warehouse(), datetime(2026, 3, 31, 10, tzinfo=UTC)
    warehouse.keep(_pull(signed_in), now)
    assert warehouse.watermarks["salesforce.account"].read_until == datetime(2026, 3, 31, 9, tzinfo=UTC)
    # Nothing is known of an empty object's clock: it is asked for from the beginning of time again.
    assert warehouse.watermarks["salesforce.contact"].read_until == datetime(1970, 1, 1, tzinfo=UTC)
    before = len(service.calls)
    warehouse.keep(_pull(signed_in, warehouse), now)
    asked = [call.params.get("q", "") for call in service.calls[before:]]
    assert any("FROM Contact WHERE SystemModstamp >= 1969-12-31T23:50:00Z" in soql for soql in asked)


def test_rows_that_paging_missed_are_read_by_the_service_s_own_cursor(service: ScriptedSalesforce, signed_in: Door) -> None:
    accounts = [{"Id": sandbox.to18(f"001{number:012d}"), "Name": "A", "SystemModstamp": _STAMP} for number in range(2100)]
    plain = _plain_service({"Account": accounts}, {"Account": 2100})

    def answer(asked: Asked) -> Said:
        soql = asked.params.get("q", "")
        return found(*accounts[:2000]) if "FROM Account" in soql and "LIMIT" in soql and "AND Id" not in soql else plain(asked)

    service.says(answer)
    pulled = _pull(signed_in)
    assert {table.table.name: table.frame.height for table in pulled.tables}["account"] == 2100
    assert any("100 records fewer" in note for note in pulled.notes)


def test_a_clock_that_was_set_back_hides_nothing(service: ScriptedSalesforce, signed_in: Door) -> None:
    service.says(_plain_service({}))
    warehouse = Warehouse()
    now = datetime(2026, 3, 31, 10, tzinfo=UTC)
    warehouse.keep(_pull(signed_in), now)
    for name, mark in warehouse.watermarks.items():
        warehouse.watermarks[name] = Watermark(name, mark.read_until + timedelta(days=30), now, mark.fields_hash)
    pulled = _pull(signed_in, warehouse)
    assert all(table.complete for table in pulled.tables)
    assert any("clock" in note for note in pulled.notes)


@pytest.mark.parametrize("code", ["INVALID_FIELD", "INVALID_TYPE"])
def test_an_org_that_describes_what_it_refuses_is_a_matter_of_its_setup(
    service: ScriptedSalesforce, signed_in: Door, code: str
) -> None:
    plain = _plain_service({})
    service.says(lambda asked: refused(400, code, "No such") if "FROM Contact" in asked.params.get("q", "") else plain(asked))
    with pytest.raises(ConfigurationError, match="Contact"):
        _pull(signed_in)


def test_a_query_that_takes_too_long_is_asked_for_less(service: ScriptedSalesforce, signed_in: Door) -> None:
    plain = _plain_service({})

    def answer(asked: Asked) -> Said:
        soql = asked.params.get("q", "")
        return refused(400, "QUERY_TIMEOUT") if "FROM Account" in soql and "LIMIT 2000" in soql else plain(asked)

    service.says(answer)
    _pull(signed_in)
    assert "LIMIT 500" in " ".join(call.params.get("q", "") for call in service.calls)


@pytest.mark.parametrize("record", [{"Name": "no id"}, {"Id": ""}])
def test_a_record_without_an_id_is_no_answer(service: ScriptedSalesforce, signed_in: Door, record: dict[str, Any]) -> None:
    service.says(_plain_service({"Account": [record]}))
    with pytest.raises(ServiceError):
        _pull(signed_in)
