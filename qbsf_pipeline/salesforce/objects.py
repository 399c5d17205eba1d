"""The Salesforce objects that are read: their raw tables, the fields asked for, and how a record becomes a row.

What the org can show is learned from its own describe answers: fields that an org may lack (currencies, SKU) are not asked
for, and fields that the program cannot do without are refused by :func:`check_fields` with one line each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict

from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.money import to_json
from qbsf_pipeline.salesforce.quotes_and_schedules import CPQ_QUOTE, CPQ_QUOTE_LINE, CPQ_SUBSCRIPTION, REVENUE_SCHEDULE
from qbsf_pipeline.settings import Rules, bucket_names
from qbsf_pipeline.warehouse.tables import (
    AMOUNT,
    RATE,
    TIMESTAMP,
    Column,
    TableSchema,
    decimal_or_none,
    raw_table,
    value_at,
)

SCHEMA = "salesforce"


def _text(name: str, path: str | None, comment: str) -> Column:
    return Column(name, pl.String, comment, path)


def _flag(name: str, path: str | None, comment: str) -> Column:
    return Column(name, pl.Boolean, comment, path)


OPPORTUNITY = raw_table(
    SCHEMA,
    "opportunity",
    (
        _text("id", "Id", "Salesforce id of the deal, 18 characters"),
        _text("name", "Name", "Name of the deal"),
        _text("account_id", "AccountId", "The account that buys; null is legal in Salesforce and cannot be invoiced"),
        _text("owner_id", "OwnerId", "User who owns the deal"),
        Column("close_date", pl.Date, "Day the deal closed or shall close", "CloseDate"),
        _text("stage_name", "StageName", "Stage as the org names it; is_won and is_closed say what it means"),
        _flag("is_won", "IsWon", "Won, whatever the org calls that stage"),
        _flag("is_closed", "IsClosed", "Closed, won or lost"),
        Column("amount", RATE, "Amount of the deal in its currency; with lines the sum of their totals", "Amount"),
        _text("currency", "CurrencyIsoCode", "ISO code; null in an org with one currency (see salesforce.organization)"),
        _flag("has_line_items", "HasOpportunityLineItem", "Whether the deal has lines"),
        _text("payment_terms", None, "Payment terms agreed on the deal (rules: salesforce.opportunity.payment_terms)"),
        _text("contract_url", None, "Link to the signed contract (rules: salesforce.opportunity.contract_url)"),
        _text("billing_frequency", None, "One-Time, Monthly, Quarterly or Annual"),
        Column(
            "billing_periods", RATE, "How many times a recurring deal is billed, as written: no whole number is told, not dropped"
        ),
        Column("billing_start_date", pl.Date, "First day of recurring billing"),
        _text("invoice_id", None, "QuickBooks id of the invoice, written back"),
        _text("invoice_number", None, "QuickBooks number of the invoice, written back"),
        _text("invoice_url", None, "Link to the invoice, written back"),
        _text("payment_status", None, "Payment status, written back"),
        Column("invoice_balance", AMOUNT, "Open balance of the invoice in the deal's currency, written back"),
        Column("last_payment_date", pl.Date, "Day of the newest payment, written back"),
        Column("days_outstanding", pl.Int64, "Days since the invoice date while open, written back"),
        _text("aging_bucket", None, "Current, 1-30, 31-60, 61-90 or 90+, written back"),
        _flag(
            "billing_on_hold",
            None,
            "Nothing is billed for now (rules: salesforce.opportunity.billing_on_hold), null where not named",
        ),
        Column("created_at", TIMESTAMP, "When the deal was created (UTC)", "CreatedDate"),
    ),
    "Opportunities of every stage: one row per deal",
)

OPPORTUNITY_LINE_ITEM = raw_table(
    SCHEMA,
    "opportunity_line_item",
    (
        _text("id", "Id", "Salesforce id of the line, 18 characters"),
        _text("opportunity_id", "OpportunityId", "The deal"),
        _text("product_id", "Product2Id", "The product sold"),
        _text("product_code", "ProductCode", "The product's code at the time"),
        _text("name", "Name", "Name of the line: deal and product"),
        _text("description", "Description", "What the seller wrote on the line"),
        Column("quantity", RATE, "Quantity; may be fractional or negative", "Quantity"),
        Column("unit_price", RATE, "Sales price of one unit, deal's currency", "UnitPrice"),
        Column("list_price", RATE, "Price of one unit in the price book, deal's currency", "ListPrice"),
        Column("total_price", RATE, "Total after discount, deal's currency: the amount that counts", "TotalPrice"),
        Column("subtotal", RATE, "Quantity times sales price before discount, deal's currency", "Subtotal"),
        Column("discount", RATE, "Discount in percent", "Discount"),
        Column("service_date", pl.Date, "Day of service, where the seller gave one", "ServiceDate"),
        Column("sort_order", pl.Int64, "Place of the line on the deal", "SortOrder"),
        _flag(
            "has_revenue_schedule", "HasRevenueSchedule", "Whether its revenue has a schedule; null in an org without schedules"
        ),
        _text("billing_frequency", None, "How often it is billed (rules: recurring.line_frequency_field), null where not named"),
        Column("billing_periods", RATE, "How many times (rules: recurring.line_periods_field), null where not named"),
        Column("billing_start_date", pl.Date, "From when (rules: recurring.line_start_date_field), null where not named"),
        Column("billing_end_date", pl.Date, "Until when (rules: recurring.line_end_date_field), null where not named"),
    ),
    "Products sold: one row per line of a deal. Read whole for every deal that changed",
)

PRODUCT2 = raw_table(
    SCHEMA,
    "product2",
    (
        _text("id", "Id", "Salesforce id of the product, 18 characters"),
        _text("name", "Name", "Name of the product"),
        _text("product_code", "ProductCode", "Code of the product; not unique in Salesforce"),
        _text("sku", "StockKeepingUnit", "Stock keeping unit"),
        _text("family", "Family", "Product family"),
        _text("description", "Description", "Description of the product"),
        _flag("is_active", "IsActive", "Whether it may be sold"),
        _text("item_name", None, "Name of the QuickBooks item (rules: salesforce.product_item_field), else null"),
        _text("class_name", None, "Name of the QuickBooks class (rules: salesforce.product_class_field), else null"),
    ),
    "Products: one row per product",
)

ACCOUNT = raw_table(
    SCHEMA,
    "account",
    (
        _text("id", "Id", "Salesforce id of the account, 18 characters"),
        _text("name", "Name", "Name of the account"),
        _text("parent_id", "ParentId", "The account above it"),
        _text("owner_id", "OwnerId", "User who owns the account"),
        _text("billing_street", "BillingStreet", "Billing street, several lines in one text"),
        _text("billing_city", "BillingCity", "Billing city"),
        _text("billing_state", "BillingState", "Billing state or province"),
        _text("billing_postal_code", "BillingPostalCode", "Billing postal code"),
        _text("billing_country", "BillingCountry", "Billing country"),
        _text("shipping_street", "ShippingStreet", "Shipping street, several lines in one text"),
        _text("shipping_city", "ShippingCity", "Shipping city"),
        _text("shipping_state", "ShippingState", "Shipping state or province"),
        _text("shipping_postal_code", "ShippingPostalCode", "Shipping postal code"),
        _text("shipping_country", "ShippingCountry", "Shipping country"),
        _text("phone", "Phone", "Phone as typed"),
        _text("website", "Website", "Website as typed"),
        _text("currency", "CurrencyIsoCode", "ISO code; null in an org with one currency"),
        _text("payment_terms", None, "Payment terms of the account (rules: salesforce.account.payment_terms)"),
        _text("billing_email", None, "Address that receives invoices (rules: salesforce.account.billing_email)"),
        _text("customer_id", None, "QuickBooks customer id, written back (rules: salesforce.account.customer_id)"),
        _text("master_record_id", "MasterRecordId", "For an account lost in a merge: the account that it became"),
        _flag("tax_exempt", None, "Exempt from sales tax (rules: salesforce.account.tax_exempt), null where not named"),
        _flag("active", None, "Still a customer (rules: salesforce.account.active), null where not named"),
        _text("industry", "Industry", "Industry of the account; null where it is not told, or not shown"),
        _text(
            "type",
            "Type",
            "What the account is to the seller, such as Customer or Partner; null where it is not told, or not shown",
        ),
        _text("last_modified_by_id", "LastModifiedById", "User who changed the account last"),
    ),
    "Accounts: one row per account",
)

CONTACT = raw_table(
    SCHEMA,
    "contact",
    (
        _text("id", "Id", "Salesforce id of the contact, 18 characters"),
        _text("account_id", "AccountId", "The contact's account; null for private contacts"),
        _text("first_name", "FirstName", "First name"),
        _text("last_name", "LastName", "Last name"),
        _text("name", "Name", "Full name"),
        _text("email", "Email", "E-mail address; not unique in Salesforce"),
        _text("phone", "Phone", "Phone as typed"),
    ),
    "Contacts: one row per person",
)

OPPORTUNITY_CONTACT_ROLE = raw_table(
    SCHEMA,
    "opportunity_contact_role",
    (
        _text("id", "Id", "Salesforce id of the role, 18 characters"),
        _text("opportunity_id", "OpportunityId", "The deal"),
        _text("contact_id", "ContactId", "The person"),
        _text("role", "Role", "The person's role on the deal, as the org names it"),
        _flag("is_primary", "IsPrimary", "Primary contact of the deal; several or none are possible"),
    ),
    "Contact roles: one row per deal, person and role. Read whole for every deal that changed",
)

USER = raw_table(
    SCHEMA,
    "user",
    (
        _text("id", "Id", "Salesforce id of the user, 18 characters"),
        _text("name", "Name", "Full name"),
        _text("email", "Email", "E-mail address"),
        _flag("is_active", "IsActive", "Whether the user may log in"),
    ),
    "Users: one row per owner of deals and accounts",
)

OPPORTUNITY_STAGE = raw_table(
    SCHEMA,
    "opportunity_stage",
    (
        _text("id", "Id", "Salesforce id of the stage, 18 characters"),
        _text("api_name", "ApiName", "Value of Opportunity.StageName"),
        _text("label", "MasterLabel", "What people see"),
        _flag("is_won", "IsWon", "Deals in this stage are won"),
        _flag("is_closed", "IsClosed", "Deals in this stage are closed"),
        _flag("is_active", "IsActive", "Whether the stage may be chosen"),
        Column("sort_order", pl.Int64, "Place among the stages", "SortOrder"),
    ),
    "Stages of the sales process: one row per stage",
)

ORGANIZATION = raw_table(
    SCHEMA,
    "organization",
    (
        _text("id", "Id", "Salesforce id of the org, 18 characters"),
        _text("name", "Name", "Name of the org"),
        _text("default_currency", "DefaultCurrencyIsoCode", "The org's currency; null where the org does not show it"),
        _text("time_zone", "TimeZoneSidKey", "Time zone of the org"),
        _text("instance_name", "InstanceName", "Salesforce instance that hosts the org"),
        _flag("is_sandbox", "IsSandbox", "Whether the org is a sandbox"),
    ),
    "The org: one row",
)

CURRENCY_TYPE = raw_table(
    SCHEMA,
    "currency_type",
    (
        _text("id", "Id", "Salesforce id of the currency, 18 characters"),
        _text("iso_code", "IsoCode", "ISO code"),
        Column("conversion_rate", RATE, "Units of this currency for one of the corporate currency", "ConversionRate"),
        Column("decimal_places", pl.Int64, "Decimal places", "DecimalPlaces"),
        _flag("is_active", "IsActive", "Whether it may be chosen"),
        _flag("is_corporate", "IsCorporate", "Whether it is the org's own currency"),
    ),
    "Currencies of an org with several; empty in an org with one",
)


_SCHEDULE, _QUOTE, _QUOTE_LINE = "OpportunityLineItemSchedule", "SBQQ__Quote__c", "SBQQ__QuoteLine__c"
#: Read only for contracts that do not tell otherwise which deal made them.
SUBSCRIPTION = "SBQQ__Subscription__c"
CONTRACT = "Contract"
#: Objects of which a field is read through another object: by the field that points at them.
_RELATED = {"SBQQ__MasterContract__c": CONTRACT}
#: What the package adds to Opportunity: it tells that CPQ is there even where its objects are hidden.
_PRIMARY_QUOTE = "SBQQ__PrimaryQuote__c"


@dataclass(frozen=True)
class _Source:
    name: str
    table: TableSchema
    needed: bool = True
    whole: bool = False
    # Standard fields without which a row means nothing; others are asked for where the org shows them.
    needed_columns: tuple[str, ...] = ("id", "name")


_SOURCES: tuple[_Source, ...] = (
    _Source(
        "Opportunity",
        OPPORTUNITY,
        needed_columns=(
            *("id", "name", "account_id", "owner_id", "close_date"),
            *("stage_name", "is_won", "is_closed", "amount"),
        ),
    ),
    _Source(
        "OpportunityLineItem",
        OPPORTUNITY_LINE_ITEM,
        needed_columns=("id", "opportunity_id", "product_id", "quantity", "unit_price", "total_price"),
    ),
    _Source("Product2", PRODUCT2, needed_columns=("id", "name", "product_code")),
    _Source(
        "Account",
        ACCOUNT,
        needed_columns=("id", "name", "billing_street", "billing_city", "billing_postal_code", "billing_country"),
    ),
    _Source("Contact", CONTACT, needed_columns=("id", "account_id", "name", "email")),
    _Source(
        "OpportunityContactRole",
        OPPORTUNITY_CONTACT_ROLE,
        needed_columns=("id", "opportunity_id", "contact_id", "role", "is_primary"),
    ),
    _Source("User", USER, needed_columns=("id", "name", "email")),
    _Source("OpportunityStage", OPPORTUNITY_STAGE, needed=False, whole=True, needed_columns=("id",)),
    _Source("Organization", ORGANIZATION, whole=True),
    _Source("CurrencyType", CURRENCY_TYPE, needed=False, whole=True, needed_columns=("id", "iso_code")),
    _Source(
        _SCHEDULE,
        REVENUE_SCHEDULE,
        needed=False,
        needed_columns=("id", "line_id", "type", "schedule_date", "revenue"),
    ),
    _Source(
        _QUOTE,
        CPQ_QUOTE,
        needed=False,
        needed_columns=("id", "opportunity_id", "is_primary", "type", "net_amount"),
    ),
    _Source(
        _QUOTE_LINE,
        CPQ_QUOTE_LINE,
        needed=False,
        # Without the flag a line that was only offered would be billed.
        needed_columns=("id", "quote_id", "product_id", "quantity", "net_total", "is_optional"),
    ),
    _Source(SUBSCRIPTION, CPQ_SUBSCRIPTION, needed=False, needed_columns=("id",)),
)

#: The objects whose descriptions are needed.
OBJECT_NAMES: tuple[str, ...] = (*(source.name for source in _SOURCES), *_RELATED.values())

#: Those that an org may lack, or hide, without harm. Where only half of CPQ is shown, :func:`check_fields` says so.
OPTIONAL_OBJECTS: frozenset[str] = frozenset([*(source.name for source in _SOURCES if not source.needed), *_RELATED.values()])

#: Every raw table of Salesforce.
TABLES: tuple[TableSchema, ...] = tuple(source.table for source in _SOURCES)

#: Fields that the program writes for every invoice, its payments and its age: keys of the rules under ``salesforce``. See
#: :func:`written_fields`.
WRITTEN_FIELDS: tuple[str, ...] = (
    "opportunity.invoice_id",
    "opportunity.invoice_number",
    "opportunity.invoice_url",
    "opportunity.payment_status",
    "opportunity.invoice_balance",
    "opportunity.last_payment_date",
    "opportunity.days_outstanding",
    "opportunity.aging_bucket",
    "account.customer_id",
)

#: The checkbox that holds the billing of a deal.
_HOLD = "opportunity.billing_on_hold"

#: Every payment status that may be written (contract.md).
_PAYMENT_STATUSES = (
    *("Not Invoiced", "Invoiced", "Sent", "Partially Paid", "Paid"),
    *("Overpaid", "Credited", "Voided", "Deleted"),
)


def written_values(rules: Rules) -> dict[str, tuple[str, ...]]:
    """Values that the program writes into picklists under these rules, by key of the rules under ``salesforce``."""
    return {
        "opportunity.payment_status": _PAYMENT_STATUSES,
        "opportunity.aging_bucket": bucket_names(rules.aging.buckets),
    }


def written_fields(rules: Rules) -> tuple[str, ...]:
    """All fields that the program writes under these rules: :data:`WRITTEN_FIELDS`, and those of accounts that QuickBooks
    owns while customers are kept in step. Keys of the rules under ``salesforce``."""
    if not rules.customers.sync.enabled:
        return WRITTEN_FIELDS
    fields, account = rules.customers.fields, rules.salesforce.account
    kept_in_step = (
        ("account.payment_terms", account.payment_terms, fields.terms),
        ("account.billing_email", account.billing_email, fields.email),
        ("account.tax_exempt", account.tax_exempt, fields.tax_exempt),
        ("account.active", account.active, fields.active),
    )
    owned = (key for key, name, rule in kept_in_step if name and rule.owner == "quickbooks" and not rule.report_only)
    return (*WRITTEN_FIELDS, *owned)


class FieldDescription(BaseModel):
    """One field as the org describes it. ``values`` are the active values of a picklist."""

    model_config = ConfigDict(frozen=True)

    name: str
    type: str
    updateable: bool
    restricted: bool
    values: tuple[str, ...]


class ObjectDescription(BaseModel):
    """One object as the org describes it to this user: a field without field-level access is not in it."""

    model_config = ConfigDict(frozen=True)

    name: str
    queryable: bool
    updateable: bool
    fields: tuple[FieldDescription, ...]

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> ObjectDescription:
        """Read a describe answer; a missing flag counts as granted, because the write itself will tell."""
        fields = [field for field in answer.get("fields") or [] if isinstance(field, Mapping) and field.get("name")]
        return cls(
            name=str(answer.get("name") or ""),
            queryable=answer.get("queryable") is not False,
            updateable=answer.get("updateable") is not False,
            fields=tuple(_field_description(field) for field in fields),
        )

    def field(self, name: str) -> FieldDescription | None:
        """The field of that API name; Salesforce compares names without case."""
        return next((field for field in self.fields if field.name.lower() == name.lower()), None)


def _field_description(field: Mapping[str, Any]) -> FieldDescription:
    values = [value for value in field.get("picklistValues") or [] if isinstance(value, Mapping)]
    return FieldDescription(
        name=str(field["name"]),
        type=str(field.get("type") or ""),
        updateable=field.get("updateable") is not False,
        restricted=bool(field.get("restrictedPicklist")),
        values=tuple(str(value.get("value")) for value in values if value.get("active") is not False),
    )


@dataclass(frozen=True)
class SalesforceObject:
    """An object as it is read from this org.

    Attributes:
        name: API name.
        table: its raw table.
        fields: column -> API name as the org spells it, for the columns that the org can fill.
        whole: small enough to be read whole every time.
        has_deleted: it has ``IsDeleted``, so deleted records can be asked for.
        has_stamp: it has ``SystemModstamp``, so changes can be asked for.
    """

    name: str
    table: TableSchema
    fields: Mapping[str, str]
    whole: bool
    has_deleted: bool
    has_stamp: bool

    @property
    def table_name(self) -> str:
        """``schema.name``, as watermarks are keyed."""
        return f"{self.table.schema}.{self.table.name}"

    @property
    def selected(self) -> str:
        """The field list of a query."""
        names = [*self.fields.values()]
        names += ["IsDeleted"] if self.has_deleted else []
        names += ["SystemModstamp"] if self.has_stamp else []
        return ", ".join(dict.fromkeys(names))

    @property
    def fields_hash(self) -> str:
        """Changes when other fields are asked for, or for other columns."""
        text = to_json([self.name, dict(self.fields), self.has_deleted, self.has_stamp], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def objects_for(rules: Rules, descriptions: Mapping[str, ObjectDescription | None]) -> tuple[SalesforceObject, ...]:
    """The objects that this org has and the rules ask for, with the fields that it shows.

    An object that the org lacks (``CurrencyType`` in an org with one currency) is left out, and so is what no rule wants to know:
    CPQ's quotes where lines come from the deal's products, schedules where nothing is billed by them.
    """
    objects = []
    for source in _SOURCES:
        description = descriptions.get(source.name)
        if description is None or not (source.needed or description.queryable) or not _asked_for(source.name, rules):
            continue
        wanted = _wanted_fields(source, rules)
        shown = {column: _shown(name, description, descriptions) for column, name in wanted.items()}
        objects.append(
            SalesforceObject(
                name=source.name,
                table=source.table,
                fields={column: name for column, name in shown.items() if name is not None},
                whole=source.whole,
                has_deleted=description.field("IsDeleted") is not None,
                has_stamp=description.field("SystemModstamp") is not None,
            )
        )
    return tuple(objects)


def _shown(name: str, description: ObjectDescription, descriptions: Mapping[str, ObjectDescription | None]) -> str | None:
    """The field as the org spells it; ``None`` where it does not show it, or not the lookup or the object behind it."""
    before, dot, behind = name.rpartition(".")
    lookup = f"{before.removesuffix('__r')}__c"
    field = description.field(lookup if dot else name)
    if field is None or not dot:
        return field.name if field is not None else None
    related = descriptions.get(_RELATED.get(lookup, ""))
    found = related.field(behind) if related is not None and related.queryable else None
    # What is no lookup there leads nowhere, and asking for it would fail the whole query.
    return f"{field.name.removesuffix('__c')}__r.{found.name}" if found is not None and field.type == "reference" else None


def optional_tables(rules: Rules) -> tuple[TableSchema, ...]:
    """Raw tables that the rules ask for and that stay empty in an org without their object."""
    return tuple(source.table for source in _SOURCES if not source.needed and _asked_for(source.name, rules))


def _asked_for(name: str, rules: Rules) -> bool:
    if name in (_QUOTE, _QUOTE_LINE, SUBSCRIPTION):
        return rules.cpq.lines_from == "primary_quote"
    if name == _SCHEDULE:
        return rules.recurring.enabled and "revenue_schedule" in rules.recurring.sources
    return True


def check_fields(rules: Rules, descriptions: Mapping[str, ObjectDescription | None], *, writes: bool = True) -> None:
    """Refuse an org that lacks what the program reads or writes.

    Args:
        rules: they name the custom fields.
        descriptions: what the org tells its integration user.
        writes: also demand write access and picklist values for what the program writes.

    Raises:
        ConfigurationError: one line for each missing object, field, access or value, with what to do.
    """
    problems = _cpq_problems(rules, descriptions)
    for source in _SOURCES:
        if not _asked_for(source.name, rules):
            continue
        description = descriptions.get(source.name)
        if description is None or not description.queryable:
            if source.needed:
                problems.append(
                    f"Salesforce shows no object {source.name}: grant the integration user read access to it "
                    "in its permission set"
                )
            continue
        problems += _missing_fields(source, rules, description)
        if writes:
            problems += _write_problems(source, rules, description)
    if problems:
        raise ConfigurationError(problems)


def row_of(
    source: SalesforceObject, record: Mapping[str, Any], extracted_at: datetime, notes: list[str] | None = None
) -> dict[str, Any]:
    """One record as a row of ``source.table``.

    A value that does not fit its column becomes null, and ``notes`` (if given) gets a line that says so; the record itself
    stays whole in the column ``record``.

    Raises:
        ValueError: the record has no id.
    """
    if not record.get("Id"):
        raise ValueError(f"Salesforce sent a record of {source.name} without an Id")
    row: dict[str, Any] = {}
    for column in source.table.columns:
        name = source.fields.get(column.name)
        if name is None:
            continue
        value = value_at(record, name)
        typed = _typed(column, value)
        if typed is None and value not in (None, "") and notes is not None:
            notes.append(f"{source.name} {record['Id']}: the value of {name} cannot be read and counts as empty")
        row[column.name] = typed
    row["id"] = to_18(str(record["Id"]))
    row["source_modified_at"] = instant(record.get("SystemModstamp"))
    row["is_deleted"] = record.get("IsDeleted") is True
    row["content_hash"] = content_hash(record)
    row["record"] = _encodable(to_json(record))
    row["extracted_at"] = extracted_at
    return row


def content_hash(record: Mapping[str, Any]) -> str:
    """A hash over what a record says, without its stamps and its own address: a touched record keeps its hash."""
    text = to_json(_content(record), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def instant(value: Any) -> datetime | None:
    """A Salesforce datetime (``2026-03-31T09:15:22.000+0000``, or ``Z``) as UTC; ``None`` where there is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def datetime_literal(value: datetime) -> str:
    """An instant as SOQL takes it: UTC, ``Z``, unquoted; fractions only where there are some."""
    value = value.astimezone(UTC)
    fraction = f".{value.microsecond:06d}".removesuffix("000") if value.microsecond else ""
    return f"{value:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def quoted(text: str) -> str:
    """A SOQL string literal."""
    escapes = {"\\": "\\\\", "'": "\\'", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
    return "'" + "".join(escapes.get(character, character) for character in text) + "'"


def quoted_list(values: Iterable[str]) -> str:
    """A SOQL list for ``IN``.

    Raises:
        ValueError: no values: ``IN ()`` is not SOQL.
    """
    literals = [quoted(value) for value in values]
    if not literals:
        raise ValueError("IN needs at least one value")
    return "(" + ",".join(literals) + ")"


def to_18(record_id: str) -> str:
    """A 15-character id with its 3 check characters; anything else as it is."""
    if len(record_id) != 15 or not (record_id.isascii() and record_id.isalnum()):
        return record_id
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    blocks = (record_id[start : start + 5] for start in (0, 5, 10))
    sums = (sum(1 << place for place, character in enumerate(block) if character.isupper()) for block in blocks)
    return record_id + "".join(alphabet[number] for number in sums)


def _cpq_problems(rules: Rules, descriptions: Mapping[str, ObjectDescription | None]) -> list[str]:
    """Where CPQ is there and can be read in part only, its amendments would be billed as if all were sold again."""
    if not _asked_for(_QUOTE, rules):
        return []
    found = {name: descriptions.get(name) for name in (_QUOTE, _QUOTE_LINE)}
    hidden = [name for name, description in found.items() if description is None or not description.queryable]
    deals = descriptions.get("Opportunity")
    is_there = len(hidden) < len(found) or (deals is not None and deals.field(_PRIMARY_QUOTE) is not None)
    problems = [
        f"Salesforce CPQ is there, but the object {name} is not shown to the integration user: grant read access to it in the "
        'permission set, or set cpq.lines_from = "opportunity_products" in the file of QBSF_CONFIG'
        for name in hidden
        if is_there
    ]
    named = {
        "cpq_quote": (CPQ_QUOTE, rules.salesforce.cpq_quote),
        "cpq_quote_line": (CPQ_QUOTE_LINE, rules.salesforce.cpq_quote_line),
    }
    for key, (table, names) in named.items():
        columns = [column.name for column in table.columns if column.path is not None and column.name != "id"]
        problems += [
            f"salesforce.{key}.{name}: there is no such column; there are {', '.join(columns)}"
            for name in names
            if name not in columns
        ]
    return problems


def _custom_fields(source: _Source, rules: Rules) -> dict[str, tuple[str, str]]:
    """Column -> (key of the rules, under ``salesforce`` where nothing else stands before it, API name)."""
    if source.name in ("Opportunity", "Account"):
        fields = rules.salesforce.opportunity if source.name == "Opportunity" else rules.salesforce.account
        named = fields.model_dump().items()
        # A checkbox that an org does not have is named by nothing.
        return {column: (f"{source.table.name}.{column}", str(name)) for column, name in named if name}
    if source.name == "Product2":
        products = {
            "item_name": ("product_item_field", rules.salesforce.product_item_field),
            "class_name": ("product_class_field", rules.salesforce.product_class_field),
        }
        return {column: pair for column, pair in products.items() if pair[1]}
    if source.name == "OpportunityLineItem":
        line = rules.recurring
        terms = {
            "billing_frequency": ("recurring.line_frequency_field", line.line_frequency_field),
            "billing_periods": ("recurring.line_periods_field", line.line_periods_field),
            "billing_start_date": ("recurring.line_start_date_field", line.line_start_date_field),
            "billing_end_date": ("recurring.line_end_date_field", line.line_end_date_field),
        }
        return {column: pair for column, pair in terms.items() if pair[1]}
    if source.name in (_QUOTE, _QUOTE_LINE):
        own = rules.salesforce.cpq_quote if source.name == _QUOTE else rules.salesforce.cpq_quote_line
        known = source.table.polars_schema
        return {column: (f"{source.table.name}.{column}", name) for column, name in own.items() if column in known}
    return {}


def _in_rules(key: str) -> str:
    return key if key.startswith("recurring.") else f"salesforce.{key}"


def _wanted_fields(source: _Source, rules: Rules) -> dict[str, str]:
    standard = {column.name: column.path for column in source.table.columns if column.path is not None}
    return standard | {column: name for column, (_, name) in _custom_fields(source, rules).items()}


def _missing_fields(source: _Source, rules: Rules, description: ObjectDescription) -> list[str]:
    problems = []
    custom = _custom_fields(source, rules)
    for column in source.table.columns:
        if column.name in custom or column.name not in source.needed_columns or not column.path:
            continue
        if description.field(column.path) is None:
            problems.append(
                f"{source.name}.{column.path} is not shown to the integration user: grant read access to the field "
                "in its permission set"
            )
    for key, name in custom.values():
        field = description.field(name)
        if key == _HOLD and field is not None and field.type != "boolean":
            # What cannot be read counts as empty, and would be billed.
            problems.append(
                f"{source.name}.{name} is no checkbox: name one under {_in_rules(key)} in the file of QBSF_CONFIG, or none"
            )
        if field is None:
            problems.append(
                f"{source.name}.{name} does not exist or is not shown to the integration user: create the field, or grant "
                "read access to it in the permission set, or name another field under "
                f"{_in_rules(key)} in the file of QBSF_CONFIG"
            )
    return problems


def _write_problems(source: _Source, rules: Rules, description: ObjectDescription) -> list[str]:
    problems = []
    written, values = written_fields(rules), written_values(rules)
    for key, name in _custom_fields(source, rules).values():
        field = description.field(name)
        if key not in written or field is None:
            continue
        if not (field.updateable and description.updateable):
            problems.append(
                f"{source.name}.{field.name} cannot be written by the integration user: grant edit access to it in the "
                f"permission set, or name another field under salesforce.{key} in the file of QBSF_CONFIG"
            )
        lacking = [value for value in values.get(key, ()) if value not in field.values]
        if field.type == "picklist" and field.restricted and lacking:
            problems.append(
                f"{source.name}.{field.name} is a restricted picklist without {', '.join(lacking)}: add these values "
                "in Salesforce, spelt exactly so"
            )
    return problems


def _typed(column: Column, value: Any) -> Any:
    """``value`` in the column's type; ``None`` where it does not fit."""
    if value is None or value == "":
        return None
    if column.dtype == pl.String:
        text = _encodable(value if isinstance(value, str) else _written(value))
        # Only Salesforce's own ids: invoice_id and customer_id, which have no fixed path, are QuickBooks'.
        is_id = column.path is not None and (column.path == "Id" or column.name.endswith("_id"))
        return to_18(text) if is_id else text
    if column.dtype == pl.Boolean:
        return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
    if column.dtype == pl.Date:
        return _day(value)
    if column.dtype == TIMESTAMP:
        return instant(value)
    number = decimal_or_none(value)
    if number is None or not number.is_finite():
        return None
    if column.dtype == pl.Int64:
        return int(number) if number == number.to_integral_value() and abs(number) < 2**63 else None
    return _fitted(number, *((18, 2) if column.dtype == AMOUNT else (28, 10)))


def _fitted(number: Decimal, precision: int, scale: int) -> Decimal | None:
    if number and number.adjusted() >= precision - scale:
        return None
    with localcontext() as context:
        context.prec = precision + 2
        fitted = number.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)
    return fitted if abs(fitted) < Decimal(10) ** (precision - scale) else None


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


def _encodable(text: str) -> str:
    """``text`` with half surrogate pairs, which JSON can carry and UTF-8 cannot, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _written(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else to_json(value) if isinstance(value, dict | list) else str(value)


_STAMPS = frozenset({"attributes", "SystemModstamp", "LastModifiedDate", "LastModifiedById"})


def _content(value: Any) -> Any:
    # Most values are text or nothing; asking for Mapping and Sequence is slow.
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        return {key: _content(item) for key, item in value.items() if key not in _STAMPS}
    if isinstance(value, Sequence):
        return [_content(item) for item in value]
    if not isinstance(value, int | Decimal):
        return value
    # 100, 100.0 and 1E+2 are the same amount.
    number = Decimal(value)
    return format(number.normalize(), "f") if number else "0"
