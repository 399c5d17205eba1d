"""QuickBooks' query language: what `select ... from ...` may say, and what it answers.

    SELECT * | count(*) | prop, ... FROM Entity [WHERE prop op value [AND ...]] [ORDERBY prop [ASC|DESC], ...]
    [STARTPOSITION n] [MAXRESULTS n]

Strict: what is not documented is refused with 4000 or 4001.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from qbsf_pipeline.sandbox.quickbooks import faults, recurring
from qbsf_pipeline.sandbox.quickbooks.company import Company, Document, parse_instant, ref_value, stored
from qbsf_pipeline.sandbox.quickbooks.properties import BY_PATH, ENTITIES, KNOWN, LIST_ENTITIES, names

_DEFAULT_ROWS = 100
_MAX_ROWS = 1000

TEXT, REF, DATE, NUMBER, BOOLEAN, INSTANT, ID, EMAIL = (
    "text",
    "ref",
    "date",
    "number",
    "boolean",
    "instant",
    "id",
    "email",
)
_EVERYWHERE = {"Id": ID, "MetaData.CreateTime": INSTANT, "MetaData.LastUpdatedTime": INSTANT}
_PERSON = {
    "DisplayName": TEXT,
    "GivenName": TEXT,
    "MiddleName": TEXT,
    "FamilyName": TEXT,
    "CompanyName": TEXT,
    "PrintOnCheckName": TEXT,
    "PrimaryEmailAddr": EMAIL,
    "Active": BOOLEAN,
}
_FORM = {"CustomerRef": REF, "DocNumber": TEXT, "TxnDate": DATE, "Balance": NUMBER, "TotalAmt": NUMBER}
#: Properties that may be filtered (and sorted) by, section 5 of the sheet.
QUERYABLE: dict[str, dict[str, str]] = {
    "Customer": {**_PERSON, "FullyQualifiedName": TEXT, "Balance": NUMBER},
    "Vendor": {**_PERSON, "Balance": NUMBER},
    "Employee": _PERSON,
    "Item": {
        "Name": TEXT,
        "Type": TEXT,
        "Active": BOOLEAN,
        "Taxable": BOOLEAN,
        "SubItem": BOOLEAN,
        "FullyQualifiedName": TEXT,
    },
    "Term": {"Name": TEXT, "Active": BOOLEAN},
    "Class": {"Name": TEXT, "FullyQualifiedName": TEXT, "Active": BOOLEAN},
    "Department": {"Name": TEXT, "FullyQualifiedName": TEXT, "Active": BOOLEAN},
    "TaxCode": {"Name": TEXT, "Active": BOOLEAN},
    "TaxRate": {"Name": TEXT, "Active": BOOLEAN},
    "CompanyCurrency": {"Code": TEXT, "Name": TEXT, "Active": BOOLEAN},
    "PaymentMethod": {"Name": TEXT, "Active": BOOLEAN},
    "Account": {
        "Name": TEXT,
        "AccountType": TEXT,
        "AccountSubType": TEXT,
        "Classification": TEXT,
        "FullyQualifiedName": TEXT,
        "Active": BOOLEAN,
        "CurrentBalance": NUMBER,
    },
    "Invoice": {**_FORM, "DueDate": DATE, "SalesTermRef": REF, "ProjectRef": REF},
    "CreditMemo": {**_FORM, "SalesTermRef": REF, "ProjectRef": REF},
    "SalesReceipt": _FORM,
    "RefundReceipt": _FORM,
    "Payment": {
        "CustomerRef": REF,
        "TotalAmt": NUMBER,
        "TxnDate": DATE,
        "PaymentMethodRef": REF,
        "PaymentRefNum": TEXT,
    },
    "JournalEntry": {"DocNumber": TEXT, "TxnDate": DATE},
    "Deposit": {"TxnDate": DATE, "TotalAmt": NUMBER, "DepositToAccountRef": REF},
    "RecurringTransaction": {"Type": TEXT, "RecurDataRef": REF, "Name": TEXT, "RecurType": TEXT},
    "Preferences": {},
    "CompanyInfo": {},
}
_SORT_ONLY = {"Customer": {"BalanceWithJobs": NUMBER}}
_FILTER_ONLY = {"PrimaryEmailAddr"}
_NOT_SELECTABLE = names("BillAddr ShipAddr Line LinkedTxn CustomField TxnTaxDetail InvoiceLink OtherAddr CompanyAddr")
_SELECTABLE = names("Id SyncToken MetaData domain sparse Sku UnitPrice Description Name Type Active")
#: `select *` does not bring these; they must be asked for by name.
_EXTRA = {"Item": ("Sku",)}

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?:\.\d+)?(?![\w-]))
      | (?P<word>[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*)
      | (?P<sign><=|>=|=|<|>|\(|\)|,|\*)
    )""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset({"SELECT", "FROM", "WHERE", "AND", "ORDERBY", "ORDER", "STARTPOSITION", "MAXRESULTS", "LIKE", "IN"})


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind == "word" else self.text


@dataclass(frozen=True)
class _Value:
    kind: str
    text: str


@dataclass(frozen=True)
class _Condition:
    name: str
    operator: str
    values: tuple[_Value, ...]


@dataclass(frozen=True)
class Statement:
    """A parsed statement. `columns` is empty for `*` alone."""

    entity: str
    count: bool
    everything: bool
    columns: tuple[str, ...]
    conditions: tuple[_Condition, ...]
    order: tuple[tuple[str, bool], ...]
    start: int
    rows: int


def _tokens(text: str) -> list[_Token]:
    result: list[_Token] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:].lstrip()
            column = len(text) - len(rest) + 1
            raise faults.query_parser(f'Lexical error at line 1, column {column}.  Encountered: "{rest[:1]}"')
        kind = str(match.lastgroup)
        result.append(_Token(kind, match.group(kind), match.start(kind) + 1))
        position = match.end()
    return result


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.position = 0

    def peek(self) -> _Token | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def refuse(self, expected: str) -> faults.QuickBooksFault:
        token = self.peek()
        if token is None:
            return faults.query_parser(f'Encountered "<EOF>". Was expecting: {expected}')
        return faults.query_parser(f'Encountered " {token.text} " at line 1, column {token.column}. Was expecting: {expected}')

    def take(self, *words: str) -> bool:
        token = self.peek()
        if token is not None and token.kind in ("word", "sign") and token.word in words:
            self.position += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.take(word):
            raise self.refuse(word)

    def name(self, expected: str) -> str:
        token = self.peek()
        if token is None or token.kind != "word" or token.word in _KEYWORDS:
            raise self.refuse(expected)
        self.position += 1
        return token.text

    def value(self) -> _Value:
        token = self.peek()
        if token is None or token.kind not in ("string", "number", "word") or token.word in _KEYWORDS:
            raise self.refuse("a value")
        if token.kind == "word" and token.word not in ("TRUE", "FALSE", "CURRENT_DATE"):
            raise self.refuse("a quoted value")
        self.position += 1
        if token.kind == "string":
            return _Value("string", re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL))
        return _Value(token.kind, token.text)

    def whole(self, keyword: str) -> int:
        token = self.peek()
        if token is None or token.kind != "number" or "." in token.text:
            raise self.refuse(f"a number after {keyword}")
        self.position += 1
        return int(token.text)

    def statement(self) -> Statement:
        self.expect("SELECT")
        count = everything = False
        columns: list[str] = []
        token = self.peek()
        if token is not None and token.word == "COUNT":
            self.position += 1
            for sign in "(*)":
                self.expect(sign)
            count = True
        else:
            while True:
                if self.take("*"):
                    everything = True
                else:
                    columns.append(self.name("a property or *"))
                if not self.take(","):
                    break
        self.expect("FROM")
        entity = self.name("an entity")
        conditions: list[_Condition] = []
        if self.take("WHERE"):
            conditions.append(self.condition())
            while self.take("AND"):
                conditions.append(self.condition())
        order: list[tuple[str, bool]] = []
        if self.take("ORDERBY") or self.order_by():
            while True:
                name = self.name("a property")
                descending = self.take("DESC")
                if not descending:
                    self.take("ASC")
                order.append((name, descending))
                if not self.take(","):
                    break
        start = self.whole("STARTPOSITION") if self.take("STARTPOSITION") else 1
        rows = self.whole("MAXRESULTS") if self.take("MAXRESULTS") else _DEFAULT_ROWS
        if self.peek() is not None:
            raise self.refuse("<EOF>")
        for value, largest in ((start, None), (rows, _MAX_ROWS)):
            if value < 1:
                raise faults.query_validation(f"value {value} is too small. Min allowed value is 1")
            if largest is not None and value > largest:
                raise faults.query_validation(f"value {value} is too large. Max allowed value is {largest}")
        return Statement(entity, count, everything, tuple(columns), tuple(conditions), tuple(order), start, rows)

    def order_by(self) -> bool:
        if not self.take("ORDER"):
            return False
        token = self.peek()
        if token is None or token.word != "BY":
            raise self.refuse("BY")
        self.position += 1
        return True

    def condition(self) -> _Condition:
        name = self.name("a property")
        if self.take("IN"):
            self.expect("(")
            values = [self.value()]
            while self.take(","):
                values.append(self.value())
            self.expect(")")
            return _Condition(name, "IN", tuple(values))
        if self.take("LIKE"):
            return _Condition(name, "LIKE", (self.value(),))
        for operator in ("=", "<=", ">=", "<", ">"):
            if self.take(operator):
                return _Condition(name, operator, (self.value(),))
        raise self.refuse("= < > <= >= LIKE IN")


def parse(text: str) -> Statement:
    """The statement.

    Raises:
        QuickBooksFault: 4000 or 4001.
    """
    statement = _Parser(text).statement()
    if statement.entity not in ENTITIES:
        near = BY_PATH.get(statement.entity.lower())
        hint = f" (did you mean {near}?)" if near else ""
        raise faults.query_parser(f"Invalid context declaration: {statement.entity}{hint}")
    return statement


def run_query(company: Company, text: str) -> Document:
    """The `QueryResponse` of a statement.

    Raises:
        QuickBooksFault: 4000 or 4001.
    """
    statement = parse(text)
    entity = statement.entity
    selected = _columns(statement)
    keys = [(_property(entity, name, sorting=True), descending) for name, descending in statement.order]
    rows = _matching(company, statement)
    if statement.count:
        return {"totalCount": sum(1 for _ in rows)}
    found = list(rows)
    found.sort(key=lambda row: _id_key(row["Id"]))
    for (path, kind), descending in reversed(keys):
        found.sort(key=lambda row: _sort_key(_read(entity, row, path), kind), reverse=descending)
    page = found[statement.start - 1 : statement.start - 1 + statement.rows]
    if not page:
        return {}
    answers = [_answer(entity, row, selected) for row in page]
    return {entity: answers, "startPosition": statement.start, "maxResults": len(answers)}


# Selecting -------------------------------------------------------------------------------------------------------


def _columns(statement: Statement) -> tuple[str, ...] | None:
    """Property names that are answered; `None` for all. Names asked for beside `*` only add to it."""
    entity = statement.entity
    known = {name.lower(): name for name in (*_known(entity), *_SELECTABLE)}
    chosen: list[str] = []
    for column in statement.columns:
        name = known.get(column.split(".")[0].lower())
        if name is None or name in _NOT_SELECTABLE:
            raise faults.query_validation(f"Property {column} not found for Entity {entity}")
        chosen.append(name)
    if statement.everything:
        return ("*", *chosen)
    return tuple(chosen) if chosen else None


def _answer(entity: str, row: Document, selected: tuple[str, ...] | None) -> Document:
    if entity == "RecurringTransaction":
        return recurring.as_answer(row)
    if selected is None or selected[0] == "*":
        hidden = [name for name in _EXTRA.get(entity, ()) if name in row and name not in (selected or ())]
        return {name: value for name, value in row.items() if name not in hidden} if hidden else row
    answer: Document = {name: row[name] for name in selected if name in row}
    return {**answer, "domain": "QBO", "sparse": True}


def _known(entity: str) -> Iterable[str]:
    own = {name.split(".")[0] for name in (*QUERYABLE[entity], *_SORT_ONLY.get(entity, {}))}
    return own | KNOWN.get(entity, frozenset())


def _property(entity: str, name: str, *, sorting: bool = False) -> tuple[str, str]:
    offered = {**_EVERYWHERE, **QUERYABLE[entity]}
    if sorting:
        offered.update(_SORT_ONLY.get(entity, {}))
    for path, kind in offered.items():
        if path.lower() == name.lower() and not (sorting and path in _FILTER_ONLY):
            return path, kind
    known = {each.lower() for each in (*_known(entity), *_SELECTABLE)}
    if name.split(".")[0].lower() in known:
        raise faults.query_validation(f"property '{name}' is not queryable")
    raise faults.query_validation(f"Property {name} not found for Entity {entity}")


def _matching(company: Company, statement: Statement) -> Iterable[Document]:
    entity = statement.entity
    tests: list[Callable[[Document], bool]] = []
    ids: set[str] | None = None
    mentions_active = False
    for condition in statement.conditions:
        path, kind = _property(entity, condition.name)
        mentions_active = mentions_active or path == "Active"
        if kind == ID:
            wanted = _wanted_ids(condition)
            ids = wanted if ids is None else ids & wanted
            continue
        tests.append(_test(company, entity, path, kind, condition))
    if entity in LIST_ENTITIES and not mentions_active:
        tests.append(lambda row: row.get("Active") is not False)
    docs = company.docs(entity)
    rows: Iterable[Document] = docs.values() if ids is None else [docs[each] for each in ids if each in docs]
    return (row for row in rows if all(test(row) for test in tests))


def _wanted_ids(condition: _Condition) -> set[str]:
    if condition.operator not in ("=", "IN"):
        raise faults.query_validation(f"operator {condition.operator} is not supported for property Id")
    return {value.text for value in condition.values}


def _test(company: Company, entity: str, path: str, kind: str, condition: _Condition) -> Callable[[Document], bool]:
    operator = condition.operator
    if operator == "LIKE":
        if kind not in (TEXT, EMAIL) or condition.values[0].kind != "string":
            raise faults.query_validation(f"operator LIKE is not supported for property {path}")
        parts = (re.escape(part) for part in condition.values[0].text.split("%"))
        pattern = re.compile(".*".join(parts), re.IGNORECASE | re.DOTALL)

        def like(row: Document) -> bool:
            text = _read(entity, row, path)
            return isinstance(text, str) and pattern.fullmatch(text) is not None

        return like
    if kind in (REF, BOOLEAN) and operator not in ("=", "IN"):
        raise faults.query_validation(f"operator {operator} is not supported for property {path}")
    wanted = [_typed(company, path, kind, value) for value in condition.values]
    if operator in ("=", "IN"):
        choices = frozenset(wanted)
        return lambda row: _comparable(_read(entity, row, path), kind) in choices
    limit = wanted[0]

    def compare(row: Document) -> bool:
        value = _comparable(_read(entity, row, path), kind)
        if value is None:
            return False
        if operator == "<":
            return bool(value < limit)
        if operator == "<=":
            return bool(value <= limit)
        if operator == ">":
            return bool(value > limit)
        return bool(value >= limit)

    return compare


def _typed(company: Company, path: str, kind: str, value: _Value) -> Any:
    if kind == NUMBER:
        try:
            return Decimal(value.text.strip())
        except InvalidOperation:
            raise faults.query_validation(f"value {value.text} is not a number for property {path}") from None
    if kind == BOOLEAN:
        if value.text.lower() not in ("true", "false"):
            raise faults.query_validation(f"value {value.text} is not a boolean for property {path}")
        return value.text.lower() == "true"
    if kind == DATE:
        if value.kind == "word":
            return company.today().isoformat()
        if value.kind != "string" or not re.fullmatch(r"\d{4}-\d\d-\d\d", value.text):
            raise faults.query_validation(f"value {value.text} is not a date for property {path}")
        return value.text
    if kind == INSTANT:
        try:
            moment = parse_instant(value.text if value.kind == "string" else company.today().isoformat())
        except ValueError:
            raise faults.query_validation(f"value {value.text} is not a date and time for property {path}") from None
        return moment.astimezone(UTC)
    if kind == REF:
        return value.text
    return value.text.casefold()


def _read(entity: str, row: Mapping[str, Any], path: str) -> Any:
    if entity == "RecurringTransaction":
        kind, form = recurring.inner(row)
        if path == "Type":
            return kind
        if path in ("Name", "RecurType"):
            return (form.get("RecurringInfo") or {}).get(path)
        row = form
    value: Any = row
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    if path == "PrimaryEmailAddr" and isinstance(value, Mapping):
        return value.get("Address")
    return value


def _comparable(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == NUMBER:
        return stored(value)
    if kind == INSTANT:
        return datetime.fromisoformat(value).astimezone(UTC)
    if kind == REF:
        return ref_value(value)
    if kind in (TEXT, EMAIL):
        return str(value).casefold()
    return value


# Sorting ---------------------------------------------------------------------------------------------------------


def _id_key(object_id: str) -> tuple[int, int, str]:
    return (0, int(object_id), "") if object_id.isdigit() else (1, 0, object_id)


def _sort_key(value: Any, kind: str) -> Any:
    if value is None:
        return (0,)
    if kind == ID:
        return (1, *_id_key(value))
    if kind == REF:
        return (1, str((value or {}).get("name", "")).casefold())
    return (1, _comparable(value, kind))


def statement_rows(answer: Mapping[str, Any]) -> Sequence[Any]:
    """The objects in a `QueryResponse`."""
    return next((value for value in answer.values() if isinstance(value, list)), [])
