"""Settings: where things are (environment variables) and how business is done (a TOML file of rules), validated once.

A wrong value is one line that names the key, what is allowed, and what was found (:class:`errors.ConfigurationError`).
The names of the variables are public: see the README.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from qbsf_pipeline.errors import ConfigurationError


class Mode(StrEnum):
    """What may be read and written. See the README's table of modes."""

    SANDBOX = "sandbox"
    DRY_RUN = "dry_run"
    APPROVE = "approve"
    LIVE = "live"

    @property
    def writes(self) -> bool:
        """Whether this mode may write to any outside system."""
        return self is not Mode.DRY_RUN


class Environment(BaseSettings):
    """The environment variables of the README, as they were found."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    qbsf_mode: Mode | None = None
    qbsf_home: Path = Path(".qbsf")
    qbsf_config: Path | None = None
    qbsf_state_url: str | None = None
    qbsf_warehouse: Path | None = None
    qbsf_go_live_date: date | None = None

    salesforce_login_url: str | None = None
    salesforce_client_id: str | None = None
    salesforce_client_secret: SecretStr | None = None
    salesforce_username: str | None = None
    salesforce_private_key_file: Path | None = None
    salesforce_api_version: str = "66.0"

    quickbooks_client_id: str | None = None
    quickbooks_client_secret: SecretStr | None = None
    quickbooks_realm_id: str | None = None
    quickbooks_refresh_token: SecretStr | None = None
    quickbooks_environment: Literal["sandbox", "production"] = "production"
    quickbooks_api_url: str | None = None
    quickbooks_discovery_url: str | None = None
    quickbooks_app_url: str | None = None

    slack_bot_token: SecretStr | None = None
    slack_api_url: str = "https://slack.com/api/"
    slack_finance_channel: str = "#finance"
    slack_alerts_channel: str | None = None

    @field_validator("salesforce_api_version")
    @classmethod
    def _version_has_a_decimal(cls, value: str) -> str:
        head, _, tail = value.partition(".")
        if not (head.isdigit() and tail == "0" and int(head) >= 31):
            raise ValueError("must be a version such as 66.0, at least 31.0")
        return value

    @field_validator(
        "salesforce_login_url", "quickbooks_api_url", "quickbooks_discovery_url", "quickbooks_app_url", "slack_api_url"
    )
    @classmethod
    def _url_is_safe(cls, value: str | None) -> str | None:
        return None if value is None else checked_url(value)

    @field_validator("qbsf_go_live_date", mode="before")
    @classmethod
    def _date_is_iso(cls, value: object) -> object:
        # A bare number would be read as seconds since 1970, and every old deal would be invoiced.
        if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value.strip()):
            raise ValueError("must be a date such as 2026-03-31")
        return value.strip() if isinstance(value, str) else value

    @field_validator("quickbooks_realm_id")
    @classmethod
    def _realm_is_quickbooks_online(cls, value: str | None) -> str | None:
        if value is not None and not (value.isdigit() and 5 <= len(value) <= 25):
            raise ValueError(
                "must be a QuickBooks Online company id: digits only, shown in QuickBooks under Settings, Account and "
                "settings, Billing & subscription. QuickBooks Desktop files have no such id and are not supported"
            )
        return value

    @cached_property
    def mode(self) -> Mode:
        """The mode in force: as set, else sandbox when no Salesforce org is named, else dry_run."""
        if self.qbsf_mode is not None:
            return self.qbsf_mode
        return Mode.SANDBOX if not self.salesforce_login_url else Mode.DRY_RUN

    @cached_property
    def home(self) -> Path:
        """The folder for every file that the program keeps, absolute."""
        return self.qbsf_home.expanduser().absolute()

    @cached_property
    def warehouse_path(self) -> Path:
        """The DuckDB file."""
        return (self.qbsf_warehouse or self.home / "warehouse.duckdb").expanduser().absolute()

    @cached_property
    def snapshot_path(self) -> Path:
        """The published read-only copy for analysts."""
        return self.home / "published" / "qbsf.duckdb"

    @cached_property
    def state_url(self) -> str:
        """The SQLAlchemy URL of the state database."""
        return self.qbsf_state_url or f"sqlite:///{self.home / 'state.sqlite'}"

    @cached_property
    def alerts_channel(self) -> str:
        """Where failures are told."""
        return self.slack_alerts_channel or self.slack_finance_channel

    @cached_property
    def quickbooks_api_base(self) -> str:
        """Scheme and host of the accounting API, without a path."""
        if self.quickbooks_api_url:
            return self.quickbooks_api_url
        host = "sandbox-quickbooks" if self.quickbooks_environment == "sandbox" else "quickbooks"
        return f"https://{host}.api.intuit.com"

    @cached_property
    def quickbooks_app_base(self) -> str:
        """Scheme and host of the links that a person opens."""
        if self.quickbooks_app_url:
            return self.quickbooks_app_url
        host = "app.sandbox.qbo" if self.quickbooks_environment == "sandbox" else "app.qbo"
        return f"https://{host}.intuit.com"

    def quickbooks_link(self, page: str, parameter: str, record_id: str) -> str:
        """A link into the QuickBooks UI, such as ``/app/invoice?txnId=145`` (documented by Intuit's sample code)."""
        return f"{self.quickbooks_app_base}/app/{page}?{parameter}={record_id}"

    def missing_for(self, mode: Mode) -> list[str]:
        """One line for each variable that ``mode`` needs and that is not set."""
        if mode is Mode.SANDBOX:
            return []
        needed: dict[str, object | None] = {
            "SALESFORCE_LOGIN_URL (the org's My Domain, https://ACME.my.salesforce.com)": self.salesforce_login_url,
            "SALESFORCE_CLIENT_ID (of the org's External Client App)": self.salesforce_client_id,
            "QUICKBOOKS_CLIENT_ID (of the Intuit app)": self.quickbooks_client_id,
            "QUICKBOOKS_CLIENT_SECRET (of the Intuit app)": self.quickbooks_client_secret,
            "QUICKBOOKS_REALM_ID (the QuickBooks Online company id)": self.quickbooks_realm_id,
        }
        if not (self.salesforce_username and self.salesforce_private_key_file):
            needed["SALESFORCE_CLIENT_SECRET (or SALESFORCE_USERNAME with SALESFORCE_PRIVATE_KEY_FILE)"] = (
                self.salesforce_client_secret
            )
        if mode is not Mode.DRY_RUN:
            needed["SLACK_BOT_TOKEN (xoxb-...)"] = self.slack_bot_token
            needed["QBSF_GO_LIVE_DATE (ISO date; deals closed before it are never invoiced)"] = self.qbsf_go_live_date
        missing = [f"{name} is not set, and mode {mode.value} needs it" for name, value in needed.items() if value is None]
        key = self.salesforce_private_key_file
        if self.salesforce_username and key is not None and not key.expanduser().is_file():
            missing.append(f"SALESFORCE_PRIVATE_KEY_FILE: there is no file {key}")
        return missing


def checked_url(value: str) -> str:
    """A base URL without its trailing slash; https, or http on a loopback host.

    Raises:
        ValueError: not a URL, or plain http to another machine.
    """
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as https://host")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must begin with https:// (plain http:// is for loopback hosts only)")
    return value.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine and nothing else."""
    return host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())


def is_loopback_url(url: str) -> bool:
    """Whether ``url`` names this machine."""
    return is_loopback(urlsplit(url).hostname or "")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class OpportunityFields(_Section):
    """API names of the fields of Opportunity that are read and written; ``billing_on_hold`` is a checkbox that an org may have,
    empty where it has none."""

    payment_terms: Text
    contract_url: Text
    billing_frequency: Text
    billing_periods: Text
    billing_start_date: Text
    invoice_id: Text
    invoice_number: Text
    invoice_url: Text
    payment_status: Text
    invoice_balance: Text
    last_payment_date: Text
    days_outstanding: Text
    aging_bucket: Text
    billing_on_hold: str


class AccountFields(_Section):
    """API names of the fields of Account that are read and written; ``tax_exempt`` and ``active`` are checkboxes that an org
    may have, empty where it has none."""

    payment_terms: Text
    billing_email: Text
    customer_id: Text
    tax_exempt: str
    active: str


class SalesforceRules(_Section):
    """Where things are kept in the org.

    ``currency`` is used when the org does not tell its default currency; ``bill_to_roles`` are values of
    OpportunityContactRole.Role, in order, compared without case. ``cpq_quote`` and ``cpq_quote_line`` name fields of an org that
    keeps something elsewhere than the package SBQQ does: column of the raw table -> API name.
    """

    opportunity: OpportunityFields
    account: AccountFields
    currency: str
    bill_to_roles: list[str]
    product_item_field: str
    product_class_field: str
    cpq_quote: dict[str, Text]
    cpq_quote_line: dict[str, Text]


class PullRules(_Section):
    """How both systems are read. Minutes, days and shares of rows."""

    overlap_minutes: Annotated[int, Field(ge=1, le=1440)]
    full_every_hours: Annotated[int, Field(ge=1)]
    settings_every_hours: Annotated[int, Field(ge=1)]
    preferences_before_push_minutes: Annotated[int, Field(ge=0)]
    largest_shrink_share: Share
    largest_shrink_rows: Annotated[int, Field(ge=0)]
    quickbooks_change_limit: Annotated[int, Field(ge=1, le=1000)]
    quickbooks_lookback_days: Annotated[int, Field(ge=1, le=30)]


class RequiredFields(_Section):
    """What a deal must have before it is invoiced."""

    billing_address: list[Literal["street", "city", "state", "postal_code", "country"]]
    billing_email: bool
    contract_url: bool
    payment_terms: bool


class InvoiceRules(_Section):
    """How a deal becomes an invoice."""

    invoice_date: Literal["close_date", "today"]
    default_terms: str
    send: Literal["send", "draft"]
    customer_memo: str
    private_note: str
    document_number: Literal["next", "none"]
    document_number_prefix: Annotated[str, Field(max_length=11)]
    line_description: Literal["line", "product", "line_or_product"]
    zero_lines: Literal["keep", "drop"]
    negative_lines: Literal["keep", "refuse"]
    discounts: Literal["net_rate", "description"]
    service_date: Literal["line", "line_or_invoice_date", "none"]
    long_text: Literal["shorten", "refuse"]
    line_class: str
    department: str


class TaxRules(_Section):
    """Which tax code a line carries: ``item`` follows the item's own setting; else always taxable or never.

    ``code`` names the QuickBooks TaxCode for companies outside the United States, where an item names none.
    """

    lines: Literal["item", "taxable", "non_taxable"]
    code: str


class ItemRules(_Section):
    """Which QuickBooks item a Salesforce product is, and what happens when there is none."""

    match_by: list[Literal["sku", "code_is_name", "name"]]
    missing: Literal["refuse", "default", "create"]
    default_item: str
    income_account: str
    products: dict[str, str]


class RecurringRules(_Section):
    """How deals are billed period by period.

    Attributes:
        bill_by: ``template`` leaves the periods that are alike to a recurring template of QuickBooks, and the others to qbsf.
        sources: where the schedule of a line is looked for, in this order.
        line_frequency_field: API name of a field of OpportunityLineItem, as the three after it; empty for none.
        missed_after_days: whole days after its day from which a period counts as missed.
        line_text: may use ``{covers_from}`` and ``{covers_to}``.
        template_days: whole days.
        frequencies: the org's own words, compared without case.
    """

    enabled: bool
    bill_by: Literal["schedule", "template"]
    sources: Annotated[tuple[Literal["revenue_schedule", "line", "deal"], ...], Field(min_length=1)]
    line_frequency_field: str
    line_periods_field: str
    line_start_date_field: str
    line_end_date_field: str
    without_start: Literal["refuse", "close_date"]
    billed: Literal["in_advance", "in_arrears"]
    remainder: Literal["first", "last"]
    one_time_lines: Literal["first_period", "separate"]
    unmarked_lines: Literal["recurring", "one_time"]
    one_time_products: tuple[Text, ...]
    recurring_products: tuple[Text, ...]
    one_time_families: tuple[Text, ...]
    recurring_families: tuple[Text, ...]
    catch_up: Literal["all", "one_per_day", "ask"]
    missed_after_days: Annotated[int, Field(ge=0, le=31)]
    invoice_date: Literal["due_day", "today"]
    line_text: str
    template_days: Annotated[int, Field(ge=0, le=14)]
    frequencies: dict[str, Literal["one_time", "monthly", "quarterly", "semiannual", "annual"]]


class CpqRules(_Section):
    """How the quotes of Salesforce CPQ become lines of a deal.

    Attributes:
        statuses: compared without case; empty for any.
        quote_decides: values of the quote that come before those of the deal and its account.
        renewals: whether a person approves a renewal before it is billed first. Days that two deals bill are always asked about.
    """

    lines_from: Literal["primary_quote", "opportunity_products"]
    without_primary_quote: Literal["products", "refuse"]
    statuses: tuple[Text, ...]
    total: Literal["net", "customer", "partner"]
    bundled_lines: Literal["keep", "fold", "drop"]
    quote_discount: Literal["spread", "refuse"]
    quote_decides: tuple[Literal["payment_terms", "bill_to", "billing_frequency", "start_date"], ...]
    term_unit: Literal["month", "day"]
    renewals: Literal["ask", "sale"]


class MatchingRules(_Section):
    """How sure a match must be before it is a link without a person, and which e-mail domains tell no company.

    ``automatic_from``: lowest score at which a rule links. ``rules_off``: names of rules that only ask.
    ``shared_domain_names``: a domain that more names than this have in common says nothing about one of them. The domains are
    added to the built-in ones: free mail, our own house, services that pay other companies' bills.
    """

    automatic_from: Annotated[Decimal, Field(ge=0, le=1)]
    rules_off: list[Text]
    shared_domain_names: Annotated[int, Field(ge=1)]
    free_mail_domains: list[Text]
    own_domains: list[Text]
    bill_pay_domains: list[Text]


class FieldRules(_Section):
    """One field that both systems hold: who owns it, and what follows from a difference.

    Attributes:
        owner: the side whose value counts; exactly one.
        when_emptied: whether the other side is emptied too when the owner empties the field.
        first_difference: what a difference means that was there when the two were first compared: the owner's value is
            written, or the pair is accepted as it is until the owner changes its side.
        report_only: differences are told and nothing is written.
    """

    owner: Literal["salesforce", "quickbooks"]
    when_emptied: Literal["keep", "empty"]
    first_difference: Literal["owner", "accept"]
    report_only: bool

    @field_validator("owner", mode="before")
    @classmethod
    def _one_owner(cls, value: object) -> object:
        if value not in ("salesforce", "quickbooks"):
            raise ValueError("must be one owner, salesforce or quickbooks")
        return value


Spelling = Literal["case", "space", "punctuation"]


class NameFieldRules(FieldRules):
    """The name. It cannot be emptied."""

    when_emptied: Literal["keep"]
    compare: list[Spelling]
    to_quickbooks: Literal["as_written"]
    to_salesforce: Literal["as_written"]


class AddressFieldRules(FieldRules):
    """An address."""

    compare: list[Literal["address"] | Spelling]
    to_quickbooks: Literal["as_written", "state_code"]
    to_salesforce: Literal["as_written", "state_code"]


class ContactFieldRules(FieldRules):
    """The person. Salesforce keeps it on a Contact, which is never written, so QuickBooks cannot own it."""

    compare: list[Spelling]
    to_quickbooks: Literal["as_written"]

    @field_validator("owner")
    @classmethod
    def _owned_by_salesforce(cls, value: str) -> str:
        if value != "salesforce":
            raise ValueError("must be salesforce: the name stands on a Contact, which qbsf never writes")
        return value


class EmailFieldRules(FieldRules):
    """The billing e-mail."""

    compare: list[Literal["email"] | Spelling]
    to_quickbooks: Literal["as_written", "lower_case"]
    to_salesforce: Literal["as_written", "lower_case"]


class PhoneFieldRules(FieldRules):
    """The phone number."""

    compare: list[Literal["phone"] | Spelling]
    to_quickbooks: Literal["as_written", "e164", "international"]
    to_salesforce: Literal["as_written", "e164", "international"]


class WebFieldRules(FieldRules):
    """The web address."""

    compare: list[Literal["web"] | Spelling]
    to_quickbooks: Literal["as_written", "with_https"]
    to_salesforce: Literal["as_written", "with_https"]


class TermsFieldRules(FieldRules):
    """The payment terms, by the name of the QuickBooks term."""

    compare: list[Literal["terms"] | Spelling]


class SyncFields(_Section):
    """The fields that are kept in step."""

    name: NameFieldRules
    billing_address: AddressFieldRules
    shipping_address: AddressFieldRules
    contact: ContactFieldRules
    email: EmailFieldRules
    phone: PhoneFieldRules
    website: WebFieldRules
    terms: TermsFieldRules
    tax_exempt: FieldRules
    currency: FieldRules
    active: FieldRules
    parent: FieldRules


class SyncRules(_Section):
    """Whether and how customers are kept in step.

    Attributes:
        report_only_until: before this day differences are only reported; ``None`` for no such time.
        on_both_changed: what follows when both sides changed a field since they last agreed.
    """

    enabled: bool
    report_only_until: date | None
    on_both_changed: Literal["owner", "report"]

    @field_validator("report_only_until", mode="before")
    @classmethod
    def _day_or_nothing(cls, value: object) -> object:
        if value in ("", None):
            return None
        if isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value)):
            return value
        raise ValueError("must be empty or a date such as 2026-03-31")


class CustomerRules(_Section):
    """How a QuickBooks customer is found or created for an account, and how the two are kept in step."""

    missing: Literal["create", "review"]
    parent_accounts: Literal["ignore", "sub_customer"]
    taken_name_suffix: str
    sync: SyncRules
    fields: SyncFields
    matching: MatchingRules


class PaymentRules(_Section):
    """What Salesforce and a deal's owner learn of payments, and what counts as one.

    Attributes:
        paid_stage: name of a won stage of the org; empty for none.
        tell_partial: whether part payments are told.
        adopt_by_number: whether the invoice number written on a deal links an invoice that qbsf did not make.
        write_off_accounts: names of QuickBooks accounts, compared without case.
        dispute_field: name of a custom field of invoices; empty for none.
    """

    paid_stage: str
    tell_partial: bool
    adopt_by_number: bool
    write_off_accounts: list[Text]
    dispute_field: str


DaysPastDue = Annotated[int, Field(ge=1, le=3650)]


def bucket_names(edges: Sequence[int]) -> tuple[str, ...]:
    """The names of the ageing buckets in order, as Salesforce's picklist has them.

    Args:
        edges: the last day of each bucket but the last one, rising.

    >>> bucket_names([30, 60, 90])
    ('Current', '1-30', '31-60', '61-90', '90+')
    """
    between = (f"{low + 1}-{high}" for low, high in pairwise((0, *edges)))
    return ("Current", *between, f"{edges[-1]}+")


class AgingRules(_Section):
    """How old what is still open is, and what follows from it. Days are whole days; past due begins the day after the due date.

    Attributes:
        days_from: what the days and the bucket of a deal are counted from; thresholds, reminders and tasks always count from
            the due date.
        buckets: the last day of each bucket but the last one, which is open.
        thresholds: days past due at which the owner is told.
        reminders_after: days past due at which the customer is reminded.
        task_from: days past due from which there are tasks; 0 for none.
    """

    days_from: Literal["due_date", "invoice_date"]
    buckets: Annotated[tuple[DaysPastDue, ...], Field(min_length=1)]
    thresholds: tuple[DaysPastDue, ...]
    reminders_after: tuple[DaysPastDue, ...]
    reminder_limit: Annotated[int, Field(ge=0)]
    reminder_pause_days: Annotated[int, Field(ge=1)]
    task_from: Annotated[int, Field(ge=0, le=3650)]
    task_closed_status: Text
    fallback_owner_email: str
    morning: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]

    @field_validator("buckets", "thresholds", "reminders_after")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(one >= other for one, other in pairwise(value)):
            raise ValueError("must be days that rise, such as [30, 60, 90]")
        return value


class ReconciliationRules(_Section):
    """Month end: what counts as a difference, and how long nobody is asked about one. Amounts are in the document's currency.

    Attributes:
        rounding_per_line, rounding_least: a difference up to so much for each line, or up to the least, is rounding.
        tolerance_share, tolerance_least: what is nearly the amount: this share of it, or the least.
        exchange_tolerance: share by which an invoice in another currency may be off the rate.
        grace_days: days after the close date until an invoice is expected where nothing is known of the deal.
        late_after_days: days from the close date to an invoice of a later month from which it is called late.
        partly_invoiced_days: days after the last part was invoiced until somebody is asked about the rest.
        look_back_months: a report names what is still open of so many months before it; 0 for none.
        fee_items: names of QuickBooks items that are fees, compared without case.
        deposit_words: words in a line's item or description that tell a deposit, compared without case.
    """

    rounding_per_line: Annotated[Decimal, Field(ge=0, le=1)]
    rounding_least: Annotated[Decimal, Field(ge=0, le=100)]
    tolerance_share: Annotated[Decimal, Field(ge=0, le=1)]
    tolerance_least: Annotated[Decimal, Field(ge=0)]
    exchange_tolerance: Annotated[Decimal, Field(ge=0, le=1)]
    grace_days: Annotated[int, Field(ge=0, le=365)]
    late_after_days: Annotated[int, Field(ge=0, le=365)]
    partly_invoiced_days: Annotated[int, Field(ge=0, le=3650)]
    look_back_months: Annotated[int, Field(ge=0, le=12)]
    fee_items: list[Text]
    deposit_words: list[Text]


class GateRules(_Section):
    """The blast radius: what one push may do without a person."""

    max_invoices: Annotated[int, Field(ge=1)]
    max_amount: dict[str, Decimal]
    max_amount_otherwise: Annotated[Decimal, Field(gt=0)]
    max_new_customers: Annotated[int, Field(ge=0)]
    max_new_customers_share: Share
    small_company_customers: Annotated[int, Field(ge=0)]
    fresh_within_minutes: Annotated[int, Field(ge=1)]
    max_customer_changes: Annotated[int, Field(ge=0)]
    max_customer_changes_share: Share
    max_deal_changes: Annotated[int, Field(ge=0)]
    max_deal_changes_share: Share
    max_unexplained: Annotated[int, Field(ge=0)]
    max_unexplained_share: Share
    max_reminders: Annotated[int, Field(ge=0)]
    max_tasks: Annotated[int, Field(ge=0)]


class PushRules(_Section):
    """Pace and patience of writes."""

    quickbooks_batch: Annotated[int, Field(ge=1, le=30)]
    quickbooks_batches_per_minute: Annotated[int, Field(ge=1, le=40)]
    quickbooks_calls_per_minute: Annotated[int, Field(ge=1, le=500)]
    quickbooks_calls_per_second: Annotated[int, Field(ge=1, le=10)]
    salesforce_batch: Annotated[int, Field(ge=1, le=200)]
    attempts: Annotated[int, Field(ge=1)]
    first_wait_seconds: Annotated[int, Field(ge=1)]
    longest_wait_seconds: Annotated[int, Field(ge=1)]
    unknown_outcome_wait_seconds: Annotated[int, Field(ge=0)]


class SlackRules(_Section):
    """How much is told in one message."""

    invoices_per_message: Annotated[int, Field(ge=1, le=40)]
    single_failures: Annotated[int, Field(ge=1)]


class ScheduleRules(_Section):
    """When things run by themselves."""

    sync_every_seconds: Annotated[int, Field(ge=5)]
    push_every_seconds: Annotated[int, Field(ge=5)]
    messages_every_seconds: Annotated[int, Field(ge=5)]
    sandbox_sync_every_seconds: Annotated[int, Field(ge=5)]
    sandbox_push_every_seconds: Annotated[int, Field(ge=5)]
    full_pull_cron: Text
    sweep_cron: Text
    keep_runs_days: Annotated[int, Field(ge=1)]
    keep_quiet_runs_days: Annotated[int, Field(ge=1)]
    month_end_at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    holidays: tuple[str, ...]
    dagster_url: str

    @field_validator("holidays")
    @classmethod
    def _days(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for day in value:
            try:
                # A leap year, so that 02-29 is a day of each year that has it.
                date.fromisoformat(day if len(day) > 5 else f"2024-{day}")
            except ValueError as error:
                raise ValueError("must be days such as 2026-04-03, or 01-01 for each year") from error
        return value


class Rules(_Section):
    """The business rules: ``rules.toml`` of the package, overridden key by key by the file in ``QBSF_CONFIG``."""

    salesforce: SalesforceRules
    pull: PullRules
    required: RequiredFields
    invoices: InvoiceRules
    tax: TaxRules
    items: ItemRules
    recurring: RecurringRules
    cpq: CpqRules
    customers: CustomerRules
    payments: PaymentRules
    aging: AgingRules
    reconciliation: ReconciliationRules
    gates: GateRules
    push: PushRules
    slack: SlackRules
    schedules: ScheduleRules


class Settings(_Section):
    """Everything that is set from outside: the environment and the rules."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    environment: Environment
    rules: Rules

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self.environment.mode

    def require_credentials(self) -> None:
        """Refuse, before any call, when a variable that the mode needs is missing.

        Raises:
            ConfigurationError: one line for each missing variable.
        """
        problems = self.environment.missing_for(self.mode)
        if problems:
            raise ConfigurationError(problems)


def load_settings() -> Settings:
    """The settings of this process, from its environment and the rules files.

    Raises:
        ConfigurationError: one line for each wrong value.
    """
    names = Environment.model_fields
    environment = _environment(tuple((key, value) for key, value in os.environ.items() if key.lower() in names))
    return Settings(environment=environment, rules=load_rules(environment.qbsf_config))


@lru_cache(maxsize=8)
def _environment(variables: tuple[tuple[str, str], ...]) -> Environment:
    """Every step asks for the settings, and they hardly ever change within a process."""
    found = {key: value for key, value in variables if value != ""}
    try:
        return Environment.model_validate(
            {name: found[name.upper()] for name in Environment.model_fields if name.upper() in found}
        )
    except ValidationError as error:
        raise ConfigurationError([_line(problem, str.upper) for problem in error.errors()]) from error


def load_rules(overrides: Path | None = None, tried: Path | None = None) -> Rules:
    """The packaged rules, with those of ``overrides`` laid over them key by key, and those that are only ``tried`` over these.

    Raises:
        ConfigurationError: the file is missing or not TOML, or one line for each wrong key or value.
    """
    packaged = resources.files("qbsf_pipeline").joinpath("rules.toml").read_bytes()
    files = [("the packaged rules", "rules.toml", packaged)]
    for option, path in (("QBSF_CONFIG", overrides), ("--rules", tried)):
        if path is None:
            continue
        try:
            files.append((option, str(path), path.read_bytes()))
        except OSError as error:
            raise ConfigurationError([f"{option}: cannot read {path}: {error.strerror}"]) from error
    return _rules(tuple(files))


@lru_cache(maxsize=8)
def _rules(files: tuple[tuple[str, str, bytes], ...]) -> Rules:
    """The rules of files, (option, path, content) each, where a later one is laid over those before."""
    values: dict[str, Any] = {}
    for option, path, content in files:
        try:
            values = _laid_over(values, tomllib.loads(content.decode(), parse_float=Decimal))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError([f"{option}: {path} is not TOML: {error}"]) from error
    try:
        return Rules.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError([_line(problem, str) for problem in error.errors()]) from error


def _laid_over(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _laid_over(merged[key], value) if both else value
    return merged


def _line(problem: Any, spell: Any) -> str:
    key = ".".join(spell(str(step)) for step in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    of_field = tuple(problem["loc"][:2]) == ("customers", "fields")
    if problem["type"] == "extra_forbidden":
        if of_field and len(problem["loc"]) == 3:
            return f"{key}: there is no such field; the fields are {', '.join(SyncFields.model_fields)}"
        return f"{key}: there is no such key"
    if problem["type"] == "missing":
        owner = of_field and (len(problem["loc"]) == 3 or problem["loc"][-1] == "owner")
        return f"{key}: is missing" + ("; name its owner, salesforce or quickbooks" if owner else "")
    found = problem.get("input")
    shown = str(found) if isinstance(found, Decimal) else repr(found)
    if any(word in key.lower() for word in ("secret", "token")):
        shown = "(hidden)"
    return f"{key}: {message}; found {shown}"
