"""What people see of a question: both records side by side, the page, the Slack message, and what a replay would change."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbsf_pipeline.customers.matching.inputs import MatchingInputs, without_own_work
from qbsf_pipeline.customers.matching.messages import review_message, totals
from qbsf_pipeline.customers.matching.plan import DECISIONS, LINKS, MATCHES, REJECTIONS, account_marker
from qbsf_pipeline.customers.matching.replay import REPLAYED, compare_matches
from qbsf_pipeline.customers.matching.review_page import PageLinks, by_amount, questions_as_markdown, review_page
from qbsf_pipeline.customers.matching.side_by_side import details_of, disagreement, side_by_side
from qbsf_pipeline.customers.matching.successors import SUCCESSORS
from qbsf_pipeline.invoices.assets import review_cases
from qbsf_pipeline.invoices.tables import DEALS
from qbsf_pipeline.money import parse_json, to_json
from qbsf_pipeline.quickbooks.objects import CUSTOMER
from qbsf_pipeline.salesforce.objects import ACCOUNT as ACCOUNTS
from qbsf_pipeline.salesforce.objects import CONTACT
from qbsf_pipeline.settings import load_rules
from qbsf_pipeline.slack.blocks import LONGEST_MESSAGE, LONGEST_SECTION, characters
from qbsf_pipeline.state.reviews import Review
from qbsf_pipeline_tests.invoices.records import World, account, customer, frame, record_id, state_frame

ACCOUNT, OTHER = record_id("001"), record_id("001", 2)
NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def row_of(table: Any, values: dict[str, Any]) -> dict[str, Any]:
    return frame(table, [values]).to_dicts()[0]


def verdicts(ours: dict[str, Any], theirs: dict[str, Any], agreeing: tuple[str, ...] = (), differing: tuple[str, ...] = ()):
    candidate = {"customer_id": "101", "agreeing": agreeing, "differing": differing, "score": Decimal("0.6")}
    shown = side_by_side(row_of(ACCOUNTS, account(**ours)), [], [candidate], {"101": row_of(CUSTOMER, customer(**theirs))})
    return {field["field"]: field["verdict"] for field in shown["candidates"][0]["fields"]}


# Side by side


def test_a_field_agrees_differs_stands_alone_or_tells_nothing() -> None:
    found = verdicts(
        {"phone": "1", "currency": "USD"},
        {"email": "x@y.example", "phone": "2", "billing_city": "Denver", "billing_postal_code": "80302", "website": None},
        agreeing=("email",),
        differing=("address",),
    )
    assert found == {
        "name": "differs",
        "e-mail for invoices": "agrees",
        "phone": "-",
        "web domain": "-",
        "street": "only_one",
        "postal code": "agrees",
        "city": "differs",
        "state": "only_one",
        "country": "only_one",
        "currency": "agrees",
    }


def test_a_field_that_both_lack_is_left_out_and_a_contradicting_legal_form_is_shown() -> None:
    nothing = dict.fromkeys(("billing_email", "phone", "website", "billing_street", "billing_city", "billing_state"))
    found = verdicts(
        {**nothing, "billing_postal_code": " ", "billing_country": ""},
        {"email": None, "currency": None},
        ("name",),
        ("legal form",),
    )
    assert found == {"name": "agrees", "legal form": "differs"}


def test_the_customer_tells_its_parent_balance_and_whether_it_is_active() -> None:
    child = row_of(CUSTOMER, customer(parent_id="7", active=False, balance=Decimal("12.50")))
    parent = row_of(CUSTOMER, customer(id="7", display_name="Group"))
    asked = [{"customer_id": "101"}, {"customer_id": "gone"}]
    deals = [
        {"opportunity_id": f"006{number}", "deal": f"D{number}", "amount": Decimal(1), "currency": "USD"} for number in range(25)
    ]
    shown = side_by_side(row_of(ACCOUNTS, account()), ["Jo", "", "Al"], asked, {"101": child, "7": parent}, deals)
    (one,) = shown["candidates"]
    assert (one["customer"]["parent"], one["customer"]["balance"], one["customer"]["active"]) == (
        "Group",
        Decimal("12.50"),
        False,
    )
    assert shown["account"]["contact person"] == "Jo, Al"
    assert shown["account"]["street"] == "1 Main Street, Suite 5"
    assert (len(shown["deals"]), shown["more_deals"]) == (20, 5)
    assert parse_json(to_json(shown)) == shown


def test_details_are_made_for_what_is_asked_and_survive_missing_records() -> None:
    questions = pl.DataFrame(
        [{"account_id": ACCOUNT, "candidates": '[{"customer_id":"101"}]'}, {"account_id": "gone", "candidates": "[]"}],
        schema={"account_id": pl.String, "candidates": pl.String},
    )
    contacts = frame(CONTACT, [{"id": "003", "account_id": ACCOUNT, "name": None}])
    found = details_of(questions, frame(ACCOUNTS, [account()]), contacts, frame(CUSTOMER, [customer()]), DEALS.empty())
    assert list(found) == [ACCOUNT]
    assert found[ACCOUNT]["candidates"][0]["customer"]["display_name"] == "Acme 1, Inc"
    assert details_of(questions.clear(), frame(ACCOUNTS, []), contacts, frame(CUSTOMER, []), DEALS.empty()) == {}


def test_an_account_whose_link_was_undone_is_asked_about_without_any_deal() -> None:
    questions = World(rejections=[{"account_id": ACCOUNT, "customer_id": "101"}]).match().reviews
    (case,) = review_cases(questions, DEALS.empty())
    assert (case.account_id, case.deals_waiting, case.amount_waiting) == (ACCOUNT, 0, None)
    assert review_cases(World(customers=[customer(email=None)]).match().reviews, DEALS.empty()) == []


# The page and the message


def review(number: int = 1, **values: Any) -> Review:
    details = side_by_side(
        row_of(ACCOUNTS, account()),
        [],
        [{"customer_id": "101", "agreeing": ["name"], "differing": ["address"], "score": Decimal("0.6")}],
        {"101": row_of(CUSTOMER, customer(billing_city="Denver"))},
        [{"opportunity_id": record_id("006"), "deal": "Deal 1", "amount": Decimal("1000.00"), "currency": "USD"}],
    )
    content = {
        "review_id": f"R-{number}",
        "account_id": record_id("001", number),
        "account_name": f"Acme {number}",
        "status": "open",
        "question": "Is it this account?",
        "candidates": [{"customer_id": "101", "display_name": "Acme 1, Inc"}],
        "deals_waiting": 1,
        "amount_waiting": Decimal("1000.00"),
        "currency": "USD",
        "opened_at": NOW,
        "decided_at": None,
        "decided_by": None,
        "customer_id": None,
        "details": details,
    }
    return Review(**{**content, **values})


class Page(HTMLParser):
    """Tags that were opened, their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


LINKS_OF_THE_PAGE = PageLinks("https://org.test/{id}", "https://org.test/deal/{id}", "https://qbo.test/c?nameId={id}")
HOSTILE = '</td><script>alert("x")</script><img src=x onerror=1> & \'"{{ 7*7 }}{% raw %}'


def hostile(value: str) -> Review:
    one = review()
    details = parse_json(to_json(one.details))
    candidate, deal = details["candidates"][0], details["deals"][0]
    candidate["customer"] |= {"display_name": value, "parent": value}
    candidate["fields"][0] |= {"account_value": value, "customer_value": value}
    deal["name"] = value
    return replace(one, account_name=value, question=value, details=details)


def test_what_records_say_is_text_on_the_page_and_never_a_tag() -> None:
    page = Page(review_page([hostile(HOSTILE)], LINKS_OF_THE_PAGE, NOW))
    plain = Page(review_page([hostile("x")], LINKS_OF_THE_PAGE, NOW))
    assert page.tags == plain.tags
    assert page.text.count(HOSTILE) == 8
    assert not {name for name, _ in page.attributes} & {"src", "onerror", "onclick"}


@settings(max_examples=25)
@given(st.text(max_size=300))
def test_any_text_makes_the_same_page(value: str) -> None:
    made = review_page([hostile(value or "x")], LINKS_OF_THE_PAGE, NOW)
    assert Page(made).tags == Page(review_page([hostile("x")], LINKS_OF_THE_PAGE, NOW)).tags


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = Page(review_page([review(), review(2)], LINKS_OF_THE_PAGE, NOW))
    assert "script" not in page.tags
    loaded = [
        value
        for name, value in page.attributes
        if name in ("src", "href") and not str(value).startswith(("https://org.", "https://qbo.", "#"))
    ]
    assert loaded == ["data:,"]
    assert re.search(r"url\(|@import", review_page([review()], LINKS_OF_THE_PAGE, NOW)) is None


def test_the_largest_amount_comes_first_and_everything_is_added_up() -> None:
    euro = review(2, amount_waiting=Decimal("3000.00"), currency="EUR", deals_waiting=2)
    assert [one.review_id for one in by_amount([review(), euro])] == ["R-2", "R-1"]
    text = " ".join(Page(review_page([review(), euro], PageLinks(), NOW)).text.split())
    assert "2 accounts in Salesforce have no customer" in text
    assert "3 won deals over 3,000.00 EUR and 1,000.00 USD wait for the answer" in text
    assert text.index("Acme 2") < text.index("Acme 1 ")


def test_deals_of_several_currencies_are_added_up_by_currency() -> None:
    deals = [{"name": "A", "opportunity_id": "1", "amount": Decimal("1.10"), "currency": "EUR"}]
    deals.append(deals[0] | {"currency": "USD", "amount": 2})
    mixed = review(amount_waiting=None, currency=None, details={**(review().details or {}), "deals": deals})
    assert totals([mixed, review()]) == "1,002.00 USD and 1.10 EUR"


def test_without_questions_the_page_says_so() -> None:
    assert "Nothing waits for you." in Page(review_page([], PageLinks(), NOW)).text
    assert questions_as_markdown([]) == "No account waits for a person."


def test_a_review_without_details_still_shows_its_candidates() -> None:
    bare = review(details=None)
    text = Page(review_page([bare], PageLinks(), NOW)).text
    assert "qbsf review link R-1 101" in text
    assert "Acme 1, Inc" in text
    assert review_message([bare], "#f", "http://d/", "https://org.test/{id}") is not None


@pytest.mark.parametrize("record_id_", ["101/../evil", '1" onclick="', "1 2", ""])
def test_what_is_no_id_makes_no_link(record_id_: str) -> None:
    page = Page(review_page([review(account_id=record_id_)], PageLinks(account="https://org.test/{id}"), NOW))
    assert not [value for name, value in page.attributes if name == "href" and "org.test" in str(value)]


def test_a_table_in_markdown_keeps_its_columns_whatever_the_names() -> None:
    lines = questions_as_markdown([review(account_name="A | B\n`c` <b>", question="[x](y) *z*")]).splitlines()
    assert len(lines) == 3
    assert len(re.findall(r"(?<!\\)\|", lines[2])) == len(re.findall(r"(?<!\\)\|", lines[0]))
    assert "<b>" not in lines[2]


def test_a_message_lists_ten_and_counts_the_rest() -> None:
    reviews = [review(number, amount_waiting=Decimal(number)) for number in range(1, 14)]
    message = review_message(reviews, "#finance", "http://dagster/assets/customers/reviews_page", "https://org.test/{id}")
    assert message is not None
    text = "\n".join(block["text"]["text"] for block in message.blocks)
    assert text.startswith(":mag: *13 accounts wait for you to name the QuickBooks customer* · 91.00 USD of won deals")
    assert text.count("best candidate: Acme 1, Inc (customer 101), differs in ") == 10
    assert "_and 3 more_" in text
    assert "*<https://org.test/001000000000013AAA|Acme 13>*" in text
    assert "Acme 3>" not in text
    assert "`qbsf review link R-13 CUSTOMER`" in text
    assert review_message([], "#finance", "http://d/", "") is None


def test_the_same_questions_are_one_message_and_asked_again_another() -> None:
    def key(*reviews: Review) -> str:
        message = review_message(reviews, "#f", "http://d/", "")
        assert message is not None
        return message.dedupe_key

    assert key(review(1), review(2)) == key(review(2), review(1))
    assert key(review(1)) != key(replace(review(1), opened_at=datetime(2026, 11, 21, tzinfo=UTC)))


def test_very_long_names_and_questions_fit_into_slacks_limits() -> None:
    long = "&" * 5000
    message = review_message([replace(hostile(long), review_id=f"R-{number}") for number in range(12)], "#f", "http://d/", "")
    assert message is not None
    assert all(len(block["text"]["text"]) <= LONGEST_SECTION for block in message.blocks)
    assert sum(characters(block) for block in message.blocks) <= LONGEST_MESSAGE


# Replay


def matched(*rows: tuple[str, str, str | None]) -> pl.DataFrame:
    return MATCHES.frame(
        [
            {"account_id": one, "account_name": one, "outcome": outcome, "customer_id": customer_id}
            for one, outcome, customer_id in rows
        ]
    )


def test_links_that_appear_vanish_or_change_are_told_and_nothing_else() -> None:
    before = matched(
        ("a", "linked", "1"), ("b", "linked", "1"), ("c", "review", None), ("d", "linked", "9"), ("e", "create", None)
    )
    after = matched(
        ("a", "linked", "1"), ("b", "linked", "2"), ("c", "linked", "1"), ("d", "review", None), ("e", "review", None)
    )
    names = pl.DataFrame({"id": ["1", "2"], "display_name": ["One", "Two"]})
    found = compare_matches(before, after, names)
    assert found.schema == REPLAYED
    shown = found.select(
        "account_id", "change", "customer_before", "customer_before_name", "customer_after", "customer_after_name"
    )
    assert shown.rows() == [
        ("b", "changes", "1", "One", "2", "Two"),
        ("d", "vanishes", "9", None, None, None),
        ("c", "appears", None, None, "1", "One"),
    ]


def inputs(world: World) -> MatchingInputs:
    return MatchingInputs(
        accounts=frame(ACCOUNTS, world.accounts),
        customers=frame(CUSTOMER, world.customers),
        contacts=frame(CONTACT, world.contacts),
        links=state_frame(LINKS, world.links),
        decisions=state_frame(DECISIONS, world.decisions),
        rejections=state_frame(REJECTIONS, world.rejections),
        successors=state_frame(SUCCESSORS, world.successors),
        users=pl.DataFrame(schema={"email": pl.String, "is_active": pl.Boolean}),
    )


@pytest.mark.parametrize(
    ("method", "stored", "outcome"),
    [
        ("name_and_evidence", "101", "create"),  # the rule would not link it, and the program wrote the id itself
        ("name_and_evidence", " 101 ", "create"),
        ("scored", None, "create"),
        ("person", "101", "linked"),
        ("person", None, "linked"),
        ("stored_id", "101", "linked"),
        (None, "101", "linked"),
    ],
)
def test_what_people_said_stays_in_a_replay_and_what_the_program_did_does_not(
    method: str | None, stored: str | None, outcome: str
) -> None:
    world = World(accounts=[account(customer_id=stored)], customers=[customer(display_name="Zeta", email=None)])
    if method is not None:
        world.links = [{"account_id": ACCOUNT, "customer_id": "101", "method": method}]
    replayed = without_own_work(inputs(world)).match(load_rules()).matches
    assert replayed.get_column("outcome").item() == outcome


def test_a_customer_that_the_program_made_is_found_by_its_notes_in_a_replay() -> None:
    made = customer(display_name="Zeta", email=None, notes=account_marker(ACCOUNT))
    world = World(
        accounts=[account(customer_id="101")],
        customers=[made],
        links=[{"account_id": ACCOUNT, "customer_id": "101", "method": "marker"}],
    )
    assert without_own_work(inputs(world)).match(load_rules()).matches.get_column("method").item() == "marker"


def test_what_speaks_against_a_candidate_is_said_in_a_few_words() -> None:
    assert disagreement((review().details or {})["candidates"][0]) == "city"
