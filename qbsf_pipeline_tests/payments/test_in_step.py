"""Payments that reach deals and their owners by whole passes: jobs on a real Dagster instance, services over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import dagster as dg
import pytest

from qbsf_pipeline.flows.approval import batch_of
from qbsf_pipeline.payments.automation import PAYMENTS
from qbsf_pipeline.payments.tables import PLAN, REFUSALS
from qbsf_pipeline.slack.blocks import escape
from qbsf_pipeline.state.links import PERSON, InvoiceLink
from qbsf_pipeline_tests.payments.billed import RAW, Billed, Company, company_in, one_pass
from qbsf_pipeline_tests.pipeline import Pipeline, closed

ALL = Decimal("100.00")
NOTHING = Decimal("0.00")
#: More than the rules let one pass change, and more than one call writes.
MORE = 205
REFUSED = "Fill the delivery date first"


@dataclass
class Story:
    """Deals that were billed, and what passes made of them while finance worked on their invoices.

    ``shown``: status, balance and day of the last payment by pass and deal; ``stages``: their stages; ``calls``: all calls by
    pass; ``writes``: those of them that could change something; ``told``: (channel, text) about each deal by pass, oldest first;
    ``more``: deals of one customer that are paid in part together; ``stopped``: the pass that nobody had approved, with what was
    written by it.
    """

    company: Company
    deals: dict[str, Billed]
    more: list[Billed]
    shown: dict[str, dict[str, tuple[str | None, Decimal | None, str | None]]] = field(default_factory=dict)
    stages: dict[str, dict[str, str]] = field(default_factory=dict)
    told: dict[str, dict[str, list[tuple[str, str]]]] = field(default_factory=dict)
    writes: dict[str, dict[str, int]] = field(default_factory=dict)
    calls: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    stopped: dg.ExecuteInProcessResult | None = None
    left_by_stop: tuple[int, int] = (-1, -1)
    more_shown: set[tuple[str | None, Decimal | None, str | None]] = field(default_factory=set)
    refusals: dict[str, str] = field(default_factory=dict)

    def look(self, moment: str) -> None:
        company = self.company
        self.writes[moment] = company.writes()
        self.calls[moment] = company.control.call_counts()
        self.shown[moment] = {name: company.shown(deal) for name, deal in self.deals.items()}
        self.stages[moment] = {name: company.deal(deal)["StageName"] for name, deal in self.deals.items()}
        self.told[moment] = {name: company.told(f"{escape(deal.name)}:") for name, deal in self.deals.items()}
        company.control.clear_calls()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with (
        company_in(tmp_path_factory.mktemp("services")) as (sandbox, company),
        pytest.MonkeyPatch.context() as patch,
        Pipeline(tmp_path_factory.mktemp("home") / "home", patch, sandbox) as pipeline,
    ):
        state = pipeline.doors.state
        owners = {"left": "Tom Kessler"}
        names = ("whole", "part", "voided", "left", "before", "untouched", "hostile")
        titles = {"hostile": "Ünïcode <!channel> O'Neill & *Söhne*"}
        deals = {name: company.bill(titles.get(name, name.title()), owner=owners.get(name, "Dana Whitfield")) for name in names}
        deals["by hand"] = company.bill("By hand", marked=False)
        company.pay(deals["before"], "100.00")
        more = company.bill_more(deals["untouched"], MORE)
        company.pay_together(more, "0.01")
        company.control.upsert_records(
            "OpportunityStage",
            [{"ApiName": "Paid", "MasterLabel": "Paid", "IsActive": True, "IsClosed": True, "IsWon": True, "SortOrder": 99}],
        )
        found = Story(company, deals, more)
        company.control.clear_calls()

        # More than one pass may change: a person looks, and lets exactly this plan go.
        found.stopped = pipeline.run(
            "sync_payments", *RAW, *("/".join(key.path) for key in (*PAYMENTS.derived, *PAYMENTS.planned))
        )
        found.left_by_stop = (len(state.ledger.waiting("payments")), len(state.deal_payments.all()))
        state.approvals.approve(batch_of(pipeline.table(PLAN)["plan_id"].to_list()), "ann", datetime.now(UTC))
        found.look("stopped")
        one_pass(pipeline, PAYMENTS)
        found.look("first")
        found.more_shown = {company.shown(one) for one in more[:: MORE // 3]}

        paid = company.pay(deals["whole"], "100.00")
        company.pay(deals["part"], "40.00")
        company.pay(deals["left"], "100.00")
        company.pay(deals["hostile"], "100.00")
        by_hand = deals["by hand"]
        state.links.link_invoice(InvoiceLink(by_hand.deal_id, by_hand.invoice_id, PERSON, "dana", datetime.now(UTC)))
        one_pass(pipeline, PAYMENTS)
        found.look("paid")
        one_pass(pipeline, PAYMENTS)
        found.look("idle")

        company.take_back(deals["whole"], paid)
        company.pay(deals["part"], "60.00")
        # Somebody writes over what the program wrote.
        company.control.advance_clock(2)
        company.control.upsert_records("Opportunity", [{"Id": deals["untouched"].deal_id, "Payment_Status__c": "Paid"}])
        company.control.fault("salesforce", "collections_update", "error", times=20)
        one_pass(pipeline, PAYMENTS)
        found.look("down")
        company.control.clear_faults()
        for entry in state.ledger.waiting("payments"):
            # The wait after an outage is over.
            state.ledger.retry(entry.key, pipeline.doors.now())
        # From now on deals that are paid are to move on, and the org refuses that.
        pipeline.rules('[payments]\npaid_stage = "Paid"\n')
        company.control.salesforce("behave", validation_rule={"type": "Opportunity", "field": "StageName", "text": REFUSED})
        one_pass(pipeline, PAYMENTS)
        found.look("taken back")
        one_pass(pipeline, PAYMENTS)
        found.look("without the stage")
        found.refusals = dict(pipeline.table(REFUSALS).select("opportunity_id", "reason").iter_rows())
        yield found


def test_a_change_of_most_deals_at_once_waits_for_a_person(story: Story) -> None:
    assert story.stopped is not None
    assert not story.stopped.success
    assert closed(story.stopped) == {"within_blast_radius"}
    (check,) = (one for one in story.stopped.get_asset_check_evaluations() if one.check_name == "within_blast_radius")
    assert "The first pass puts every deal right" in str(check.description)
    assert story.left_by_stop == (0, 0)
    assert story.writes["stopped"] == {"quickbooks": 0, "salesforce": 0, "slack": 0}


def test_the_first_pass_puts_every_deal_right_and_tells_nobody(story: Story) -> None:
    assert story.shown["first"]["whole"] == ("Sent", ALL, None)
    assert story.shown["first"]["before"] == ("Paid", NOTHING, story.company.today.isoformat())
    assert all(not told for told in story.told["first"].values())


def test_deals_are_written_two_hundred_in_a_call_and_read_again_in_few(story: Story) -> None:
    assert story.more_shown == {("Partially Paid", Decimal("99.99"), story.company.today.isoformat())}
    # More deals than two hundred, those of the sample company among them.
    assert story.calls["first"]["salesforce", "collections_update"] == 2
    # Five calls write the deals of 1,000 payments; the pass after reads all that were written, whatever their number.
    read = {name: number for (service, name), number in story.calls["paid"].items() if service == "salesforce"}
    assert read.pop("collections_update") == 1
    assert sum(read.values()) <= 5


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
        "by hand": ("Sent", ALL, None),
    }


def test_an_invoice_made_by_hand_counts_once_a_person_links_it(story: Story) -> None:
    assert story.shown["first"]["by hand"] == (None, None, None)
    assert story.shown["paid"]["by hand"] == ("Sent", ALL, None)


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
    told = [text for _, text in story.told["paid"]["hostile"]]
    assert len(told) == 1
    assert "&lt;!channel&gt;" in told[0]


def test_a_pass_without_news_reads_little_and_writes_nothing(story: Story) -> None:
    assert story.writes["idle"] == {"quickbooks": 0, "salesforce": 0, "slack": 0}
    assert (story.shown["idle"], story.told["idle"]) == (story.shown["paid"], story.told["paid"])
    # The third one reads the lines of the deals that the pass before has written; the sample company has CPQ, one query more.
    assert story.calls["idle"] == {("quickbooks", "cdc"): 1, ("salesforce", "composite"): 3, ("salesforce", "query"): 1}


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
    assert story.shown["down"] == {**story.shown["paid"], "untouched": ("Paid", ALL, None)}
    assert len(story.told["down"]["whole"]) == 2
    assert story.told["without the stage"]["whole"] == story.told["taken back"]["whole"] == story.told["down"]["whole"]


def test_a_stage_that_the_org_refuses_is_told_with_its_text_and_holds_no_payment_back(story: Story) -> None:
    deal = story.deals["part"]
    assert story.shown["taken back"]["part"] == story.shown["paid"]["part"]
    assert story.shown["without the stage"]["part"] == ("Paid", NOTHING, story.company.today.isoformat())
    assert story.stages["without the stage"]["part"] == "Closed Won"
    assert REFUSED in story.refusals[deal.deal_id]
    assert any(deal.name in text for _, text in story.company.told(REFUSED))
    # The owner is told of the payment once, whatever becomes of the stage.
    paid = [text for _, text in story.told["without the stage"]["part"] if "is paid in full" in text]
    assert len(paid) == 1
