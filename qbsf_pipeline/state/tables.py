"""The tables of the state database as SQLAlchemy sees them. The migrations make them; a test holds the two equal.

Belongs here: columns and how values are stored. Does not belong here: what may be done to a row.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine


def storable(value: str) -> str:
    """``value`` as both databases can keep it: U+0000 and halves of surrogate pairs become U+FFFD."""
    if "\x00" in value:
        value = value.replace("\x00", "\ufffd")
    try:
        value.encode()
    except UnicodeEncodeError:
        # A pair of halves is one character; a half alone is none.
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


class StoredText(TypeDecorator[str]):
    """Text of any length, made :func:`storable`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


class Exact(TypeDecorator[Decimal]):
    """A Decimal as the text of its plain number, so that no database can round it."""

    impl = String(48)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Instant(TypeDecorator[datetime]):
    """An aware instant, UTC, to the microsecond. In SQLite a text of fixed width, which sorts as time does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant without a time zone cannot be stored: {value!r}")
        instant = value.astimezone(UTC)
        return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if dialect.name == "sqlite" else instant

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        instant: datetime = value
        return instant.astimezone(UTC)


def one_of(column: str, *values: str) -> str:
    """The text of a CHECK that ``column`` holds one of ``values``."""
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


LEDGER_STATUSES = ("planned", "sending", "done", "failed", "dead", "withdrawn")
REVIEW_STATUSES = ("open", "linked", "create", "ignored", "closed")
FAILURE_STATUSES = ("open", "resolved", "dismissed")
OUTBOX_STATUSES = ("waiting", "sending", "sent", "dead")
SIDES = ("salesforce", "quickbooks")
JOURNAL_KINDS = ("owner_changed", "put_back", "both_changed", "first_difference", "report_only", "kept", "reversed")
JOURNAL_STATUSES = ("planned", "written", "reported", "refused", "withdrawn")
SEVERITIES = ("error", "warning", "hint")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: One row for each write that was ever planned. Triggers keep a row that is done as it is, for ever.
ledger = Table(
    "ledger",
    metadata,
    Column("key", StoredText, primary_key=True),
    Column("plan_id", StoredText, nullable=False),
    Column("batch", StoredText, nullable=False),
    Column("flow", StoredText, nullable=False),
    Column("operation", StoredText, nullable=False),
    Column("target_system", StoredText, nullable=False),
    Column("target_object", StoredText, nullable=False),
    Column("source_object", StoredText, nullable=False),
    Column("source_id", StoredText, nullable=False),
    Column("account_id", StoredText),
    Column("opportunity_id", StoredText),
    Column("depends_on", StoredText, nullable=False),
    Column("payload", StoredText, nullable=False),
    Column("reason", StoredText, nullable=False),
    Column("decided_from", StoredText, nullable=False),
    Column("label", StoredText, nullable=False),
    Column("customer_name", StoredText),
    Column("amount", Exact),
    Column("currency", StoredText),
    Column("txn_date", Date),
    Column("due_date", Date),
    Column("position", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("gate_passed_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("request_id", StoredText),
    Column("group_id", StoredText),
    Column("group_position", Integer),
    Column("sent_body", StoredText),
    Column("sending_at", Instant),
    Column("next_attempt_at", Instant),
    Column("error_code", StoredText),
    Column("error_message", StoredText),
    Column("result_id", StoredText),
    Column("result", StoredText),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("announced_at", Instant),
    CheckConstraint(one_of("status", *LEDGER_STATUSES), name="status"),
    CheckConstraint("(status = 'done') = (done_at IS NOT NULL)", name="done_at"),
    CheckConstraint("status <> 'done' OR result_id IS NOT NULL", name="result_id"),
    CheckConstraint("status <> 'sending' OR (request_id IS NOT NULL AND sent_body IS NOT NULL)", name="sending"),
    Index(None, "flow", "status"),
    Index(None, "opportunity_id"),
)

customer_links = Table(
    "customer_links",
    metadata,
    Column("account_id", StoredText, primary_key=True),
    Column("customer_id", StoredText, primary_key=True),
    Column("method", StoredText, nullable=False),
    Column("score", Exact),
    Column("evidence", StoredText, nullable=False),
    Column("rule_version", StoredText, nullable=False),
    Column("decided_by", StoredText, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("unlinked_by", StoredText),
    Column("unlinked_at", Instant),
    # Only a person may give one customer to two accounts.
    Index(
        "ix_customer_links_one_account",
        "customer_id",
        unique=True,
        sqlite_where=text("active AND method <> 'person'"),
        postgresql_where=text("active AND method <> 'person'"),
    ),
)

#: Decisions about an account and a customer that another one about the same two took the place of.
past_customer_links = Table(
    "past_customer_links",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("account_id", StoredText, nullable=False),
    Column("customer_id", StoredText, nullable=False),
    Column("method", StoredText, nullable=False),
    Column("score", Exact),
    Column("evidence", StoredText, nullable=False),
    Column("rule_version", StoredText, nullable=False),
    Column("decided_by", StoredText, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("unlinked_by", StoredText, nullable=False),
    Column("unlinked_at", Instant, nullable=False),
    Index(None, "account_id"),
    sqlite_autoincrement=True,
)

#: "This account is not this customer."
match_rejections = Table(
    "match_rejections",
    metadata,
    Column("account_id", StoredText, primary_key=True),
    Column("customer_id", StoredText, primary_key=True),
    Column("decided_by", StoredText, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("reason", StoredText),
    Column("active", Boolean, nullable=False),
)

invoice_links = Table(
    "invoice_links",
    metadata,
    Column("opportunity_id", StoredText, primary_key=True),
    Column("invoice_id", StoredText, primary_key=True),
    Column("method", StoredText, nullable=False),
    Column("decided_by", StoredText, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("unlinked_by", StoredText),
    Column("unlinked_at", Instant),
    Index(
        "ix_invoice_links_one_opportunity",
        "invoice_id",
        unique=True,
        sqlite_where=text("active AND method <> 'person'"),
        postgresql_where=text("active AND method <> 'person'"),
    ),
)

reviews = Table(
    "reviews",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("account_id", StoredText, nullable=False),
    Column("account_name", StoredText, nullable=False),
    Column("status", String(16), nullable=False),
    Column("question", StoredText, nullable=False),
    Column("candidates", StoredText, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("deals_waiting", Integer, nullable=False),
    Column("amount_waiting", Exact),
    Column("currency", StoredText),
    Column("opened_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("decided_by", StoredText),
    Column("customer_id", StoredText),
    Column("details", StoredText),
    Column("announced_at", Instant),
    UniqueConstraint("account_id"),
    CheckConstraint(one_of("status", *REVIEW_STATUSES), name="status"),
    sqlite_autoincrement=True,
)

#: Every approval and rejection that was ever said; the newest one for a subject counts.
approvals = Table(
    "approvals",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("subject", StoredText, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("decided_by", StoredText, nullable=False),
    Column("decided_at", Instant, nullable=False),
    Column("reason", StoredText),
    CheckConstraint(one_of("decision", "approved", "rejected"), name="decision"),
    Index(None, "subject"),
    sqlite_autoincrement=True,
)

failures = Table(
    "failures",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("key", StoredText, nullable=False),
    Column("flow", StoredText, nullable=False),
    Column("source_object", StoredText, nullable=False),
    Column("source_id", StoredText, nullable=False),
    Column("label", StoredText, nullable=False),
    Column("link", StoredText),
    Column("kind", String(16), nullable=False),
    Column("reasons", StoredText, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("amount", Exact),
    Column("currency", StoredText),
    Column("status", String(16), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("resolved_at", Instant),
    Column("retried_at", Instant),
    Column("dismissed_at", Instant),
    Column("dismissed_by", StoredText),
    Column("dismissed_reason", StoredText),
    UniqueConstraint("key"),
    CheckConstraint(one_of("status", *FAILURE_STATUSES), name="status"),
    CheckConstraint(one_of("kind", "refused", "failed"), name="kind"),
    Index(None, "flow", "status"),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("dedupe_key", StoredText, nullable=False),
    Column("channel", StoredText, nullable=False),
    Column("text", StoredText, nullable=False),
    Column("blocks", StoredText, nullable=False),
    Column("thread_of", StoredText),
    Column("kind", StoredText, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Instant),
    Column("error", StoredText),
    Column("channel_id", StoredText),
    Column("ts", StoredText),
    Column("created_at", Instant, nullable=False),
    Column("sending_at", Instant),
    Column("sent_at", Instant),
    UniqueConstraint("dedupe_key"),
    CheckConstraint(one_of("status", *OUTBOX_STATUSES), name="status"),
    CheckConstraint("status <> 'sent' OR ts IS NOT NULL", name="ts"),
    Index(None, "status"),
    sqlite_autoincrement=True,
)

#: Apart from everything else, so that it can be kept from whoever may read the rest.
quickbooks_tokens = Table(
    "quickbooks_tokens",
    metadata,
    Column("realm_id", StoredText, primary_key=True),
    Column("access_token", StoredText, nullable=False),
    Column("refresh_token", StoredText, nullable=False),
    Column("access_expires_at", Instant, nullable=False),
    Column("refresh_expires_at", Instant),
    Column("refresh_hard_expires_at", Instant),
    Column("first_token_hash", StoredText),
    Column("updated_at", Instant, nullable=False),
)

salesforce_tokens = Table(
    "salesforce_tokens",
    metadata,
    Column("name", StoredText, primary_key=True),
    Column("access_token", StoredText, nullable=False),
    Column("instance_url", StoredText, nullable=False),
    Column("issued_at", Instant, nullable=False),
)

passes = Table(
    "passes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("flow", StoredText, nullable=False),
    Column("mode", StoredText, nullable=False),
    Column("trigger", StoredText, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", StoredText),
    Column("counts", StoredText, nullable=False),
    Column("api_calls", StoredText, nullable=False),
    Column("dagster_run_id", StoredText),
    Index(None, "flow", "begun_at"),
    sqlite_autoincrement=True,
)

#: A row while a service is down.
outages = Table(
    "outages",
    metadata,
    Column("system", StoredText, primary_key=True),
    Column("since", Instant, nullable=False),
    Column("reason", StoredText, nullable=False),
)

#: The one Salesforce org and the one QuickBooks company that this database belongs to.
identity = Table(
    "identity",
    metadata,
    Column("system", String(16), primary_key=True),
    Column("id", StoredText, nullable=False),
    Column("bound_at", Instant, nullable=False),
)

cache = Table(
    "cache",
    metadata,
    Column("key", StoredText, primary_key=True),
    Column("text", StoredText, nullable=False),
    Column("stored_at", Instant, nullable=False),
)

#: What each field meant on both sides when they last agreed, as JSON: the base of the three-way decision.
field_agreements = Table(
    "field_agreements",
    metadata,
    Column("account_id", StoredText, primary_key=True),
    Column("customer_id", StoredText, primary_key=True),
    Column("values", StoredText, nullable=False),
    Column("agreed_at", Instant, nullable=False),
)

#: Differences of fields and what became of them. Triggers keep every row, and the values of what was written.
field_journal = Table(
    "field_journal",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("key", StoredText, nullable=False),
    Column("occurrence", Integer, nullable=False),
    Column("account_id", StoredText, nullable=False),
    Column("account_name", StoredText, nullable=False),
    Column("customer_id", StoredText, nullable=False),
    Column("customer_name", StoredText, nullable=False),
    Column("field", StoredText, nullable=False),
    Column("salesforce_value", StoredText),
    Column("quickbooks_value", StoredText),
    Column("agreed_value", StoredText),
    Column("owner", String(16), nullable=False),
    Column("winner", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("rule", StoredText, nullable=False),
    Column("changed_by", StoredText),
    Column("changed_at", Instant),
    Column("write_key", StoredText),
    Column("status", String(16), nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Column("reversed_by", StoredText),
    Column("reversed_at", Instant),
    Column("reversal_settled_at", Instant),
    Column("announced_at", Instant),
    UniqueConstraint("key", "occurrence"),
    CheckConstraint(one_of("owner", *SIDES), name="owner"),
    CheckConstraint(one_of("winner", *SIDES, "none"), name="winner"),
    CheckConstraint(one_of("kind", *JOURNAL_KINDS), name="kind"),
    CheckConstraint(one_of("status", *JOURNAL_STATUSES), name="status"),
    CheckConstraint("(status = 'reported') = (write_key IS NULL)", name="write_key"),
    CheckConstraint("(status IN ('planned', 'reported')) = (settled_at IS NULL)", name="settled_at"),
    CheckConstraint("(reversed_at IS NULL) = (reversed_by IS NULL)", name="reversed_by"),
    CheckConstraint("reversal_settled_at IS NULL OR reversed_at IS NOT NULL", name="reversal_settled_at"),
    Index(None, "account_id", "field"),
    Index(None, "write_key"),
    sqlite_autoincrement=True,
)

#: What the audits found. A row stays when it is mended, so that progress can be shown.
cleansing_findings = Table(
    "cleansing_findings",
    metadata,
    Column("finding_id", StoredText, primary_key=True),
    Column("system", StoredText, nullable=False),
    Column("code", StoredText, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("record_object", StoredText, nullable=False),
    Column("record_id", StoredText, nullable=False),
    Column("record_name", StoredText),
    Column("first_seen_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("resolved_at", Instant),
    CheckConstraint(one_of("severity", *SEVERITIES), name="severity"),
)

cleansing_runs = Table(
    "cleansing_runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("scores", StoredText, nullable=False),
    Column("counts", StoredText, nullable=False),
    sqlite_autoincrement=True,
)

#: How recurring deals are billed; the highest version of a deal counts.
billing_schedules = Table(
    "billing_schedules",
    metadata,
    Column("opportunity_id", StoredText, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("schedule", StoredText, nullable=False),
    Column("missed", StoredText, nullable=False),
    Column("sentence", StoredText, nullable=False),
    Column("agreed_by", StoredText, nullable=False),
    Column("agreed_at", Instant, nullable=False),
)

#: What was last known of each deal's payments: events are found by comparing with it, never with Salesforce's fields.
deal_payments = Table(
    "deal_payments",
    metadata,
    Column("opportunity_id", StoredText, primary_key=True),
    Column("status", StoredText, nullable=False),
    Column("balance", Exact),
    Column("currency", StoredText),
    Column("fingerprint", StoredText, nullable=False),
    Column("stage_before", StoredText),
    Column("times_paid", Integer, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

payment_events = Table(
    "payment_events",
    metadata,
    Column("event_key", StoredText, primary_key=True),
    Column("kind", StoredText, nullable=False),
    Column("opportunity_id", StoredText, nullable=False),
    Column("payload", StoredText, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("announced_at", Instant),
    Index(None, "announced_at"),
)

#: Days past due that an invoice has reached. A row stays when the invoice is paid, so that each is told once.
crossings = Table(
    "crossings",
    metadata,
    Column("invoice_id", StoredText, primary_key=True),
    Column("threshold", Integer, primary_key=True, autoincrement=False),
    Column("opportunity_id", StoredText),
    Column("crossed_on", Date, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("announced_at", Instant),
    Index(None, "announced_at"),
)

reminders = Table(
    "reminders",
    metadata,
    Column("invoice_id", StoredText, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("request_id", StoredText, nullable=False),
    Column("sent_at", Instant, nullable=False),
    UniqueConstraint("invoice_id", "request_id"),
)

#: Tasks that were created in Salesforce for overdue invoices.
tasks = Table(
    "tasks",
    metadata,
    Column("invoice_id", StoredText, primary_key=True),
    Column("threshold", Integer, primary_key=True, autoincrement=False),
    Column("task_id", StoredText, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("closed_at", Instant),
)

#: Who is who in Slack, also whom Slack does not know.
slack_users = Table(
    "slack_users",
    metadata,
    Column("email", StoredText, primary_key=True),
    Column("slack_user_id", StoredText),
    Column("looked_up_at", Instant, nullable=False),
)

#: What month-end reports hold, packed; a content that was there before is not kept twice.
month_end_contents = Table(
    "month_end_contents",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

#: Every month-end report that was ever made and differed from the one before of the same month.
month_end_reports = Table(
    "month_end_reports",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("month", Date, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("produced_at", Instant, nullable=False),
    Column("kept_at", Instant, nullable=False),
    Column("computed_at", Instant, nullable=False),
    Column("figures", StoredText, nullable=False),
    Index(None, "month", "id"),
    sqlite_autoincrement=True,
)

#: A month is closed as long as one of its rows has no ``reopened_at``.
month_closings = Table(
    "month_closings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("month", Date, nullable=False),
    Column("report_id", Integer, nullable=False),
    Column("closed_by", StoredText, nullable=False),
    Column("closed_at", Instant, nullable=False),
    Column("reopened_by", StoredText),
    Column("reopened_at", Instant),
    Column("reopened_reason", StoredText),
    CheckConstraint("(reopened_at IS NULL) = (reopened_by IS NULL)", name="reopened_by"),
    Index(None, "month"),
    sqlite_autoincrement=True,
)

#: Since when a month's report has had a difference. A row stays when the difference is gone.
month_end_differences = Table(
    "month_end_differences",
    metadata,
    Column("month", Date, primary_key=True),
    Column("currency", StoredText, primary_key=True),
    Column("case_key", StoredText, primary_key=True),
    Column("first_seen_on", Date, nullable=False),
    Column("last_seen_on", Date, nullable=False),
    Column("gone_on", Date),
)

#: Differences that a person accepted. One holds while the case's amounts are the text that stands here.
month_end_acceptances = Table(
    "month_end_acceptances",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("month", Date, nullable=False),
    Column("currency", StoredText, nullable=False),
    Column("case_key", StoredText, nullable=False),
    Column("amounts", StoredText, nullable=False),
    Column("reason", StoredText, nullable=False),
    Column("accepted_by", StoredText, nullable=False),
    Column("accepted_at", Instant, nullable=False),
    Column("withdrawn_by", StoredText),
    Column("withdrawn_at", Instant),
    CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_by IS NULL)", name="withdrawn_by"),
    Index(None, "month"),
    sqlite_autoincrement=True,
)
