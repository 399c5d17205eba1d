"""The records of the sandbox's Salesforce org: what may be written, what Salesforce works out by itself, and deletion.

Belongs here: record rules, derived fields, stamps, the bin, and raw seeding. Does not belong here: HTTP or SOQL.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.salesforce import subscriptions
from qbsf_pipeline.sandbox.salesforce.schema import (
    CURRENCY_OBJECTS,
    FEATURES,
    NUMBER_TYPES,
    QUOTE,
    QUOTE_LINE,
    SCHEDULE,
    STANDARD_STAGES,
    TEXT_TYPES,
    ApiError,
    Field,
    Schema,
    SObjectType,
    build_schema,
    make_id,
    to18,
)
from qbsf_pipeline.sandbox.salesforce.soql import wire_datetime
from qbsf_pipeline.sandbox.store import Documents, Store

HIDDEN = "salesforce:hidden"
ENABLED = "salesforce:features"
BEHAVIOUR = "salesforce:behaviour"
DELETED = "salesforce:deleted"
_RECORDS = "salesforce."

INTEGRATION_USERNAME = "integration@qbsf-sandbox.example"
ADMINISTRATOR_USERNAME = "administrator@qbsf-sandbox.example"

#: Fields by which a raw record without an id is recognised as one that exists already.
_NATURAL_KEYS = {"OpportunityStage": "ApiName", "User": "Username", "CurrencyType": "IsoCode"}
#: Written without being asked, and accepted from a client without effect.
_STAMPS = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")
_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;.]+")


@dataclass(frozen=True)
class SalesforceOptions:
    """How the sandbox's org is set up. `public_key` (PEM) makes it check the signature of JWT bearer assertions."""

    client_id: str = "qbsf-sandbox-client"
    client_secret: str = "qbsf-sandbox-secret"
    username: str = INTEGRATION_USERNAME
    public_key: str | None = None
    org_name: str = "Sandbox Company"
    currency: str = "USD"
    multi_currency: bool = False
    session_idle_minutes: int = 120
    daily_api_requests: int = 100_000
    shuffle_seed: int = 1
    child_page_size: int = 250


@dataclass
class _Index:
    """Field value -> ids, for one field of one object."""

    ids: dict[Any, dict[str, None]] = field(default_factory=dict)
    size: int = 0


@dataclass(frozen=True)
class Saved:
    """What a write did."""

    id: str
    created: bool


class Org:
    """The records of one store, with their rules. One per store: see :func:`org_of`."""

    def __init__(self, store: Store, clock: Clock, options: SalesforceOptions) -> None:
        self._store = weakref.ref(store)
        self.clock = clock
        self.options = options
        self._schemas: dict[str, Schema] = {}
        self._indexes: dict[tuple[str, str], _Index] = {}
        self._journal: list[tuple[str, str, dict[str, Any] | None]] = []
        #: Everything there is, whatever is hidden: rules and seeding use it.
        self.full_schema = build_schema(multi_currency=True, features=FEATURES)
        self.api_calls = 0
        self.queries = 0

    # where things are

    @property
    def store(self) -> Store:
        """The store behind it."""
        store = self._store()
        if store is None:
            raise RuntimeError("the store of this org is gone")
        return store

    @property
    def multi_currency(self) -> bool:
        """Whether records carry `CurrencyIsoCode`."""
        return self.options.multi_currency

    @property
    def schema(self) -> Schema:
        """What the integration user sees now."""
        hidden = self.store.documents(HIDDEN)
        key = repr(sorted((name, sorted(doc["fields"]), doc["object"]) for name, doc in hidden.items()))
        features = [name for name, doc in self.store.documents(ENABLED).items() if doc["enabled"]]
        key += str(self.options.multi_currency) + repr(sorted(features))
        found = self._schemas.get(key)
        if found is None:
            found = self._schemas[key] = build_schema(
                multi_currency=self.options.multi_currency,
                hidden_objects=[name for name, doc in hidden.items() if doc["object"]],
                hidden_fields={name: doc["fields"] for name, doc in hidden.items()},
                features=features,
            )
        return found

    def documents(self, type_name: str) -> Documents:
        """All records of an object, deleted ones too, by 18-character id."""
        return self.store.documents(_RECORDS + type_name)

    def now(self) -> datetime:
        """The org's clock."""
        return self.clock.now()

    def stamp(self) -> str:
        """Now, at the second: the precision of Salesforce's own stamps."""
        return wire_datetime(self.now().replace(microsecond=0))

    def new_id(self, type_name: str) -> str:
        """The next free id of an object."""
        prefix = self.full_schema.type(type_name).key_prefix
        documents = self.documents(type_name)
        while True:
            found = make_id(prefix, self.store.next_number(f"salesforce.{type_name}", start=917))
            if found not in documents:
                return found

    def _index(self, type_name: str, field_name: str) -> _Index:
        documents = self.documents(type_name)
        index = self._indexes.get((type_name, field_name))
        if index is None or index.size != len(documents):
            index = self._indexes[type_name, field_name] = _Index(size=len(documents))
            for record_id, doc in documents.items():
                index.ids.setdefault(_index_key(doc.get(field_name)), {})[record_id] = None
        return index

    def children(self, type_name: str, field_name: str, value: str) -> list[str]:
        """Ids of the records of `type_name` whose `field_name` holds that id, deleted ones too."""
        return list(self._index(type_name, field_name).ids.get(_index_key(value), ()))

    def with_value(self, type_name: str, field_name: str, value: str) -> list[str]:
        """Ids of the records, not deleted, whose text field holds that value, whatever its case."""
        documents = self.documents(type_name)
        found = self._index(type_name, field_name).ids.get(_index_key(value), ())
        return [record_id for record_id in found if not documents[record_id].get("IsDeleted")]

    def put(self, type_name: str, doc: dict[str, Any]) -> None:
        """Keep a record. Never change one in place: put a new dict."""
        documents = self.documents(type_name)
        record_id = doc["Id"]
        old = documents.get(record_id)
        self._journal.append((type_name, record_id, old))
        self._keep(type_name, record_id, old, doc)

    def drop(self, type_name: str, record_id: str) -> None:
        """Take a record out for good, past the bin."""
        old = self.documents(type_name)[record_id]
        self._journal.append((type_name, record_id, old))
        self._keep(type_name, record_id, old, None)

    def _keep(self, type_name: str, record_id: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        documents = self.documents(type_name)
        mine = [(name, index) for (owner, name), index in self._indexes.items() if owner == type_name]
        for name, index in mine:
            if index.size != len(documents):
                del self._indexes[type_name, name]  # the store was changed behind our back: build it again when asked
                continue
            before, after = _index_key((old or {}).get(name)), _index_key((new or {}).get(name))
            if old is None or new is None or before != after:
                if old is not None:
                    index.ids.get(before, {}).pop(record_id, None)
                if new is not None:
                    index.ids.setdefault(after, {})[record_id] = None
            index.size += (old is None) - (new is None)
        if new is not None:
            documents[record_id] = new
        else:
            del documents[record_id]

    def savepoint(self) -> int:
        """A place to come back to with `rollback`."""
        return len(self._journal)

    def rollback(self, savepoint: int) -> None:
        """Undo every write since."""
        while len(self._journal) > savepoint:
            type_name, record_id, before = self._journal.pop()
            if type_name == DELETED:
                self.store.documents(DELETED).pop(record_id, None)
                continue
            current = self.documents(type_name).get(record_id)
            if current is not None or before is not None:
                self._keep(type_name, record_id, current, before)

    def forget_journal(self) -> None:
        """The request is over: nothing before this can be undone."""
        self._journal.clear()

    def prepare(self) -> None:
        """Make what every org has from its first day (organization, integration user, stages, standard price book),
        where it is missing."""
        self.administrator()
        self.integration_user()
        if not len(self.documents("Organization")):
            self._put_raw("Organization", {
                "Name": self.options.org_name, "InstanceName": "SBX1", "OrganizationType": "Enterprise Edition",
                "DefaultLocaleSidKey": "en_US", "LanguageLocaleKey": "en_US", "TimeZoneSidKey": "America/Los_Angeles",
                "FiscalYearStartMonth": 1, "DefaultCurrencyIsoCode": self.options.currency,
            })  # fmt: skip
        if not len(self.documents("OpportunityStage")):
            for place, (name, closed, won, probability, forecast) in enumerate(STANDARD_STAGES, start=1):
                self._put_raw("OpportunityStage", {
                    "ApiName": name, "MasterLabel": name, "IsActive": True, "IsClosed": closed, "IsWon": won,
                    "SortOrder": place, "DefaultProbability": probability, "ForecastCategoryName": forecast,
                    "ForecastCategory": "Omitted" if forecast == "Omitted" else forecast,
                })  # fmt: skip
        if not len(self.documents("Pricebook2")):
            self._put_raw("Pricebook2", {"Name": "Standard Price Book", "IsActive": True, "IsStandard": True})
        if self.options.multi_currency and not len(self.documents("CurrencyType")):
            self._put_raw("CurrencyType", {
                "IsoCode": self.options.currency, "ConversionRate": 1, "DecimalPlaces": 2, "IsActive": True,
                "IsCorporate": True,
            })  # fmt: skip

    @property
    def organization_id(self) -> str:
        """The org's 00D id."""
        return next(iter(self.documents("Organization")))

    def integration_user(self) -> str:
        """The id of the user the API client acts as; made where missing."""
        found = self.with_value("User", "Username", self.options.username)
        if found:
            return found[0]
        return self._put_raw("User", {
            "Username": self.options.username, "LastName": "Integration", "FirstName": "Billing",
            "Email": self.options.username, "IsActive": True, "Alias": "billing",
            "TimeZoneSidKey": "America/Los_Angeles", "UserType": "Standard",
        })  # fmt: skip

    def administrator(self) -> str:
        """The id of the user raw records and control calls act as, so that they never look like the client's writes."""
        found = self.with_value("User", "Username", ADMINISTRATOR_USERNAME)
        if found:
            return found[0]
        return self._put_raw("User", {
            "Username": ADMINISTRATOR_USERNAME, "LastName": "Administrator", "FirstName": "Org",
            "Email": ADMINISTRATOR_USERNAME, "IsActive": True, "Alias": "admin",
            "TimeZoneSidKey": "America/Los_Angeles", "UserType": "Standard",
        })  # fmt: skip

    # reading a body

    def read_body(self, entity: SObjectType, body: Mapping[str, Any], *, creating: bool) -> dict[str, Any]:
        """The body's values by field name, in the form documents keep; lookups by external id stay as dicts.

        Raises:
            ApiError: `INVALID_FIELD` for an unknown name, `JSON_PARSER_ERROR` for a value of another type: what
                Salesforce finds before it looks at any record (`request_level`).
        """
        values: dict[str, Any] = {}
        for name, value in body.items():
            if name == "attributes":
                continue
            if name.lower() == "id":
                message = "The Id field should not be specified in the sobject data."
                raise ApiError("INVALID_FIELD", message, fields=["Id"], request_level=True)
            found = entity.find(name)
            if found is None:
                by_relationship = entity.relationships.get(name.lower())
                if by_relationship is not None and isinstance(value, dict):
                    values[by_relationship.name] = value
                    continue
                message = f"No such column '{name}' on sobject of type {entity.name}"
                raise ApiError("INVALID_FIELD", message, request_level=True)
            values[found.name] = _from_json(found, value)
        return values

    def check_values(self, entity: SObjectType, values: dict[str, Any], *, creating: bool, own_id: str | None) -> dict[str, Any]:
        """The values after the rules that concern one field: read-only, length, range, picklist, lookups, unique.

        Raises:
            ApiError: the first rule that is broken.
        """
        locked = [
            name for name in values if (found := entity.find(name)) and not (found.createable if creating else found.updateable)
        ]
        locked += [name for name in self._read_only(entity.name) if name in values]
        if locked:
            raise ApiError(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {', '.join(locked)}. Please check the security settings of this field and "
                "verify that it is read/write for your profile or permission set.",
                fields=locked,
            )
        checked = {}
        for name, value in values.items():
            found = entity.fields[name.lower()]
            checked[name] = self._check_value(entity, found, value, own_id)
        missing = [
            item.name
            for item in entity.fields.values()
            if (item.required and creating and checked.get(item.name) is None)
            or (not creating and not item.nillable and item.name in checked and checked[item.name] is None)
        ]
        if missing:
            message = f"Required fields are missing: [{', '.join(missing)}]"
            raise ApiError("REQUIRED_FIELD_MISSING", message, fields=missing)
        return checked

    def _read_only(self, type_name: str) -> list[str]:
        rules = self.store.documents(BEHAVIOUR).get("read_only", {}).get("fields", [])
        return [rule["field"] for rule in rules if rule["type"] == type_name]

    def _check_value(self, entity: SObjectType, found: Field, value: Any, own_id: str | None) -> Any:
        if value is None:
            return None
        if found.type == "reference":
            return self._check_reference(found, value)
        if found.type in TEXT_TYPES:
            if found.length and len(value) > found.length:
                shown = value[:200]
                message = f"{found.label}: data value too large: {shown} (max length={found.length})"
                raise ApiError("STRING_TOO_LONG", message, fields=[found.name])
            if found.restricted and value not in found.values:
                message = f"{found.label}: bad value for restricted picklist field: {value}"
                raise ApiError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, fields=[found.name])
            if found.type == "email" and not _EMAIL.fullmatch(value):
                message = f"{found.label}: invalid email address: {value}"
                raise ApiError("INVALID_EMAIL_ADDRESS", message, fields=[found.name])
        elif found.type in NUMBER_TYPES:
            value = _rounded(value, found.scale)
            if abs(value) >= Decimal(10) ** (found.precision - min(found.scale, 2)):
                message = f"{found.label}: value outside of valid range on numeric field: {value}"
                raise ApiError("NUMBER_OUTSIDE_VALID_RANGE", message, fields=[found.name])
            if found.type == "int":
                value = int(value)
        if found.unique:
            for other in self.with_value(entity.name, found.name, value):
                if other != own_id:
                    message = f"duplicate value found: {found.name} duplicates value on record with id: {other[:15]}"
                    raise ApiError("DUPLICATE_VALUE", message, fields=[found.name])
        return value

    def _check_reference(self, found: Field, value: Any) -> str:
        if isinstance(value, dict):
            return self._by_external_id(found, value)
        try:
            record_id = to18(value)
        except ApiError as error:
            message = f"{found.label} ID: id value of incorrect type: {value}"
            raise ApiError("MALFORMED_ID", message, fields=[found.name]) from error
        targets = [self.full_schema.type(name) for name in found.reference_to]
        target = next((item for item in targets if item.key_prefix == record_id[:3]), None)
        if target is None:
            message = f"{found.label} ID: id value of incorrect type: {value}"
            raise ApiError("MALFORMED_ID", message, fields=[found.name])
        doc = self.documents(target.name).get(record_id)
        if doc is None:
            raise ApiError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", fields=[found.name])
        if doc.get("IsDeleted"):
            raise ApiError("ENTITY_IS_DELETED", "entity is deleted", fields=[found.name])
        if found.name == "OwnerId" and doc.get("IsActive") is False:
            message = f"operation performed with inactive user [{record_id[:15]}] as owner of the record"
            raise ApiError("INACTIVE_OWNER_OR_USER", message, fields=[found.name])
        return record_id

    def _by_external_id(self, found: Field, value: dict[str, Any]) -> str:
        pairs = [(name, item) for name, item in value.items() if name != "attributes"]
        target = self.schema.type(found.reference_to[0])
        if len(pairs) == 1:
            key = target.find(pairs[0][0])
            if key is not None and key.external_id and isinstance(pairs[0][1], str):
                ids = self.with_value(target.name, key.name, pairs[0][1])
                if len(ids) == 1:
                    return ids[0]
                message = f"Foreign key external ID: {pairs[0][1]} not found for field {key.name} in entity {target.name}"
                raise ApiError("INVALID_FIELD", message)
        message = f"Field name provided, {pairs[0][0] if pairs else ''} is not an External ID or indexed field for {target.name}"
        raise ApiError("INVALID_FIELD", message)

    # writing through the rules

    def create(self, entity: SObjectType, values: dict[str, Any], author: str) -> Saved:
        """Create a record of values that `read_body` gave.

        Raises:
            ApiError: the first rule that is broken; nothing is written then.
        """
        if not entity.writable:
            raise ApiError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be inserted: {entity.name}")
        checked = self.check_values(entity, values, creating=True, own_id=None)
        doc: dict[str, Any] = {"Id": self.new_id(entity.name), "IsDeleted": False}
        for item in self.full_schema.type(entity.name).fields.values():
            doc.setdefault(item.name, item.default)
        doc |= checked
        now = self.stamp()
        doc |= {"CreatedDate": now, "CreatedById": author}
        doc = self._stamped(doc, now, author)
        if "OwnerId" in doc and doc["OwnerId"] is None:
            doc["OwnerId"] = author
        self._knobs(entity, doc, values)
        doc = self._complete(entity.name, None, doc, checked, raw=False)
        self.put(entity.name, doc)
        self._after(entity.name, None, doc, now, author)
        return Saved(doc["Id"], created=True)

    def update(self, entity: SObjectType, record_id: str, values: dict[str, Any], author: str) -> Saved:
        """Change a record by values that `read_body` gave. A write of the same values counts as a write.

        Raises:
            ApiError: `NOT_FOUND` (404), `ENTITY_IS_DELETED` (404), or the first rule that is broken.
        """
        if not entity.writable:
            raise ApiError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type cannot be updated: {entity.name}")
        old = self.live(entity, record_id)
        checked = self.check_values(entity, values, creating=False, own_id=record_id)
        self._knobs(entity, old, values)
        now = self.stamp()
        doc = self._complete(entity.name, old, self._stamped({**old, **checked}, now, author), checked, raw=False)
        self.put(entity.name, doc)
        self._after(entity.name, old, doc, now, author)
        return Saved(record_id, created=False)

    def delete(self, entity: SObjectType, record_id: str, author: str) -> None:
        """Put a record and what hangs on it into the bin; a line of an opportunity is gone for good.

        Raises:
            ApiError: `NOT_FOUND` (404), `ENTITY_IS_DELETED` (404), `INSUFFICIENT_ACCESS_OR_READONLY`, a lock.
        """
        if not entity.writable or not entity.deletable:
            message = f"entity type cannot be deleted: {entity.name}"
            raise ApiError("INSUFFICIENT_ACCESS_OR_READONLY", message)
        old = self.live(entity, record_id)
        self._knobs(entity, old, {})
        now = self.stamp()
        self.bury(entity, old, now, author)

    def live(self, entity: SObjectType, record_id: str) -> dict[str, Any]:
        """The record.

        Raises:
            ApiError: `NOT_FOUND` or `ENTITY_IS_DELETED`, both 404.
        """
        doc = self.documents(entity.name).get(record_id)
        if doc is None:
            raise ApiError("NOT_FOUND", "The requested resource does not exist", status=404)
        if doc.get("IsDeleted"):
            raise ApiError("ENTITY_IS_DELETED", "entity is deleted", status=404)
        return doc

    def bury(self, entity: SObjectType, doc: dict[str, Any], now: str, author: str) -> None:
        """Delete a record and what hangs on it, and bring in line what stands above it."""
        self._bury(entity, doc, now, author, directly=True)
        if entity.name == "OpportunityLineItem":
            self.total(doc["OpportunityId"], now, author, touch=True)
        else:
            subscriptions.follow(self, entity.name, {**doc, "IsDeleted": True}, now, author)

    def _bury(self, entity: SObjectType, doc: dict[str, Any], now: str, author: str, *, directly: bool) -> None:
        for child in entity.children:
            if child.cascade:
                kind = self.full_schema.type(child.child)
                for child_id in self.children(child.child, child.field, doc["Id"]):
                    below = self.documents(child.child)[child_id]
                    if not below.get("IsDeleted"):
                        self._bury(kind, below, now, author, directly=False)
        if directly and not entity.has_bin:
            self.drop(entity.name, doc["Id"])
        else:
            self.put(entity.name, self._stamped({**doc, "IsDeleted": True}, now, author))
        key = f"{self.store.next_number('salesforce.deletions'):012d}"
        self.store.documents(DELETED)[key] = {"type": entity.name, "id": doc["Id"], "deletedDate": now}
        self._journal.append((DELETED, key, None))

    def _stamped(self, doc: dict[str, Any], now: str, author: str) -> dict[str, Any]:
        return {**doc, "LastModifiedDate": now, "LastModifiedById": author, "SystemModstamp": now}

    # knobs of the test

    def _knobs(self, entity: SObjectType, doc: dict[str, Any], values: Mapping[str, Any]) -> None:
        behaviour = self.store.documents(BEHAVIOUR)
        lock = behaviour.get("lock_account")
        if lock is not None and lock["times"] > 0 and lock["account_id"] in self._accounts_of(entity.name, doc, values):
            behaviour["lock_account"] = {**lock, "times": lock["times"] - 1}
            message = f"unable to obtain exclusive access to this record or 1 records: {lock['account_id']}"
            raise ApiError("UNABLE_TO_LOCK_ROW", message)
        for key, rule in list(behaviour.items()):
            if not key.startswith("validation_rule") or rule["type"] != entity.name or rule.get("times") == 0:
                continue
            if rule.get("field") is None or rule["field"] in values:
                if rule.get("times") is not None:
                    behaviour[key] = {**rule, "times": rule["times"] - 1}
                fields = [rule["field"]] if rule.get("field") else []
                raise ApiError("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule["text"], fields=fields)

    def _accounts_of(self, type_name: str, doc: dict[str, Any], values: Mapping[str, Any]) -> set[Any]:
        if type_name == "Account":
            return {doc["Id"]}
        found = {doc.get("AccountId"), values.get("AccountId")}
        if opportunity_id := doc.get("OpportunityId"):
            opportunity = self.documents("Opportunity").get(opportunity_id, {})
            found.add(opportunity.get("AccountId"))
        return found

    # what Salesforce works out

    def _complete(
        self, type_name: str, old: dict[str, Any] | None, doc: dict[str, Any], given: Mapping[str, Any], *, raw: bool
    ) -> dict[str, Any]:
        """The record with its derived fields. `given` is what the write says; a raw write may say derived fields too."""
        if type_name == "Opportunity":
            doc = self._complete_opportunity(old, doc, given, raw=raw)
        elif type_name == "OpportunityLineItem":
            doc = self._complete_line(old, doc, given, raw=raw)
            doc = doc if raw else subscriptions.keep_scheduled(old, doc)
        elif type_name in ("Contact", "User") and not (raw and "Name" in given):
            doc["Name"] = " ".join(part for part in (doc.get("FirstName"), doc.get("LastName")) if part) or None
        elif type_name == "PricebookEntry":
            product = self.documents("Product2").get(doc.get("Product2Id") or "", {})
            doc["Name"], doc["ProductCode"] = product.get("Name"), product.get("ProductCode")
        elif type_name == "Task":
            doc["IsClosed"] = doc.get("Status") == "Completed"
            doc["AccountId"] = self._account_of_task(doc)
        elif type_name in subscriptions.NUMBERED:
            doc = subscriptions.complete(self, type_name, doc, given if raw else {})
        if type_name in CURRENCY_OBJECTS and doc.get("CurrencyIsoCode") is None:
            doc["CurrencyIsoCode"] = self._currency_of(type_name, doc)
        return doc

    def _currency_of(self, type_name: str, doc: dict[str, Any]) -> str:
        if type_name in ("OpportunityLineItem", "OpportunityHistory", SCHEDULE, QUOTE, QUOTE_LINE):
            line = self.documents("OpportunityLineItem").get(doc.get("OpportunityLineItemId") or "", {})
            quote = self.documents(QUOTE).get(doc.get("SBQQ__Quote__c") or "", {})
            deals = (found.get("OpportunityId") or found.get("SBQQ__Opportunity2__c") for found in (doc, line, quote))
            opportunity = self.documents("Opportunity").get(next((deal for deal in deals if deal), ""), {})
            if opportunity.get("CurrencyIsoCode"):
                return str(opportunity["CurrencyIsoCode"])
        return self.options.currency

    def _account_of_task(self, doc: dict[str, Any]) -> str | None:
        what = doc.get("WhatId") or ""
        if what.startswith("001"):
            return str(what)
        if what.startswith("006"):
            account = self.documents("Opportunity").get(what, {}).get("AccountId")
        else:
            account = self.documents("Contact").get(doc.get("WhoId") or "", {}).get("AccountId")
        return str(account) if account else None

    def _complete_opportunity(
        self, old: dict[str, Any] | None, doc: dict[str, Any], given: Mapping[str, Any], *, raw: bool
    ) -> dict[str, Any]:
        has_lines = bool(old and old.get("HasOpportunityLineItem"))
        if has_lines and old is not None and not raw:
            doc["Amount"] = old.get("Amount")  # written without complaint and without effect
            for name in ("Pricebook2Id", "CurrencyIsoCode"):
                if name in given and given[name] != old.get(name):
                    message = f"field integrity exception: {name} (cannot be changed while the opportunity has products)"
                    raise ApiError("FIELD_INTEGRITY_EXCEPTION", message, fields=[name])
        stages = self.with_value("OpportunityStage", "ApiName", doc.get("StageName") or "")
        stage = self.documents("OpportunityStage")[stages[0]] if stages else {}
        changed = old is None or old.get("StageName") != doc.get("StageName")
        if not (raw and "IsWon" in given):
            doc["IsWon"] = bool(stage.get("IsWon"))
        if not (raw and "IsClosed" in given):
            doc["IsClosed"] = bool(stage.get("IsClosed"))
        if changed:
            if given.get("Probability") is None:
                doc["Probability"] = _wire_number(stage.get("DefaultProbability") or 0)
            if given.get("ForecastCategoryName") is None:
                doc["ForecastCategoryName"] = stage.get("ForecastCategoryName") or "Pipeline"
            doc["ForecastCategory"] = stage.get("ForecastCategory") or "Pipeline"
            if old is not None and not (raw and "LastStageChangeDate" in given):
                doc["LastStageChangeDate"] = doc["LastModifiedDate"]
        amount, probability = doc.get("Amount"), doc.get("Probability")
        doc["ExpectedRevenue"] = None if amount is None else _rounded(amount * Decimal(probability or 0) / 100, 2)
        if doc.get("CloseDate"):
            closing = date.fromisoformat(doc["CloseDate"])
            doc["FiscalYear"], doc["FiscalQuarter"] = closing.year, (closing.month + 2) // 3
            doc["Fiscal"] = f"{doc['FiscalYear']} {doc['FiscalQuarter']}"
        doc["HasOpportunityLineItem"] = has_lines if not (raw and given.get("HasOpportunityLineItem")) else True
        return doc

    def _complete_line(
        self, old: dict[str, Any] | None, doc: dict[str, Any], given: Mapping[str, Any], *, raw: bool
    ) -> dict[str, Any]:
        opportunity = self.documents("Opportunity").get(doc.get("OpportunityId") or "", {})
        if old is None:
            entry = self._price_book_entry(doc, opportunity, raw=raw)
            if entry is not None:
                doc["PricebookEntryId"], doc["Product2Id"] = entry["Id"], entry["Product2Id"]
                if doc.get("ListPrice") is None:
                    doc["ListPrice"] = entry.get("UnitPrice")
                if not opportunity.get("Pricebook2Id") and opportunity:
                    opportunity = {**opportunity, "Pricebook2Id": entry["Pricebook2Id"]}
                    self.put("Opportunity", opportunity)
        product = self.documents("Product2").get(doc.get("Product2Id") or "", {})
        for name, value in (
            ("ProductCode", product.get("ProductCode")),
            ("Name", f"{opportunity.get('Name') or ''} {product.get('Name') or ''}".strip() or None),
        ):
            if old is None and not (raw and name in given):
                doc[name] = value
        for name in ("HasQuantitySchedule", "HasRevenueSchedule", "HasSchedule"):
            doc[name] = bool(doc.get(name))
        return self._price_line(old, doc, given, raw=raw)

    def _price_book_entry(self, doc: dict[str, Any], opportunity: dict[str, Any], *, raw: bool) -> dict[str, Any] | None:
        entries = self.documents("PricebookEntry")
        if doc.get("PricebookEntryId"):
            entry = entries.get(doc["PricebookEntryId"])
            book = opportunity.get("Pricebook2Id")
            if entry is not None and book and entry.get("Pricebook2Id") != book and not raw:
                message = "field integrity exception: PricebookEntryId (pricebook entry is not in the opportunity's price book)"
                raise ApiError("FIELD_INTEGRITY_EXCEPTION", message, fields=["PricebookEntryId"])
            return entry
        if doc.get("Product2Id"):
            for entry_id in self.children("PricebookEntry", "Product2Id", doc["Product2Id"]):
                entry = entries[entry_id]
                if not entry.get("IsDeleted") and opportunity.get("Pricebook2Id") in (None, entry.get("Pricebook2Id")):
                    return entry
        if raw:
            return None
        raise ApiError("REQUIRED_FIELD_MISSING", "Required fields are missing: [PricebookEntryId]", fields=["PricebookEntryId"])

    def _price_line(
        self, old: dict[str, Any] | None, doc: dict[str, Any], given: Mapping[str, Any], *, raw: bool
    ) -> dict[str, Any]:
        """UnitPrice, TotalPrice and Subtotal after the object reference: TotalPrice is what counts; a new quantity alone
        keeps it and works out the unit price, a new discount or unit price works it out."""
        quantity = doc.get("Quantity")
        share = 1 - Decimal(doc.get("Discount") or 0) / 100
        said = {name for name in ("UnitPrice", "TotalPrice") if given.get(name) is not None}
        if not raw:
            if quantity is not None and quantity == 0:
                message = "Quantity: quantity must be nonzero"
                raise ApiError("FIELD_INTEGRITY_EXCEPTION", message, fields=["Quantity"])
            if len(said) == 2:
                message = "field integrity exception: UnitPrice, TotalPrice (specify either unit price or total price)"
                raise ApiError("FIELD_INTEGRITY_EXCEPTION", message, fields=["UnitPrice", "TotalPrice"])
            if old is None and not said:
                message = "field integrity exception: UnitPrice (unit price must be specified if total price is not)"
                raise ApiError("FIELD_INTEGRITY_EXCEPTION", message, fields=["UnitPrice"])
        if quantity is not None and said != {"UnitPrice", "TotalPrice"}:
            keeps_total = "TotalPrice" in said or (
                old is not None and not said and "Quantity" in given and "Discount" not in given
            )
            total, price = doc.get("TotalPrice"), doc.get("UnitPrice")
            if keeps_total and total is not None and quantity and share:
                doc["UnitPrice"] = _rounded(total / quantity / share, 2)
            elif price is not None and (said or "Discount" in given or old is None):
                doc["TotalPrice"] = _rounded(price * quantity * share, 2)
        if quantity is not None and doc.get("UnitPrice") is not None and not (raw and "Subtotal" in given):
            doc["Subtotal"] = _rounded(doc["UnitPrice"] * quantity, 2)
        return doc

    def _after(self, type_name: str, old: dict[str, Any] | None, doc: dict[str, Any], now: str, author: str) -> None:
        """What a write does to other records."""
        if type_name == "OpportunityLineItem":
            self.total(doc["OpportunityId"], now, author, touch=old is None)
        elif type_name in (SCHEDULE, QUOTE, QUOTE_LINE):
            subscriptions.follow(self, type_name, doc, now, author)
        elif type_name == "Opportunity":
            self._history(old, doc, now, author)
        elif type_name == "OpportunityContactRole" and doc.get("IsPrimary"):
            opportunity = self.documents("Opportunity").get(doc["OpportunityId"])
            if opportunity is not None and opportunity.get("ContactId") != doc["ContactId"]:
                self.put("Opportunity", self._stamped({**opportunity, "ContactId": doc["ContactId"]}, now, author))
        elif type_name == "Task":
            for kind in ("Opportunity", "Account"):
                parent = self.documents(kind).get(doc.get("WhatId") or "")
                if parent is not None:
                    # Not an edit: LastModifiedDate stays, SystemModstamp moves.
                    activity = doc.get("ActivityDate") or now[:10]
                    self.put(kind, {**parent, "LastActivityDate": activity, "SystemModstamp": now})

    def total(self, opportunity_id: str, now: str, author: str, *, touch: bool) -> None:
        """Bring an opportunity's Amount and quantity in line with its lines. `touch` stamps it even when they stay."""
        old = self.documents("Opportunity").get(opportunity_id)
        if old is None:
            return
        documents = self.documents("OpportunityLineItem")
        ids = self.children("OpportunityLineItem", "OpportunityId", opportunity_id)
        lines = [documents[line_id] for line_id in ids if not documents[line_id].get("IsDeleted")]
        doc = dict(old)
        doc["HasOpportunityLineItem"] = bool(lines)
        if lines:
            doc["Amount"] = _rounded(sum((line.get("TotalPrice") or Decimal(0) for line in lines), Decimal(0)), 2)
            quantity = sum((line.get("Quantity") or Decimal(0) for line in lines), Decimal(0))
            doc["TotalOpportunityQuantity"] = _rounded(quantity, 2)
            doc["ExpectedRevenue"] = _rounded(doc["Amount"] * Decimal(doc.get("Probability") or 0) / 100, 2)
        if touch or doc != old:
            self.put("Opportunity", self._stamped(doc, now, author))
            self._history(old, doc, now, author)

    def _history(self, old: dict[str, Any] | None, doc: dict[str, Any], now: str, author: str) -> None:
        watched = ("Amount", "Probability", "StageName", "CloseDate")
        if old is not None and all(old.get(name) == doc.get(name) for name in watched):
            return
        before = old or {}
        self.put("OpportunityHistory", {
            "Id": self.new_id("OpportunityHistory"), "OpportunityId": doc["Id"], "IsDeleted": False,
            "StageName": doc.get("StageName"), "Amount": doc.get("Amount"), "CloseDate": doc.get("CloseDate"),
            "Probability": doc.get("Probability"), "ExpectedRevenue": doc.get("ExpectedRevenue"),
            "ForecastCategory": doc.get("ForecastCategory"), "PrevAmount": before.get("Amount"),
            "PrevCloseDate": before.get("CloseDate"), "CreatedDate": now, "CreatedById": author, "SystemModstamp": now,
            "CurrencyIsoCode": doc.get("CurrencyIsoCode"),
        })  # fmt: skip

    # seeding

    def _put_raw(self, type_name: str, record: Mapping[str, Any]) -> str:
        """Keep a record as given; only what is not given is worked out. Returns its id."""
        entity = self.full_schema.type(type_name)
        given: dict[str, Any] = {}
        for name, value in record.items():
            if name == "attributes":
                continue
            found = entity.find(name)
            if found is None:
                raise ApiError("INVALID_FIELD", f"No such column '{name}' on sobject of type {entity.name}")
            given[found.name] = _from_python(found, value)
        if record.get("Id") and (given["Id"][: len(record["Id"])] != record["Id"] or given["Id"][:3] != entity.key_prefix):
            raise ApiError("MALFORMED_ID", f"{record['Id']} is no id of a {entity.name}: wrong prefix or checksum")
        record_id = given.get("Id") or self._known_id(entity.name, given)
        documents = self.documents(entity.name)
        if entity.name == "Organization" and given.get("Id") and documents:
            for other in [each for each in documents if each != given["Id"]]:
                self.drop(entity.name, other)
        old = documents.get(record_id) if record_id else None
        now = self.stamp()
        author = "" if entity.name == "User" else given.get("OwnerId") or self.administrator()
        doc: dict[str, Any] = dict(old) if old else {"Id": record_id or self.new_id(entity.name), "IsDeleted": False}
        for item in entity.fields.values():
            doc.setdefault(item.name, item.default)
        if old is None:
            doc |= {
                "CreatedDate": given.get("LastModifiedDate") or given.get("SystemModstamp") or now,
                "CreatedById": author,
            }
            if "OwnerId" in doc:
                doc["OwnerId"] = author
        doc = self._stamped(doc, given.get("SystemModstamp") or now, author)
        doc |= given | {"Id": doc["Id"]}
        doc = self._complete(entity.name, old, doc, given, raw=True)
        if not doc["CreatedById"]:  # a user: the first one makes itself
            doc |= {"CreatedById": doc["Id"], "LastModifiedById": doc["Id"]}
        self.put(entity.name, doc)
        if entity.name != "OpportunityLineItem":
            self._after(entity.name, old, doc, doc["SystemModstamp"], doc.get("LastModifiedById") or author)
        return str(doc["Id"])

    def _known_id(self, type_name: str, given: Mapping[str, Any]) -> str | None:
        documents = self.documents(type_name)
        if type_name == "Organization":
            return next(iter(documents), None)
        if type_name == "Pricebook2" and given.get("IsStandard"):
            return next((each for each, doc in documents.items() if doc.get("IsStandard")), None)
        key = _NATURAL_KEYS.get(type_name)
        if key and given.get(key):
            return next(iter(self.with_value(type_name, key, given[key])), None)
        return None

    def put_raw(self, type_name: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Keep records as given, see :func:`upsert_records`."""
        entity = self.full_schema.type(type_name)
        ids = [self._put_raw(entity.name, record) for record in records]
        if entity.name == "OpportunityLineItem":
            latest: dict[str, str] = {}
            documents = self.documents(entity.name)
            for line_id in ids:
                line = documents[line_id]
                parent = line.get("OpportunityId") or ""
                latest[parent] = max(latest.get(parent, ""), line["SystemModstamp"])
            for parent, stamp in latest.items():
                opportunity = self.documents("Opportunity").get(parent)
                if opportunity is not None:
                    author = opportunity["LastModifiedById"]
                    self.total(parent, max(stamp, opportunity["SystemModstamp"]), author, touch=True)
        self.forget_journal()
        return ids


def _index_key(value: Any) -> Any:
    # Ids differ by case alone, so they are kept as they are; every other text is found whatever its case.
    # Those of packages' objects begin with a0.
    if isinstance(value, str) and not (len(value) == 18 and value.isalnum() and value[:2] <= "a0" and value[:1] in "0a"):
        return value.lower()
    return value


def _rounded(value: Decimal, scale: int) -> Decimal:
    quantum = Decimal(1).scaleb(-scale)
    try:
        return _wire_number(Decimal(value).quantize(quantum, rounding=ROUND_HALF_UP))
    except InvalidOperation:
        return _wire_number(Decimal(value))


def _wire_number(value: Any) -> Decimal:
    """A number as Salesforce writes a double: at least one digit after the point, no zeros behind (100.0, 12.5)."""
    text = format(Decimal(value), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if text in ("-0", ""):
        text = "0"
    return Decimal(text if "." in text else text + ".0")


def _cannot_read(kind: str, value: Any) -> ApiError:
    seen = {bool: "VALUE_TRUE" if value is True else "VALUE_FALSE", str: "VALUE_STRING", int: "VALUE_NUMBER_INT"}
    shape = seen.get(type(value)) or ("VALUE_NUMBER_FLOAT" if isinstance(value, Decimal) else "START_OBJECT")
    message = f"Cannot deserialize instance of {kind} from {shape} value {value} or request may be missing a required field"
    return ApiError("JSON_PARSER_ERROR", message, request_level=True)


def _from_json(found: Field, value: Any) -> Any:
    """A JSON value in the form documents keep, or `JSON_PARSER_ERROR`."""
    if value is None:
        if found.type == "boolean":
            message = "Cannot deserialize instance of boolean from null value or request may be missing a required field"
            raise ApiError("JSON_PARSER_ERROR", message, request_level=True)
        return None
    if found.type in NUMBER_TYPES:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise _cannot_read("int" if found.type == "int" else "double", value)
        return Decimal(value)
    if found.type == "boolean":
        if not isinstance(value, bool):
            raise _cannot_read("boolean", value)
        return value
    if not isinstance(value, str):
        raise _cannot_read({"datetime": "datetime", "date": "date"}.get(found.type, "string"), value)
    if found.type in ("date", "datetime"):
        if not value:
            return None
        try:
            return _date_text(value) if found.type == "date" else _datetime_text(value)
        except ValueError as error:
            raise _cannot_read(found.type, value) from error
    # Salesforce keeps no empty text and drops blanks at the end.
    return value.rstrip() or None


def _date_text(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError(value)
    return date.fromisoformat(value).isoformat()


def _datetime_text(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)", value):
        raise ValueError(value)
    return wire_datetime(datetime.fromisoformat(value).replace(microsecond=0))


def _from_python(found: Field, value: Any) -> Any:
    """A seed's value in the form documents keep; seeds may hold dates, floats and numbers as text."""
    if value is None:
        return None
    if found.type in NUMBER_TYPES:
        return int(value) if found.type == "int" else _wire_number(str(value))
    if found.type == "boolean":
        return bool(value)
    if found.type == "datetime":
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if value.tzinfo is None:
            raise ValueError(f"{found.name}: a datetime without a time zone: {value}")
        return wire_datetime(value.astimezone(UTC).replace(microsecond=0))
    if found.type == "date":
        return value[:10] if isinstance(value, str) else f"{value:%Y-%m-%d}"
    if found.type in ("id", "reference"):
        return to18(str(value)) if value else None
    return str(value) or None


# --- for the control calls and the tests ----------------------------------------------------------------------------

_ORGS: weakref.WeakKeyDictionary[Store, Org] = weakref.WeakKeyDictionary()


def org_of(store: Store, clock: Clock | None = None, options: SalesforceOptions | None = None) -> Org:
    """The org of a store, made (with default options) on first use; `options` replaces those it has."""
    org = _ORGS.get(store)
    if org is None:
        org = _ORGS[store] = Org(store, clock or Clock(store), options or SalesforceOptions())
    if clock is not None:
        org.clock = clock
    if options is not None:
        org.options = options
    org.prepare()
    return org


def new_id(store: Store, type: str) -> str:
    """A fresh 18-character id of an object: right prefix, right checksum."""
    return org_of(store).new_id(type)


def upsert_records(store: Store, clock: Clock, type: str, records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Write raw records of one object past the rules of a client: read-only fields may be given, required ones left out.

    A record is recognised by `Id` (15 or 18 characters); without one it is new, except the organization, stages
    (`ApiName`), users (`Username`), currencies (`IsoCode`) and the standard price book. What is not given is derived
    (amounts, stage flags, names) and stamped with the clock; a given `SystemModstamp` is kept. Opportunities get the sum
    of their lines. Returns the ids in order.

    Raises:
        ApiError: `INVALID_TYPE`, `INVALID_FIELD`, `MALFORMED_ID`.
    """
    return org_of(store, clock).put_raw(type, list(records))


def delete_record(store: Store, clock: Clock, type: str, record_id: str, *, hard: bool = False) -> None:
    """Delete a record as a person in Salesforce would: into the bin with all that hangs on it, a line for good. `hard`
    empties the bin of it too.

    Raises:
        ApiError: `NOT_FOUND`, `ENTITY_IS_DELETED`.
    """
    org = org_of(store, clock)
    entity = org.full_schema.type(type)
    record_id = to18(record_id)
    doc = org.documents(entity.name).get(record_id)
    if doc is None or not doc.get("IsDeleted") or not hard:
        doc = org.live(entity, record_id)
        org.bury(entity, doc, org.stamp(), org.administrator())
    if hard and record_id in org.documents(entity.name):
        org.drop(entity.name, record_id)
    org.forget_journal()


def close_deal(store: Store, clock: Clock, opportunity_id: str, stage: str = "Closed Won") -> dict[str, Any]:
    """Move an opportunity to a closing stage today, as its owner would. Returns the record.

    Raises:
        ApiError: `NOT_FOUND`, `ENTITY_IS_DELETED`, `MALFORMED_ID`.
    """
    org = org_of(store, clock)
    entity = org.full_schema.type("Opportunity")
    record_id = to18(opportunity_id)
    doc = org.live(entity, record_id)
    author = doc.get("OwnerId") or org.administrator()
    org.update(entity, record_id, {"StageName": stage, "CloseDate": f"{org.now():%Y-%m-%d}"}, author)
    org.forget_journal()
    return org.documents("Opportunity")[record_id]


def hide_field(store: Store, type: str, field: str, *, hidden: bool = True) -> None:
    """Take a field from the integration user's sight (field-level security), or give it back.

    Raises:
        ApiError: `INVALID_TYPE`, `INVALID_FIELD`: there is no such thing.
    """
    entity = org_of(store).full_schema.type(type)
    found = entity.find(field)
    if found is None:
        raise ApiError("INVALID_FIELD", f"No such column '{field}' on sobject of type {entity.name}")
    documents = store.documents(HIDDEN)
    before = documents.get(entity.name, {"object": False, "fields": []})
    fields = sorted({*before["fields"], found.name} if hidden else {*before["fields"]} - {found.name})
    documents[entity.name] = {**before, "fields": fields}


def enable(store: Store, *features: str, enabled: bool = True) -> list[str]:
    """Give the org a feature that not every org has (see :data:`~.schema.FEATURES`), or take it away; its records stay.
    Returns the features that the org now has.

    Raises:
        ValueError: there is no such feature.
    """
    documents = store.documents(ENABLED)
    for feature in features:
        if feature not in FEATURES:
            raise ValueError(f"there is no feature {feature}; there are {', '.join(FEATURES)}")
        documents[feature] = {"enabled": enabled}
    return sorted(name for name, doc in documents.items() if doc["enabled"])


def hide_object(store: Store, type: str, *, hidden: bool = True) -> None:
    """Take an object from the integration user's sight, or give it back.

    Raises:
        ApiError: `INVALID_TYPE`.
    """
    entity = org_of(store).full_schema.type(type)
    documents = store.documents(HIDDEN)
    before = documents.get(entity.name, {"object": False, "fields": []})
    documents[entity.name] = {**before, "object": hidden}


def behave(store: Store, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make the org misbehave; kept until cleared. Returns what is in force. Keys of `request`:

    * `lock_account`: {"account_id", "times": 1}: that many writes touching the account answer `UNABLE_TO_LOCK_ROW`;
    * `validation_rule`: {"type", "field": null, "text", "times": null}: writes of that object (that name that field)
      answer `FIELD_CUSTOM_VALIDATION_EXCEPTION` with the text; rules add up, one for each object and field;
    * `daily_limit_reached`: true or false: every call answers 403 `REQUEST_LIMIT_EXCEEDED`;
    * `read_only`: [{"type", "field"}]: those fields refuse to be written;
    * a null takes that one back; `clear`: true takes everything back.

    Raises:
        ValueError: another key.
    """
    documents = store.documents(BEHAVIOUR)
    if request.get("clear"):
        documents.clear()
    for key, value in request.items():
        if key == "clear":
            continue
        if key not in ("lock_account", "validation_rule", "daily_limit_reached", "read_only"):
            raise ValueError(f"unknown behaviour {key!r}")
        if not value:
            for name in [name for name in documents if name.startswith(key)]:
                del documents[name]
        elif key == "lock_account":
            documents[key] = {"account_id": to18(value["account_id"]), "times": int(value.get("times", 1))}
        elif key == "validation_rule":
            rule = {
                "type": value["type"],
                "field": value.get("field"),
                "text": value["text"],
                "times": value.get("times"),
            }
            documents[f"validation_rule:{rule['type']}.{rule['field']}"] = rule
        elif key == "daily_limit_reached":
            documents[key] = {"reached": True}
        else:
            documents[key] = {"fields": [dict(item) for item in value]}
    return {name: dict(doc) for name, doc in documents.items()}


def records_by_type(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Every record, deleted ones too, by object: for the control call that shows the whole state."""
    org = org_of(store)
    return {entity.name: list(org.documents(entity.name).values()) for entity in org.full_schema.types.values()}


def touch(store: Store, clock: Clock, type: str, record_id: str, *, by: timedelta = timedelta()) -> None:
    """Move a record's `SystemModstamp` to now (plus `by`) without any change: Salesforce does that by itself."""
    org = org_of(store, clock)
    entity = org.full_schema.type(type)
    doc = org.live(entity, to18(record_id))
    org.put(entity.name, {**doc, "SystemModstamp": wire_datetime((org.now() + by).replace(microsecond=0))})
    org.forget_journal()
