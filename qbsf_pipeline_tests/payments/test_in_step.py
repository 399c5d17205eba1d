"""Payments that reach deals and their owners by whole passes: jobs on a real Dagster instance, services over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from qbsf_pipeline.payments.automation import PAYMENTS
from qbsf_pipeline.payments.tables import PLAN, REFUSALS
from qbsf_pipeline_tests.payments.billed import Billed, Company, company_in, one_pass
from qbsf_pipeline_tests.pipeline import Pipeline, closed

ALL = Decimal("100.00")
NOTHING = Decimal("0.00")


@dataclass
class Story:
    """Deals that were billed, and what passes made of them while finance worked on their invoices.

    ``shown``: status, balance and day of the last payment by pass and deal; ``writes``: calls that could change something, by
    pass; ``calls``: all calls of the idle pass; ``told``: (channel, text) about each deal by pass, oldest first.
    """

    company: Company
    deals: dict[str, Billed]
    shown: dict[str, dict[str, tuple[str | None, Decimal | None, str | None]]] = field(default_factory=dict)
    told: dict[str, dict[str, list[tuple[str, str]]]] = field(default_factory=dict)
    writes: dict[str, dict[str, int]] = field(default_factory=dict)
    calls: dict[tuple[str, str], int] = field(default_factory=dict)

    def look(self, moment: str) -> None:
        company = self.company
        self.writes[moment] = company.writes()
        self.calls = company.control.call_counts()
        self.shown[moment] = {name: company.shown(deal) for name, deal in self.deals.items()}
        self.told[moment] = {name: company.told(f"{deal.name}:") for name, deal in self.deals.items()}
        company.control.clear_calls()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with (
        company_in(tmp_path_factory.mktemp("services")) as (sandbox, company),
        pytest.MonkeyPatch.context() as patch,
        Pipeline(tmp_path_factory.mktemp("home") / "home", patch, sandbox) as pipeline,
    ):
        owners = {"left": "Tom Kessler"}
        names = ("whole", "part", "voided", "left", "before", "untouched", "hostile")
        titles = {"hostile": "Ünïcode <!channel> O'Neill & *Söhne*"}
        deals = {name: company.bill(titles.get(name, name.title()), owner=owners.get(name, "Dana Whitfield")) for name in names}
        company.pay(deals["before"], "100.00")
        found = Story(company, deals)
        company.control.clear_calls()
        one_pass(pipeline, PAYMENTS)
        found.look("first")

        paid = company.pay(deals["whole"], "100.00")
        company.pay(deals["part"], "40.00")
        company.pay(deals["left"], "100.00")
        company.pay(deals["hostile"], "100.00")
        one_pass(pipeline, PAYMENTS)
        found.look("paid")
        one_pass(pipeline, PAYMENTS)
        found.look("idle")
        idle = found.calls

        company.take_back(deals["whole"], paid)
        company.pay(deals["part"], "60.00")
        # Somebody writes over what the program wrote.
        company.control.advance_clock(2)
        company.control.upsert_records("Opportunity", [{"Id": deals["untouched"].deal_id, "Payment_Status__c": "Paid"}])
        company.control.fault("salesforce", "collections_update", "error", times=20)
        one_pass(pipeline, PAYMENTS)
        found.look("down")
        company.control.clear_faults()
        for entry in pipeline.doors.state.ledger.waiting("payments"):
            # The wait after an outage is over.
            pipeline.doors.state.ledger.retry(entry.key, pipeline.doors.now())
        one_pass(pipeline, PAYMENTS)
        found.look("taken back")
        one_pass(pipeline, PAYMENTS)
        found.look("idle again")
        found.calls = idle
        yield found


def test_the_first_pass_puts_every_deal_right_and_tells_nobody(story: Story) -> None:
    assert story.shown["first"]["whole"] == ("Sent", ALL, None)
    assert story.shown["first"]["before"] == ("Paid", NOTHING, story.company.today.isoformat())
    assert all(not told for told in story.told["first"].values())


def test_what_was_paid_shows_on_the_deal_to_the_cent(story: Story) -> None:
    today = story.company.today.isoformat()
    assert story.shown["paid"] == {
        "whole": ("Paid", NOTHING, today),
        "part": ("Partially Paid", Decimal("60.00"), today),
        "voided": ("Sent", ALL, None),
        "left": ("Paid", NOTHING, today),
        "before": ("Paid", NOTHING, today),
        "untouched": ("Sent", ALL, None),
        "hostile": ("Paid", NOTHING, today),
    }


def test_the_owner_is_told_directly_and_who_left_is_named_to_finance(story: Story) -> None:
    ((channel, text),) = story.told["paid"]["whole"]
    assert channel.startswith("D")
    assert "100.00 USD" in text
    ((channel, text),) = story.told["paid"]["left"]
    assert not channel.startswith("D")
    assert "Tom Kessler" in text
    # By rule a part payment is no news.
    assert story.told["paid"]["part"] == []


def test_a_name_that_looks_like_an_order_to_slack_is_shown_as_it_is(story: Story) -> None:
    told = [text for _, text in story.company.told("Ünïcode")]
    assert len(told) == 1
    assert "&lt;!channel&gt;" in told[0]


def test_a_pass_without_news_reads_little_and_writes_nothing(story: Story) -> None:
    assert story.writes["idle"] == story.writes["idle again"] == {"quickbooks": 0, "salesforce": 0, "slack": 0}
    assert story.shown["idle"] == story.shown["paid"]
    # The third one reads the lines of the deals that the pass before has written.
    assert story.calls == {("quickbooks", "cdc"): 1, ("salesforce", "composite"): 3}


def test_a_payment_that_is_taken_back_reopens_the_deal_and_the_owner_is_told_why(story: Story) -> None:
    assert story.shown["taken back"]["whole"] == ("Sent", ALL, None)
    told = story.told["taken back"]["whole"]
    assert len(told) == 2
    channel, text = told[1]
    assert channel.startswith("D")
    assert "voided" in text


def test_what_somebody_wrote_over_is_put_right_without_a_word(story: Story) -> None:
    assert story.shown["taken back"]["untouched"] == ("Sent", ALL, None)
    assert story.told["taken back"]["untouched"] == []


def test_an_outage_delays_the_write_and_not_the_message_and_nothing_is_told_twice(story: Story) -> None:
    assert story.shown["down"]["part"] == story.shown["paid"]["part"]
    assert story.shown["taken back"]["part"] == ("Paid", NOTHING, story.company.today.isoformat())
    assert len(story.told["down"]["part"]) == len(story.told["idle again"]["part"]) == 1
    assert story.told["idle again"] == story.told["taken back"]


# More ways in which a pass can go


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[object, Company]]:
    with company_in(tmp_path_factory.mktemp("services")) as opened:
        yield opened


@pytest.fixture
def company(services: tuple[object, Company]) -> Company:
    return services[1]


@pytest.fixture
def pipeline(services: tuple[object, Company], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "home", monkeypatch, services[0]) as built:  # type: ignore[arg-type]
        yield built


def test_a_thousand_payments_cost_few_calls(company: Company, pipeline: Pipeline) -> None:
    pipeline.rules("[gates]\nmax_deal_changes = 5000\n")
    deals = company.bill_many(["Bulk"] * 1000)
    one_pass(pipeline, PAYMENTS)
    company.pay_many(deals, "100.00")
    company.control.clear_calls()
    pipeline.rules(
        "[gates]\nmax_deal_changes = 5000\n[slack]\nsingle_failures = 9\n".replace("[slack]\nsingle_failures = 9\n", "")
    )
    one_pass(pipeline, PAYMENTS)
    calls = company.control.call_counts()
    assert sum(number for (service, _), number in calls.items() if service == "salesforce") <= 10
    assert calls["salesforce", "collections_update"] == 5
    assert calls["quickbooks", "cdc"] >= 1
    statuses = {one["Payment_Status__c"] for one in company.control.records("Opportunity") if one["Name"].startswith("Bulk")}
    assert statuses == {"Paid"}


def test_a_change_of_most_deals_at_once_waits_for_a_person(company: Company, pipeline: Pipeline) -> None:
    deal = company.bill("Radius")
    pipeline.rules("[gates]\nmax_deal_changes = 0\nmax_deal_changes_share = 0.0\n")
    stopped = pipeline.run("sync_payments")
    assert not stopped.success
    assert closed(stopped) == {"within_blast_radius"}
    assert company.shown(deal) == (None, None, None)
    assert pipeline.doors.state.ledger.waiting("payments") == []
    assert pipeline.doors.state.deal_payments.all() == {}
    whole = pipeline.table(PLAN)
    assert whole.height


def test_an_invoice_made_by_hand_counts_once_a_person_links_it(company: Company, pipeline: Pipeline) -> None:
    from datetime import UTC, datetime

    from qbsf_pipeline.state.links import PERSON, InvoiceLink

    deal = company.bill("By hand", marked=False)
    one_pass(pipeline, PAYMENTS)
    assert company.shown(deal) == (None, None, None)
    pipeline.doors.state.links.link_invoice(InvoiceLink(deal.deal_id, deal.invoice_id, PERSON, "dana", datetime.now(UTC)))
    one_pass(pipeline, PAYMENTS)
    assert company.shown(deal) == ("Sent", ALL, None)


def test_a_refusal_by_the_org_is_told_with_its_text_and_stops_no_other_deal(company: Company, pipeline: Pipeline) -> None:
    one_pass(pipeline, PAYMENTS)
    refused, other = company.bill("Refused"), company.bill("Other")
    rule = {"type": "Opportunity", "field": "Payment_Status__c", "text": "Ask Dana first.", "times": 1}
    company.control.salesforce("behave", validation_rule=rule)
    one_pass(pipeline, PAYMENTS)
    assert company.shown(refused) == (None, None, None)
    assert company.shown(other) == ("Sent", ALL, None)
    (entry,) = pipeline.doors.state.ledger.entries(flow="payments", status="dead")
    assert "Ask Dana first" in (entry.error_message or "")
    assert len(company.told("Ask Dana first")) == 1
    assert pipeline.table(REFUSALS).is_empty()
