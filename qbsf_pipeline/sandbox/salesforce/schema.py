"""The objects and fields of the sandbox's Salesforce org, as data, and what describe says about them.

Belongs here: which objects and fields exist, their types and limits, ids, and the error every other module raises.
Does not belong here: records, or rules that look at another record.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

#: Types whose values are text.
TEXT_TYPES = frozenset({"string", "textarea", "picklist", "email", "phone", "url", "combobox"})
NUMBER_TYPES = frozenset({"double", "currency", "percent", "int"})

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


class ApiError(ValueError):
    """One REST error as Salesforce words it.

    `request_level` marks what Salesforce finds while it reads the JSON: in a collection it refuses the whole request.
    """

    def __init__(
        self, code: str, message: str, *, status: int = 400, fields: Collection[str] = (), request_level: bool = False
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields = list(fields)
        self.request_level = request_level


def to18(record_id: str) -> str:
    """The 18-character form of a 15- or 18-character id (an 18-character one gets its letters' case put right).

    Raises:
        ApiError: `MALFORMED_ID`, when it is neither, or its checksum is none.
    """
    if not re.fullmatch(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", record_id):
        raise ApiError("MALFORMED_ID", f"malformed id {record_id}")
    body = record_id[:15]
    if len(record_id) == 18:
        bits = [_CHECKSUM.find(mark) for mark in record_id[15:].upper()]
        if min(bits) < 0:
            raise ApiError("MALFORMED_ID", f"malformed id {record_id}")
        body = "".join(char.upper() if bits[place // 5] >> (place % 5) & 1 else char.lower() for place, char in enumerate(body))
    marks = ""
    for start in (0, 5, 10):
        marks += _CHECKSUM[sum(1 << place for place, char in enumerate(body[start : start + 5]) if "A" <= char <= "Z")]
    return body + marks


def make_id(key_prefix: str, number: int) -> str:
    """The 18-character id number `number` of the objects with that prefix. Base 62, so case alone can tell two apart."""
    digits = ""
    for _ in range(9):
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return to18(f"{key_prefix}5g0{digits}")


@dataclass(frozen=True, slots=True)
class Field:
    """One field as describe shows it. `long` text can be neither filtered nor sorted by."""

    name: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    unique: bool = False
    external_id: bool = False
    restricted: bool = False
    defaulted: bool = False
    calculated: bool = False
    name_field: bool = False
    long: bool = False
    default: Any = None
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    cascade: bool = False
    children_name: str | None = None
    values: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The field's name as people read it."""
        return _label(self.name)

    @property
    def required(self) -> bool:
        """Must be given when a record is created."""
        return not self.nillable and self.createable and not self.defaulted

    def describe(self) -> dict[str, Any]:
        """The entry of describe's `fields`."""
        numeric = self.type in NUMBER_TYPES
        plain = self.type not in ("address",) and not self.long
        soap = {
            "boolean": "xsd:boolean",
            "int": "xsd:int",
            "double": "xsd:double",
            "currency": "xsd:double",
            "percent": "xsd:double",
            "date": "xsd:date",
            "datetime": "xsd:dateTime",
            "id": "tns:ID",
            "reference": "tns:ID",
            "address": "urn:address",
        }
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "length": self.length,
            "byteLength": self.length * 3 if self.type in TEXT_TYPES else self.length,
            "precision": self.precision if numeric else 0,
            "scale": self.scale if numeric else 0,
            "digits": self.precision if self.type == "int" else 0,
            "nillable": self.nillable,
            "createable": self.createable,
            "updateable": self.updateable,
            "calculated": self.calculated,
            "defaultedOnCreate": self.defaulted or self.type == "boolean",
            "defaultValue": False if self.type == "boolean" and self.default is None else self.default,
            "externalId": self.external_id,
            "unique": self.unique,
            "idLookup": self.external_id or self.type == "id" or self.name_field,
            "caseSensitive": False,
            "custom": self.name.endswith("__c"),
            "nameField": self.name_field,
            "autoNumber": False,
            "restrictedPicklist": self.restricted,
            "filterable": plain,
            "sortable": plain,
            "groupable": plain and self.type not in ("currency", "double", "percent", "datetime"),
            "aggregatable": plain and self.type != "boolean",
            "permissionable": self.nillable,
            "deprecatedAndHidden": False,
            "htmlFormatted": False,
            "inlineHelpText": None,
            "compoundFieldName": None,
            "cascadeDelete": self.cascade,
            "referenceTo": list(self.reference_to),
            "relationshipName": self.relationship_name,
            "soapType": soap.get(self.type, "xsd:string"),
            "picklistValues": [
                {
                    "active": True,
                    "defaultValue": value == self.default,
                    "label": value,
                    "validFor": None,
                    "value": value,
                }
                for value in self.values
            ],
        }


@dataclass(frozen=True)
class ChildRelationship:
    """A lookup of another object seen from the object it points at."""

    child: str
    field: str
    name: str | None
    cascade: bool


@dataclass(frozen=True)
class SObjectType:
    """One object: its fields by lower-case name, and the lookups that point at it."""

    name: str
    key_prefix: str
    fields: Mapping[str, Field]
    writable: bool = True
    deletable: bool = True
    has_bin: bool = True
    children: tuple[ChildRelationship, ...] = ()
    relationships: Mapping[str, Field] = field(default_factory=dict)

    @property
    def name_field(self) -> str | None:
        """The field that names a record, if there is one."""
        return next((item.name for item in self.fields.values() if item.name_field), None)

    def find(self, name: str) -> Field | None:
        """The field of that name, whatever its case."""
        return self.fields.get(name.lower())

    def child_relationship(self, name: str) -> ChildRelationship | None:
        """The child relationship of that name, whatever its case."""
        return next((item for item in self.children if item.name and item.name.lower() == name.lower()), None)

    def summary(self, base: str) -> dict[str, Any]:
        """The entry of the global describe. `base` is `/services/data/vXX.0`."""
        url = f"{base}/sobjects/{self.name}"
        return {
            "name": self.name,
            "label": _label(self.name),
            "labelPlural": _label(self.name) + "s",
            "keyPrefix": self.key_prefix,
            "custom": self.name.endswith("__c"),
            "createable": self.writable,
            "updateable": self.writable,
            "deletable": self.writable and self.deletable,
            "undeletable": self.writable and self.has_bin,
            "queryable": True,
            "replicateable": True,
            "retrieveable": True,
            "searchable": self.writable,
            "triggerable": self.writable,
            "mergeable": self.name in ("Account", "Contact"),
            "layoutable": self.writable,
            "activateable": False,
            "deprecatedAndHidden": False,
            "customSetting": False,
            "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
        }

    def describe(self, base: str) -> dict[str, Any]:
        """The answer of describe."""
        return {
            **self.summary(base),
            "childRelationships": [
                {
                    "childSObject": child.child,
                    "field": child.field,
                    "relationshipName": child.name,
                    "cascadeDelete": child.cascade,
                    "restrictedDelete": False,
                    "deprecatedAndHidden": False,
                }
                for child in self.children
            ],
            "recordTypeInfos": [
                {
                    "recordTypeId": "012000000000000AAA",
                    "name": "Master",
                    "developerName": "Master",
                    "active": True,
                    "available": True,
                    "defaultRecordTypeMapping": True,
                    "master": True,
                }
            ],
            "fields": [item.describe() for item in self.fields.values()],
        }


@dataclass(frozen=True)
class Schema:
    """All objects that the integration user can see, by lower-case name."""

    types: Mapping[str, SObjectType]

    def type(self, name: str) -> SObjectType:
        """The object of that name, whatever its case.

        Raises:
            ApiError: `INVALID_TYPE`.
        """
        found = self.types.get(name.lower())
        if found is None:
            raise ApiError("INVALID_TYPE", f"sObject type '{name}' is not supported. If you are attempting to use a custom "
                           "object, be sure to append the '__c' after the entity name. Please reference your WSDL or the "
                           "describe call for the appropriate names.")  # fmt: skip
        return found

    def of_id(self, record_id: str) -> SObjectType | None:
        """The object an id belongs to, by its prefix (case matters: 00k is a line, 00K a contact role)."""
        return next((item for item in self.types.values() if item.key_prefix == record_id[:3]), None)


def _label(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removesuffix("__c")).replace("_", " ")
    return spaced.removesuffix(" Id") if not name.endswith("__c") and spaced != "Id" else spaced


def _f(
    name: str,
    kind: str,
    length: int = 0,
    flags: str = "",
    *,
    to: str | tuple[str, ...] = (),
    children: str | None = None,
    values: tuple[str, ...] = (),
    default: Any = None,
    digits: tuple[int, int] = (18, 2),
) -> Field:
    """A field. Flags: r read-only, c may be given on create only, q required, u unique, x external id, n names the record,
    s restricted picklist, l long text, d defaulted on create, f formula, k deleted with the record it points at."""
    targets = (to,) if isinstance(to, str) else to
    numeric = kind in NUMBER_TYPES
    if kind in ("id", "reference"):
        length = 18
    return Field(
        name=name,
        type=kind,
        length=length,
        precision=digits[0] if numeric else 0,
        scale=digits[1] if numeric else 0,
        nillable="q" not in flags and kind != "boolean",
        createable="r" not in flags and "f" not in flags,
        updateable="r" not in flags and "f" not in flags and "c" not in flags,
        unique="u" in flags,
        external_id="x" in flags,
        restricted="s" in flags,
        defaulted="d" in flags or kind == "boolean",
        calculated="f" in flags,
        name_field="n" in flags,
        long="l" in flags,
        default=False if kind == "boolean" and default is None else default,
        reference_to=targets,
        relationship_name=_relationship(name) if kind == "reference" else None,
        cascade="k" in flags,
        children_name=children,
        values=values,
    )


def _relationship(name: str) -> str:
    return f"{name.removesuffix('__c')}__r" if name.endswith("__c") else name.removesuffix("Id")


def _address(prefix: str) -> list[Field]:
    return [
        _f(f"{prefix}Street", "textarea", 255),
        _f(f"{prefix}City", "string", 40),
        _f(f"{prefix}State", "string", 80),
        _f(f"{prefix}PostalCode", "string", 20),
        _f(f"{prefix}Country", "string", 80),
        _f(f"{prefix}Address", "address", 0, "r"),
    ]


def _system(*, deleted: bool = True, created: bool = True) -> list[Field]:
    fields = [_f("IsDeleted", "boolean", 0, "r")] if deleted else []
    if created:
        fields += [
            _f("CreatedDate", "datetime", 0, "rqd"),
            _f("CreatedById", "reference", 0, "rqd", to="User"),
            _f("LastModifiedDate", "datetime", 0, "rqd"),
            _f("LastModifiedById", "reference", 0, "rqd", to="User"),
        ]
    return [*fields, _f("SystemModstamp", "datetime", 0, "rqd")]


_TERM_LENGTH = 80
_INT = (8, 0)
PAYMENT_STATUSES = (
    "Not Invoiced", "Invoiced", "Sent", "Partially Paid", "Paid", "Overpaid", "Credited", "Voided", "Deleted",
)  # fmt: skip
AGING_BUCKETS = ("Current", "1-30", "31-60", "61-90", "90+")
BILLING_FREQUENCIES = ("One-Time", "Monthly", "Quarterly", "Annual")
CONTACT_ROLES = (
    "Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator", "Executive Sponsor",
    "Influencer", "Technical Buyer", "Other", "Bill To",
)  # fmt: skip

#: ApiName, IsClosed, IsWon, DefaultProbability, ForecastCategoryName: the stages every new org has.
STANDARD_STAGES: tuple[tuple[str, bool, bool, int, str], ...] = (
    ("Prospecting", False, False, 10, "Pipeline"),
    ("Qualification", False, False, 10, "Pipeline"),
    ("Needs Analysis", False, False, 20, "Pipeline"),
    ("Value Proposition", False, False, 50, "Pipeline"),
    ("Id. Decision Makers", False, False, 60, "Pipeline"),
    ("Perception Analysis", False, False, 70, "Pipeline"),
    ("Proposal/Price Quote", False, False, 75, "Pipeline"),
    ("Negotiation/Review", False, False, 90, "Pipeline"),
    ("Closed Won", True, True, 100, "Closed"),
    ("Closed Lost", True, False, 0, "Omitted"),
)

_OBJECTS: tuple[tuple[str, str, str, list[Field]], ...] = (
    # name, key prefix, flags (r read-only object, b deleted records bypass the bin, s without IsDeleted, a without
    # Created.../LastModified...), fields
    ("Organization", "00D", "rs", [
        _f("Name", "string", 80, "qn"), _f("Street", "textarea", 255), _f("City", "string", 40),
        _f("State", "string", 80), _f("PostalCode", "string", 20), _f("Country", "string", 80),
        _f("InstanceName", "string", 5, "r"), _f("IsSandbox", "boolean", 0, "r"),
        _f("OrganizationType", "picklist", 40, "r"), _f("DefaultLocaleSidKey", "picklist", 40),
        _f("LanguageLocaleKey", "picklist", 40), _f("TimeZoneSidKey", "picklist", 40),
        _f("FiscalYearStartMonth", "int", 0, "r", digits=_INT), _f("DefaultCurrencyIsoCode", "picklist", 3, "r"),
        _f("NamespacePrefix", "string", 15, "r"),
    ]),
    ("User", "005", "s", [
        _f("Username", "string", 80, "qu"), _f("LastName", "string", 80, "q"), _f("FirstName", "string", 40),
        _f("Name", "string", 121, "rqn"), _f("Email", "email", 128, "q"), _f("IsActive", "boolean", default=True),
        _f("Alias", "string", 8), _f("TimeZoneSidKey", "picklist", 40, "qd"), _f("UserType", "picklist", 40, "r"),
        _f("Title", "string", 80), _f("Department", "string", 80), _f("ManagerId", "reference", to="User"),
    ]),
    ("Account", "001", "", [
        _f("Name", "string", 255, "qn"), _f("ParentId", "reference", to="Account", children="ChildAccounts"),
        _f("MasterRecordId", "reference", 0, "r", to="Account"), _f("OwnerId", "reference", 0, "qd", to="User"),
        _f("Type", "picklist", 255), _f("Industry", "picklist", 255), _f("AccountNumber", "string", 40),
        *_address("Billing"), *_address("Shipping"),
        _f("Phone", "phone", 40), _f("Fax", "phone", 40), _f("Website", "url", 255),
        _f("Description", "textarea", 32000, "l"), _f("AnnualRevenue", "currency", digits=(18, 0)),
        _f("NumberOfEmployees", "int", digits=_INT), _f("LastActivityDate", "date", 0, "r"),
        _f("Payment_Terms__c", "string", _TERM_LENGTH), _f("Billing_Email__c", "email", 80),
        _f("QuickBooks_Customer_Id__c", "string", 50, "ux"),
    ]),
    ("Contact", "003", "", [
        _f("AccountId", "reference", 0, "k", to="Account", children="Contacts"), _f("LastName", "string", 80, "q"),
        _f("FirstName", "string", 40), _f("Salutation", "picklist", 40), _f("Name", "string", 121, "rqn"),
        _f("Title", "string", 128), _f("Email", "email", 80), _f("Phone", "phone", 40), _f("MobilePhone", "phone", 40),
        _f("OwnerId", "reference", 0, "qd", to="User"), *_address("Mailing"),
        _f("HasOptedOutOfEmail", "boolean"), _f("EmailBouncedDate", "datetime"), _f("EmailBouncedReason", "string", 255),
        _f("MasterRecordId", "reference", 0, "r", to="Contact"), _f("LastActivityDate", "date", 0, "r"),
    ]),
    ("Opportunity", "006", "", [
        _f("Name", "string", 120, "qn"), _f("AccountId", "reference", 0, "k", to="Account", children="Opportunities"),
        _f("OwnerId", "reference", 0, "qd", to="User"), _f("StageName", "picklist", 255, "q"),
        _f("CloseDate", "date", 0, "q"), _f("Amount", "currency"), _f("Probability", "percent", 0, "d", digits=(3, 0)),
        _f("ExpectedRevenue", "currency", 0, "r"), _f("TotalOpportunityQuantity", "double"),
        _f("IsWon", "boolean", 0, "r"), _f("IsClosed", "boolean", 0, "r"), _f("ForecastCategory", "picklist", 40, "r"),
        _f("ForecastCategoryName", "picklist", 40, "d"), _f("HasOpportunityLineItem", "boolean", 0, "r"),
        _f("Pricebook2Id", "reference", to="Pricebook2"), _f("ContactId", "reference", 0, "c", to="Contact"),
        _f("Type", "picklist", 255, values=("Existing Business", "New Business")), _f("LeadSource", "picklist", 255),
        _f("NextStep", "string", 255), _f("Description", "textarea", 32000, "l"), _f("IsPrivate", "boolean"),
        _f("FiscalYear", "int", 0, "r", digits=_INT), _f("FiscalQuarter", "int", 0, "r", digits=_INT),
        _f("Fiscal", "string", 6, "r"), _f("LastStageChangeDate", "datetime", 0, "r"),
        _f("LastActivityDate", "date", 0, "r"),
        _f("Payment_Terms__c", "string", _TERM_LENGTH), _f("Contract_URL__c", "url", 255),
        _f("Billing_Frequency__c", "picklist", 255, "s", values=BILLING_FREQUENCIES),
        _f("Billing_Periods__c", "double", digits=(3, 0)), _f("Billing_Start_Date__c", "date"),
        _f("QuickBooks_Invoice_Id__c", "string", 50), _f("QuickBooks_Invoice_Number__c", "string", 50),
        _f("QuickBooks_Invoice_URL__c", "url", 255),
        _f("Payment_Status__c", "picklist", 255, "s", values=PAYMENT_STATUSES), _f("Invoice_Balance__c", "currency"),
        _f("Last_Payment_Date__c", "date"), _f("Days_Outstanding__c", "double", digits=(5, 0)),
        _f("Aging_Bucket__c", "picklist", 255, "s", values=AGING_BUCKETS),
    ]),
    ("OpportunityLineItem", "00k", "b", [
        _f("OpportunityId", "reference", 0, "cqk", to="Opportunity", children="OpportunityLineItems"),
        _f("PricebookEntryId", "reference", 0, "c", to="PricebookEntry"),
        _f("Product2Id", "reference", 0, "c", to="Product2"), _f("Name", "string", 376, "rn"),
        _f("ProductCode", "string", 255, "r"), _f("Quantity", "double", 0, "q", digits=(12, 2)),
        _f("UnitPrice", "currency", digits=(18, 8)), _f("ListPrice", "currency", 0, "r"),
        _f("TotalPrice", "currency"), _f("Subtotal", "currency", 0, "r"), _f("Discount", "percent", digits=(5, 2)),
        _f("ServiceDate", "date"), _f("Description", "string", 255), _f("SortOrder", "int", digits=_INT),
        _f("HasQuantitySchedule", "boolean", 0, "r"), _f("HasRevenueSchedule", "boolean", 0, "r"),
        _f("HasSchedule", "boolean", 0, "r"),
    ]),
    ("OpportunityContactRole", "00K", "", [
        _f("OpportunityId", "reference", 0, "cqk", to="Opportunity", children="OpportunityContactRoles"),
        _f("ContactId", "reference", 0, "qk", to="Contact", children="OpportunityContactRoles"),
        _f("Role", "picklist", 255, values=CONTACT_ROLES), _f("IsPrimary", "boolean"),
    ]),
    ("OpportunityHistory", "008", "r", [
        _f("OpportunityId", "reference", 0, "rk", to="Opportunity", children="OpportunityHistories"),
        _f("StageName", "picklist", 255, "r"), _f("Amount", "currency", 0, "r"), _f("ExpectedRevenue", "currency", 0, "r"),
        _f("CloseDate", "date", 0, "r"), _f("Probability", "percent", 0, "r", digits=(3, 0)),
        _f("ForecastCategory", "picklist", 40, "r"), _f("PrevAmount", "currency", 0, "r"),
        _f("PrevCloseDate", "date", 0, "r"), _f("CreatedDate", "datetime", 0, "r"),
        _f("CreatedById", "reference", 0, "r", to="User"), _f("IsDeleted", "boolean", 0, "r"),
        _f("SystemModstamp", "datetime", 0, "r"),
    ]),
    ("OpportunityStage", "01J", "rs", [
        _f("ApiName", "string", 255, "q"), _f("MasterLabel", "string", 255, "qn"), _f("IsActive", "boolean", default=True),
        _f("IsClosed", "boolean"), _f("IsWon", "boolean"), _f("SortOrder", "int", digits=_INT),
        _f("DefaultProbability", "percent", digits=(3, 0)), _f("ForecastCategory", "picklist", 40),
        _f("ForecastCategoryName", "picklist", 255), _f("Description", "string", 255),
    ]),
    ("Product2", "01t", "", [
        _f("Name", "string", 255, "qn"), _f("ProductCode", "string", 255), _f("StockKeepingUnit", "string", 180),
        _f("Description", "textarea", 4000, "l"), _f("Family", "picklist", 255), _f("IsActive", "boolean"),
        _f("QuantityUnitOfMeasure", "picklist", 255), _f("ExternalId", "string", 255), _f("DisplayUrl", "url", 1000),
    ]),
    ("Pricebook2", "01s", "", [
        _f("Name", "string", 255, "qn"), _f("Description", "string", 255), _f("IsActive", "boolean", default=True),
        _f("IsStandard", "boolean", 0, "r"),
    ]),
    ("PricebookEntry", "01u", "", [
        _f("Pricebook2Id", "reference", 0, "cqk", to="Pricebook2", children="PricebookEntries"),
        _f("Product2Id", "reference", 0, "cqk", to="Product2", children="PricebookEntries"),
        _f("Name", "string", 255, "rn"), _f("ProductCode", "string", 255, "r"), _f("UnitPrice", "currency", 0, "q"),
        _f("IsActive", "boolean"), _f("UseStandardPrice", "boolean"),
    ]),
    ("Task", "00T", "", [
        _f("Subject", "combobox", 255, "n"), _f("Status", "picklist", 255, "qd", default="Not Started"),
        _f("Priority", "picklist", 255, "qd", default="Normal"), _f("ActivityDate", "date"),
        _f("WhatId", "reference", 0, "k", to=("Account", "Opportunity", "Product2"), children="Tasks"),
        _f("WhoId", "reference", to="Contact", children="Tasks"), _f("OwnerId", "reference", 0, "qd", to="User"),
        _f("Description", "textarea", 32000, "l"), _f("IsClosed", "boolean", 0, "r"),
        _f("AccountId", "reference", 0, "r", to="Account"), _f("Type", "picklist", 40),
    ]),
    ("CurrencyType", "01L", "rs", [
        _f("IsoCode", "picklist", 3, "qn"), _f("ConversionRate", "double", digits=(18, 6)),
        _f("DecimalPlaces", "int", digits=_INT), _f("IsActive", "boolean", default=True), _f("IsCorporate", "boolean"),
    ]),
)  # fmt: skip

#: What an org may have beside: schedules of its deals' lines, and the managed package Salesforce CPQ (SBQQ).
FEATURES = ("schedules", "cpq")
SCHEDULE, QUOTE, QUOTE_LINE = "OpportunityLineItemSchedule", "SBQQ__Quote__c", "SBQQ__QuoteLine__c"
SUBSCRIPTION = "SBQQ__Subscription__c"
_FREQUENCIES = ("Monthly", "Quarterly", "Semiannual", "Annual", "Invoice Plan")

#: Feature -> objects, as in `_OBJECTS`.
_FEATURE_OBJECTS: Mapping[str, tuple[tuple[str, str, str, list[Field]], ...]] = {
    "schedules": (
        (SCHEDULE, "00o", "", [
            _f("OpportunityLineItemId", "reference", 0, "cqk", to="OpportunityLineItem",
               children="OpportunityLineItemSchedules"),
            _f("Type", "picklist", 40, "qsc", values=("Quantity", "Revenue", "Both")), _f("ScheduleDate", "date", 0, "q"),
            _f("Quantity", "double"), _f("Revenue", "currency"), _f("Description", "string", 80),
        ]),
    ),
    "cpq": (
        (QUOTE, "a0q", "", [
            _f("Name", "string", 80, "rn"), _f("OwnerId", "reference", 0, "qd", to="User"),
            _f("SBQQ__Opportunity2__c", "reference", to="Opportunity", children="SBQQ__Quotes2__r"),
            _f("SBQQ__Account__c", "reference", to="Account", children="SBQQ__Quotes__r"), _f("SBQQ__Primary__c", "boolean"),
            _f("SBQQ__Status__c", "picklist", 255, default="Draft", values=("Draft", "In Review", "Approved", "Denied",
               "Presented", "Accepted", "Rejected")),
            _f("SBQQ__Type__c", "picklist", 255, default="Quote", values=("Quote", "Amendment", "Renewal")),
            _f("SBQQ__NetAmount__c", "currency", 0, "r"), _f("SBQQ__CustomerAmount__c", "currency", 0, "r"),
            _f("SBQQ__PartnerAmount__c", "currency", 0, "r"), _f("SBQQ__AdditionalDiscountAmount__c", "currency"),
            _f("SBQQ__StartDate__c", "date"), _f("SBQQ__EndDate__c", "date"), _f("SBQQ__SubscriptionTerm__c", "double"),
            _f("SBQQ__BillingFrequency__c", "picklist", 255, values=_FREQUENCIES),
            _f("SBQQ__PaymentTerms__c", "picklist", 255), _f("SBQQ__PrimaryContact__c", "reference", to="Contact"),
            *(_f(f"SBQQ__Billing{part}__c", "string", 255) for part in ("Name", "Street", "City", "State", "PostalCode",
                                                                        "Country")),
            _f("SBQQ__MasterContract__c", "reference", to="Contract", children="SBQQ__Quotes__r"),
        ]),
        (QUOTE_LINE, "a0n", "", [
            _f("Name", "string", 80, "rn"),
            _f("SBQQ__Quote__c", "reference", 0, "cqk", to=QUOTE, children="SBQQ__LineItems__r"),
            _f("SBQQ__Number__c", "double", digits=(18, 0)), _f("SBQQ__Product__c", "reference", to="Product2"),
            _f("SBQQ__ProductCode__c", "string", 255, "r"), _f("SBQQ__ProductName__c", "string", 255, "r"),
            _f("SBQQ__Description__c", "textarea", 32000, "l"), _f("SBQQ__Quantity__c", "double", digits=(12, 2)),
            _f("SBQQ__EffectiveQuantity__c", "double", 0, "r", digits=(12, 2)), _f("SBQQ__ListPrice__c", "currency"),
            _f("SBQQ__NetPrice__c", "currency", digits=(18, 8)), _f("SBQQ__NetTotal__c", "currency", 0, "r"),
            _f("SBQQ__CustomerTotal__c", "currency", 0, "r"), _f("SBQQ__PartnerTotal__c", "currency", 0, "r"),
            _f("SBQQ__ProrateMultiplier__c", "double", digits=(18, 4)),
            _f("SBQQ__SubscriptionPricing__c", "picklist", 255, values=("Fixed Price", "Percent Of Total")),
            _f("SBQQ__SubscriptionType__c", "picklist", 255, values=("Renewable", "One-time", "Evergreen")),
            _f("SBQQ__SubscriptionTerm__c", "double"), _f("SBQQ__DefaultSubscriptionTerm__c", "double"),
            _f("SBQQ__ChargeType__c", "picklist", 255, values=("One-Time", "Recurring", "Usage")),
            _f("SBQQ__BillingType__c", "picklist", 255, values=("Advance", "Arrears")),
            _f("SBQQ__BillingFrequency__c", "picklist", 255, values=_FREQUENCIES),
            _f("SBQQ__StartDate__c", "date"), _f("SBQQ__EndDate__c", "date"),
            _f("SBQQ__EffectiveStartDate__c", "date", 0, "r"), _f("SBQQ__EffectiveEndDate__c", "date", 0, "r"),
            _f("SBQQ__Bundle__c", "boolean"), _f("SBQQ__Bundled__c", "boolean"), _f("SBQQ__Optional__c", "boolean"),
            _f("SBQQ__RequiredBy__c", "reference", to=QUOTE_LINE),
        ]),
        ("Contract", "800", "", [
            _f("ContractNumber", "string", 30, "rn"), _f("AccountId", "reference", 0, "q", to="Account", children="Contracts"),
            _f("OwnerId", "reference", 0, "qd", to="User"), _f("StartDate", "date"), _f("ContractTerm", "int", digits=_INT),
            _f("Status", "picklist", 40, default="Draft", values=("Draft", "In Approval Process", "Activated")),
            _f("SBQQ__Opportunity__c", "reference", to="Opportunity", children="SBQQ__Contracts__r"),
        ]),
        (SUBSCRIPTION, "a0z", "", [
            _f("Name", "string", 80, "rn"),
            _f("SBQQ__Contract__c", "reference", to="Contract", children="SBQQ__Subscriptions__r"),
            _f("SBQQ__Account__c", "reference", to="Account"), _f("SBQQ__QuoteLine__c", "reference", to=QUOTE_LINE),
            _f("SBQQ__Product__c", "reference", to="Product2"), _f("SBQQ__Quantity__c", "double", digits=(12, 2)),
            _f("SBQQ__NetPrice__c", "currency", digits=(18, 8)), _f("SBQQ__TerminatedDate__c", "date"),
        ]),
    ),
}  # fmt: skip
#: Feature -> fields that it adds to objects that every org has.
_FEATURE_FIELDS: Mapping[str, Mapping[str, list[Field]]] = {
    "schedules": {},
    "cpq": {
        "Opportunity": [
            _f("SBQQ__PrimaryQuote__c", "reference", to=QUOTE),
            _f("SBQQ__Contracted__c", "boolean"),
        ],
        "OpportunityLineItem": [_f("SBQQ__QuoteLine__c", "reference", to=QUOTE_LINE)],
    },
}

#: Objects that carry `CurrencyIsoCode` in an org with several currencies.
CURRENCY_OBJECTS = frozenset(
    {"Account", "Contact", "Opportunity", "OpportunityLineItem", "OpportunityHistory", "Product2", "Pricebook2",
     "PricebookEntry", "Task", SCHEDULE, QUOTE, QUOTE_LINE, SUBSCRIPTION}
)  # fmt: skip


def _currency_field(object_name: str) -> Field:
    read_only = ("OpportunityLineItem", "OpportunityHistory", SCHEDULE)
    flags = "r" if object_name in read_only else "c" if object_name == "PricebookEntry" else ""
    return _f("CurrencyIsoCode", "picklist", 3, flags + "d")


def build_schema(
    *,
    multi_currency: bool,
    hidden_objects: Collection[str] = (),
    hidden_fields: Mapping[str, Collection[str]] | None = None,
    features: Collection[str] = (),
) -> Schema:
    """What the integration user sees: the whole org with its features (see `FEATURES`), without `CurrencyType` and
    `CurrencyIsoCode` in an org with one currency, without the hidden objects, and without the hidden fields
    (object -> names)."""
    hidden_fields = hidden_fields or {}
    present = [feature for feature in FEATURES if feature in features]
    objects = [*_OBJECTS, *(item for feature in present for item in _FEATURE_OBJECTS[feature])]
    fields_of: dict[str, dict[str, Field]] = {}
    for name, _prefix, flags, own in objects:
        fields = [*own, *(item for feature in present for item in _FEATURE_FIELDS[feature].get(name, ()))]
        if name in hidden_objects or (name == "CurrencyType" and not multi_currency):
            continue
        every = [_f("Id", "id", 0, "rqd"), *fields]
        if multi_currency and name in CURRENCY_OBJECTS:
            every.append(_currency_field(name))
        if name != "OpportunityHistory":
            every += _system(deleted="s" not in flags)
        unseen = {item.lower() for item in hidden_fields.get(name, ())}
        fields_of[name] = {item.name.lower(): item for item in every if item.name.lower() not in unseen}
    children: dict[str, list[ChildRelationship]] = {name: [] for name in fields_of}
    for name, visible in fields_of.items():
        for item in visible.values():
            for target in item.reference_to:
                if target in children:
                    children[target].append(ChildRelationship(name, item.name, item.children_name, item.cascade))
    types = {}
    for name, prefix, flags, _fields in objects:
        if name in fields_of:
            types[name.lower()] = SObjectType(
                name=name,
                key_prefix=prefix,
                fields=fields_of[name],
                writable="r" not in flags,
                deletable=name != "User",
                has_bin="b" not in flags,
                children=tuple(children[name]),
                relationships={
                    item.relationship_name.lower(): item for item in fields_of[name].values() if item.relationship_name
                },
            )
    return Schema(types)
