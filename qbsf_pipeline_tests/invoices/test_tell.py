"""Telling once: each invoice, each problem, what changed and what went away, through the outbox and never past it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qbsf_pipeline.flows.problems import TOLD_AFTER_ATTEMPTS, record_link, tell_problems
from qbsf_pipeline.invoices.tables import REFUSALS
from qbsf_pipeline.invoices.tell import WORDS, problems_of, tell_credit_memos, tell_invoices, untold
from qbsf_pipeline.money import to_json
from qbsf_pipeline.settings import Settings, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline_tests.flows.test_approval import entry
from qbsf_pipeline_tests.pipeline import clear_environment, rendered
from qbsf_pipeline_tests.state.writes import invoice, sending

NOW = datetime(2026, 3, 31, 8, 0, tzinfo=UTC)
ORG = "https://acme.my.salesforce.test"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    clear_environment(monkeypatch)
    monkeypatch.setenv("SLACK_ALERTS_CHANNEL", "#alerts")
    monkeypatch.setenv("QUICKBOOKS_APP_URL", "https://qbo.test")
    return load_settings()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(f"sqlite:///{tmp_path / 'state.sqlite'}", tmp_path) as opened:
        yield opened


def finish(state: State, number: int, *, mailed: bool = True, **answer: Any) -> None:
    """The invoice of deal ``number`` was made, and mailed or not."""
    made = invoice(number, depends_on=())
    send = invoice(number, key=f"{made.key}:send", operation="send_invoice", depends_on=(made.key,))
    state.ledger.enqueue([made, send], "B-1", NOW)
    record = {"Id": str(100 + number), "DocNumber": str(1040 + number), "TotalAmt": Decimal("12500.10"), **answer}
    for write in (made, send) if mailed else (made,):
        state.ledger.start([sending(write)], NOW)
        state.ledger.finish(write.key, record["Id"], to_json(record), NOW)


def waiting(state: State) -> list[tuple[str, str]]:
    return [(one.message.channel, rendered(one.message)) for one in state.outbox.pending()]


def test_invoices_are_told_once_with_what_quickbooks_answered(state: State, settings: Settings) -> None:
    finish(state, 1, DueDate="2026-05-15", BillEmail={"Address": "ap@acme.example"}, TotalAmt=Decimal("13500.15"))
    assert tell_invoices(state, settings, ORG, NOW) == 1
    assert tell_invoices(state, settings, ORG, NOW) == 0
    ((channel, text),) = waiting(state)
    assert channel == "#finance"
    assert text == (
        "*1 invoice created in QuickBooks* · 13,500.15 USD\n"
        "• <https://qbo.test/app/invoice?txnId=101|1041> · Acme &amp; Söhne · 13,500.15 USD · due 15 May 2026 · "
        f"e-mailed to ap@acme.example · <{ORG}/lightning/r/Opportunity/006000000000001AAA/view|Acme \N{EN DASH} Phase 2>"
    )


def test_an_invoice_that_was_not_mailed_is_told_as_it_is(state: State, settings: Settings) -> None:
    finish(state, 1, mailed=False, DocNumber=None, BillEmail={"Address": "ap@acme.example"})
    tell_invoices(state, settings, ORG, NOW)
    ((_, text),) = waiting(state)
    assert "1 of them not e-mailed yet" in text
    assert "|101> " in text  # QuickBooks' id where there is no number
    assert " · not e-mailed · " in text


def test_when_telling_fails_the_invoices_are_told_next_time(state: State, settings: Settings) -> None:
    finish(state, 1)
    with pytest.raises(ZeroDivisionError), state.transaction():
        _ = tell_invoices(state, settings, ORG, NOW) / 0
    assert waiting(state) == []
    assert tell_invoices(state, settings, ORG, NOW) == 1


def test_a_credit_memo_is_told_once_with_what_finance_has_to_do(state: State, settings: Settings) -> None:
    write = invoice(1, operation="create_credit_memo", target_object="CreditMemo", depends_on=(), amount=Decimal("-270.00"))
    state.ledger.enqueue([write], "B-1", NOW)
    state.ledger.start([sending(write)], NOW)
    state.ledger.finish(write.key, "71", to_json({"Id": "71", "DocNumber": "CM-7", "TotalAmt": Decimal("291.60")}), NOW)
    assert len(untold(state)) == 1
    assert tell_credit_memos(state, settings, ORG, NOW) == 1
    assert tell_credit_memos(state, settings, ORG, NOW) == 0
    ((channel, text),) = waiting(state)
    assert channel == "#finance"
    assert text == (
        "*1 credit memo created in QuickBooks* · 291.60 USD\nApply each to an open invoice in QuickBooks, or pay it back.\n"
        "• <https://qbo.test/app/creditmemo?txnId=71|CM-7> · Acme &amp; Söhne · 291.60 USD · "
        f"<{ORG}/lightning/r/Opportunity/006000000000001AAA/view|Acme \N{EN DASH} Phase 2>"
    )


def refusal(deal: int, position: int = 1, **values: Any) -> dict[str, Any]:
    return {
        "opportunity_id": f"006{deal}",
        "deal": f"Deal {deal}",
        "amount": Decimal("1000.005"),
        "currency": "USD",
        "code": f"code_{position}",
        "reason": f"Reason {position}.",
        "remedy": "Mend it.",
        "position": position,
        **values,
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return REFUSALS.frame(rows)


def test_a_deal_is_one_problem_with_all_its_reasons_in_order() -> None:
    first, second = problems_of(frame(refusal(2), refusal(1, 2), refusal(1, 1)), [], ORG)
    assert (first.source_id, second.source_id) == ("0061", "0062")
    assert [reason.text for reason in first.reasons] == ["Reason 1.", "Reason 2."]
    assert first.kind == "refused"
    assert first.link == f"{ORG}/lightning/r/Opportunity/0061/view"
    assert first.amount == Decimal("1000.005")


def test_a_deal_without_a_name_is_called_by_its_id() -> None:
    (problem,) = problems_of(frame({**refusal(1), "deal": None}), [], ORG)
    assert problem.label == "0061"


def test_a_deal_without_an_amount_is_a_problem_all_the_same() -> None:
    (problem,) = problems_of(frame(refusal(1, amount=None, currency=None)), [], ORG)
    assert problem.amount is None
    assert problem.currency is None


@pytest.mark.parametrize(
    ("status", "attempts", "told"),
    [("dead", 0, True), ("failed", TOLD_AFTER_ATTEMPTS - 1, False), ("failed", TOLD_AFTER_ATTEMPTS, True)],
)
def test_a_write_is_a_problem_when_it_is_dead_or_failed_again_and_again(status: str, attempts: int, told: bool) -> None:
    write = entry(1, status=status, attempts=attempts, error_code="6240", error_message="The name is taken.")
    problems = problems_of(frame(), [write], ORG)
    assert bool(problems) is told
    for problem in problems:
        assert problem.kind == "failed"
        assert problem.source_id == write.opportunity_id
        assert "qbsf review" in problem.reasons[0].remedy


def test_a_refusal_and_a_dead_write_of_one_deal_are_one_problem() -> None:
    write = entry(1, status="dead", opportunity_id="0061", error_code="x", error_message="Dead.")
    (problem,) = problems_of(frame(refusal(1)), [write], ORG)
    assert [reason.text for reason in problem.reasons] == ["Reason 1.", "Dead."]
    assert problem.label == "Deal 1"


def test_a_dead_write_of_an_account_is_a_problem_of_the_account() -> None:
    write = entry(1, status="dead", opportunity_id=None, account_id="0011", source_object="Account", source_id="0011")
    (problem,) = problems_of(frame(), [write], ORG)
    assert (problem.source_object, problem.link) == ("Account", record_link(ORG, "0011", "Account"))


def test_a_problem_is_told_once_again_when_it_changes_and_once_when_it_is_gone(state: State, settings: Settings) -> None:
    def tell(*rows: dict[str, Any], at: int) -> list[str]:
        before = len(waiting(state))
        tell_problems(state, settings, problems_of(frame(*rows), [], ORG), "invoices", WORDS, NOW + timedelta(minutes=at))
        assert all(channel == "#alerts" for channel, _ in waiting(state))
        return [text for _, text in waiting(state)[before:]]

    (first,) = tell(refusal(1), at=0)
    assert "• Reason 1." in first
    assert tell(refusal(1), at=1) == []
    (changed,) = tell(refusal(1), refusal(1, 2), at=2)
    assert "• Reason 2." in changed
    (solved,) = tell(at=3)
    assert solved == f":white_check_mark: *<{ORG}/lightning/r/Opportunity/0061/view|Deal 1>* is all right again."
    (again,) = tell(refusal(1), at=4)
    assert again == first
    assert tell(at=5) != []


def test_a_dismissed_problem_stays_silent_until_it_changes(state: State, settings: Settings) -> None:
    problems = problems_of(frame(refusal(1)), [], ORG)
    tell_problems(state, settings, problems, "invoices", WORDS, NOW)
    state.failures.dismiss("F-1", "dana", "known", NOW)
    tell_problems(state, settings, problems, "invoices", WORDS, NOW + timedelta(minutes=1))
    assert len(waiting(state)) == 1
    worse = problems_of(frame(refusal(1, reason="Worse.")), [], ORG)
    tell_problems(state, settings, worse, "invoices", WORDS, NOW + timedelta(minutes=2))
    assert len(waiting(state)) == 2
