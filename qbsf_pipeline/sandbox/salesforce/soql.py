"""SOQL: reading the text of a query, checking it against the schema, and running it over documents.

Belongs here: the grammar, the rules of literals and nulls, ordering, and the JSON shape of a selected record.
Does not belong here: pages and locators (service), or anything that writes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import Any, Protocol

from qbsf_pipeline.sandbox.salesforce.schema import (
    NUMBER_TYPES,
    TEXT_TYPES,
    ApiError,
    ChildRelationship,
    Field,
    Schema,
    SObjectType,
    to18,
)

Row = Mapping[str, Any]
Predicate = Callable[[Row], bool]
Getter = Callable[[Row], Any]

MAX_LENGTH = 100_000
MAX_LITERAL = 4_000
MAX_OFFSET = 2_000
MAX_SUBQUERIES = 20
MAX_SEMI_JOINS = 2
MAX_PARENT_LEVELS = 5


class Records(Protocol):
    """The documents a query runs over."""

    @property
    def schema(self) -> Schema:
        """What can be seen."""

    @property
    def multi_currency(self) -> bool:
        """Whether literals such as `USD500` are understood."""

    def documents(self, type_name: str) -> Mapping[str, dict[str, Any]]:
        """All documents of an object, by id."""

    def children(self, type_name: str, field_name: str, value: str) -> Iterable[str]:
        """Ids of the documents of `type_name` whose lookup `field_name` holds `value`."""

    def now(self) -> datetime:
        """The org's clock."""


# --- text -> tokens -------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d(?![\dT]))
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.:-]))
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::\d+)?)
    |(?P<op><=|>=|!=|<>|=|<|>)
    |(?P<mark>[(),])""",
    re.X | re.S,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_DATE_WORD = re.compile(
    r"(?:TODAY|YESTERDAY|TOMORROW|(?:LAST|THIS|NEXT)_(?:WEEK|MONTH|QUARTER|YEAR)|(?:LAST|NEXT)_90_DAYS"
    r"|(?:LAST|NEXT)_N_(?:DAYS|MONTHS|YEARS):\d+|N_DAYS_AGO:\d+)$",
    re.I,
)
_KEYWORDS = frozenset(
    {"select", "from", "where", "and", "or", "not", "in", "like", "includes", "excludes", "group", "having", "order"}
    | {"by", "limit", "offset", "for", "using", "with", "all"}
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the query text and where it starts."""

    kind: str
    text: str
    at: int


def _malformed(message: str) -> ApiError:
    return ApiError("MALFORMED_QUERY", message)


def _tokens(text: str) -> list[Token]:
    found = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            if text[at] == "'":
                raise _malformed(f"line 1:{at} mismatched character '<EOF>' expecting '''")
            raise _malformed(f"line 1:{at} no viable alternative at character '{text[at]}'")
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(Token(kind, match.group(), at))
        at = match.end()
    found.append(Token("end", "<EOF>", len(text)))
    return found


def _unquote(token: Token, *, keep_like_escapes: bool) -> str:
    """The text of a string literal. In a LIKE pattern `\\_` and `\\%` stay as they are for the pattern."""
    raw = token.text[1:-1]
    out = []
    at = 0
    while at < len(raw):
        char = raw[at]
        if char != "\\":
            out.append(char)
            at += 1
            continue
        mark = raw[at + 1]
        if mark in "_%":
            out.append(f"\\{mark}" if keep_like_escapes else mark)
        elif mark in ("u", "U") and re.fullmatch(r"[0-9a-fA-F]{4}", raw[at + 2 : at + 6]):
            out.append(chr(int(raw[at + 2 : at + 6], 16)))
            at += 4
        elif mark == "\\" and keep_like_escapes:
            out.append("\\\\")
        elif mark.lower() in _ESCAPES:
            out.append(_ESCAPES[mark.lower()])
        else:
            raise _malformed(f"Invalid string literal '{raw}'. Illegal character sequence '\\{mark}' in string literal.")
        at += 2
    text = "".join(out)
    if len(text) > MAX_LITERAL:
        raise _malformed("string literal is too long (maximum 4000 characters)")
    return text


# --- tokens -> query ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Path:
    """A field, possibly through parents: `("Account", "Owner", "Name")`."""

    parts: tuple[str, ...]
    at: int


@dataclass(frozen=True)
class Literal:
    """A value in a filter. `kind`: string, number, date, datetime, dateword, boolean or null."""

    kind: str
    value: Any
    pattern: str = ""


@dataclass(frozen=True)
class Aggregate:
    """`COUNT(Id) n`. `path` is None for `COUNT()`."""

    function: str
    path: Path | None
    alias: str | None


@dataclass(frozen=True)
class AllFields:
    """`FIELDS(ALL)`, `FIELDS(STANDARD)` or `FIELDS(CUSTOM)`."""

    which: str


@dataclass(frozen=True)
class Compare:
    """`path op literal`."""

    path: Path
    op: str
    literal: Literal


@dataclass(frozen=True)
class InList:
    """`path [NOT] IN (literals)`."""

    path: Path
    literals: tuple[Literal, ...]
    negated: bool


@dataclass(frozen=True)
class InQuery:
    """`path [NOT] IN (SELECT ...)`."""

    path: Path
    query: Query
    negated: bool


@dataclass(frozen=True)
class Not:
    """`NOT condition`."""

    condition: Condition


@dataclass(frozen=True)
class Joined:
    """Conditions under one AND, or under one OR."""

    word: str
    conditions: tuple[Condition, ...]


Condition = Compare | InList | InQuery | Not | Joined


@dataclass(frozen=True)
class OrderBy:
    """One key of ORDER BY."""

    path: Path
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A query as it was written."""

    text: str
    select: tuple[Path | Aggregate | AllFields | Query, ...]
    source: str
    source_at: int
    alias: str | None = None
    where: Condition | None = None
    group_by: tuple[Path, ...] = ()
    order_by: tuple[OrderBy, ...] = ()
    limit: int | None = None
    offset: int = 0


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise _malformed("SOQL statements cannot be longer than 100000 characters.")
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.semi_joins = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def unexpected(self) -> ApiError:
        if self.token.kind == "end":
            return _malformed("unexpected token: <EOF>")
        return _malformed(f"unexpected token: '{self.token.text}'")

    def word(self, *words: str) -> bool:
        """Take these keywords if they come next."""
        for ahead, word in enumerate(words):
            token = self.tokens[min(self.at + ahead, len(self.tokens) - 1)]
            if token.kind != "name" or token.text.lower() != word:
                return False
        self.at += len(words)
        return True

    def mark(self, mark: str) -> bool:
        if self.token.kind == "mark" and self.token.text == mark:
            self.at += 1
            return True
        return False

    def need(self, taken: bool) -> None:
        if not taken:
            raise self.unexpected()

    def name(self) -> Token:
        token = self.token
        if token.kind != "name" or ":" in token.text or token.text.lower() in _KEYWORDS:
            raise self.unexpected()
        self.at += 1
        return token

    def path(self) -> Path:
        token = self.name()
        return Path(tuple(token.text.split(".")), token.at)

    def whole(self) -> int:
        token = self.token
        if token.kind != "number" or not token.text.isdigit():
            raise self.unexpected()
        self.at += 1
        return int(token.text)

    def query(self, *, depth: int) -> Query:
        self.need(self.word("select"))
        select = [self.item(depth)]
        while self.mark(","):
            select.append(self.item(depth))
        self.need(self.word("from"))
        source = self.name()
        alias = None
        if self.token.kind == "name" and self.token.text.lower() not in _KEYWORDS:
            alias = self.name().text
        if self.word("using"):
            self.need(self.word("scope"))
            self.name()
        where = self.condition(depth) if self.word("where") else None
        if self.word("with"):
            self.name()
        group_by: list[Path] = []
        if self.word("group", "by"):
            group_by.append(self.path())
            while self.mark(","):
                group_by.append(self.path())
        if self.word("having"):
            raise _malformed("HAVING is not emulated by this sandbox")
        order_by = []
        if self.word("order", "by"):
            order_by.append(self.order_key())
            while self.mark(","):
                order_by.append(self.order_key())
        limit = self.whole() if self.word("limit") else None
        offset = self.whole() if self.word("offset") else 0
        if offset > MAX_OFFSET:
            raise ApiError("NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000")
        if self.word("for"):
            self.name()
        return Query(
            self.text,
            tuple(select),
            source.text,
            source.at,
            alias,
            where,
            tuple(group_by),
            tuple(order_by),
            limit,
            offset,
        )

    def item(self, depth: int) -> Path | Aggregate | AllFields | Query:
        if self.mark("("):
            if depth:
                raise _malformed("a subquery cannot hold a subquery in this sandbox")
            inner = self.query(depth=1)
            self.need(self.mark(")"))
            return inner
        path = self.path()
        if not self.mark("("):
            return path
        function = path.parts[0].lower()
        if function == "fields":
            which = self.token.text.lower()
            if which not in ("all", "standard", "custom"):
                raise self.unexpected()
            self.at += 1
            self.need(self.mark(")"))
            return AllFields(which)
        if function in ("tolabel", "format"):
            inside = self.path()
            self.need(self.mark(")"))
            return inside
        if function not in ("count", "count_distinct", "sum", "min", "max", "avg"):
            raise _malformed(f"unexpected token: '{path.parts[0]}'")
        argument = None
        if not self.mark(")"):
            argument = self.path()
            self.need(self.mark(")"))
        elif function != "count":
            raise self.unexpected()
        alias = None
        if self.token.kind == "name" and self.token.text.lower() not in _KEYWORDS:
            alias = self.name().text
        return Aggregate(function, argument, alias)

    def order_key(self) -> OrderBy:
        path = self.path()
        descending = False
        if self.word("desc"):
            descending = True
        else:
            self.word("asc")
        nulls_last = False
        if self.word("nulls"):
            nulls_last = self.word("last")
            if not nulls_last:
                self.need(self.word("first"))
        return OrderBy(path, descending, nulls_last)

    def condition(self, depth: int, *, under_or: bool = False) -> Condition:
        found = [self.single(depth, under_or=under_or)]
        joining = ""
        while self.token.kind == "name" and self.token.text.lower() in ("and", "or"):
            word = self.token.text.lower()
            if joining and word != joining:
                # Salesforce has no precedence between the two: it wants parentheses.
                raise self.unexpected()
            joining = word
            self.at += 1
            found.append(self.single(depth, under_or=under_or or word == "or"))
        if joining == "or" and any(isinstance(item, InQuery) for item in found):
            raise _malformed("Semi join sub-selects are not allowed with the 'OR' operator")
        return found[0] if len(found) == 1 else Joined(joining, tuple(found))

    def single(self, depth: int, *, under_or: bool) -> Condition:
        if self.word("not"):
            return Not(self.single(depth, under_or=under_or))
        if self.mark("("):
            inner = self.condition(depth, under_or=under_or)
            self.need(self.mark(")"))
            return inner
        path = self.path()
        if self.token.kind == "op":
            op = self.token.text.replace("<>", "!=")
            self.at += 1
            return Compare(path, op, self.literal())
        if self.word("like"):
            return Compare(path, "like", self.literal(pattern=True))
        negated = self.word("not")
        if self.word("in"):
            self.need(self.mark("("))
            if self.token.text.lower() == "select":
                self.semi_joins += 1
                if under_or:
                    raise _malformed("Semi join sub-selects are not allowed with the 'OR' operator")
                if depth > 1:
                    raise _malformed("Nesting of semi join sub-selects is not supported")
                if self.semi_joins > MAX_SEMI_JOINS:
                    raise _malformed("maximum 2 semi join sub-selects are allowed")
                selected = self.query(depth=2)
                self.need(self.mark(")"))
                return InQuery(path, selected, negated)
            literals = [self.literal()]
            while self.mark(","):
                literals.append(self.literal())
            self.need(self.mark(")"))
            return InList(path, tuple(literals), negated)
        raise self.unexpected()

    def literal(self, *, pattern: bool = False) -> Literal:
        token = self.token
        self.at += 1
        if token.kind == "string":
            return Literal(
                "string",
                _unquote(token, keep_like_escapes=False),
                _unquote(token, keep_like_escapes=True) if pattern else "",
            )
        if token.kind == "number":
            try:
                return Literal("number", Decimal(token.text))
            except InvalidOperation as error:
                raise _malformed(f"unexpected token: '{token.text}'") from error
        if token.kind in ("date", "datetime"):
            return Literal(token.kind, _moment(token))
        if token.kind == "name":
            word = token.text.lower()
            if word in ("true", "false"):
                return Literal("boolean", word == "true")
            if word == "null":
                return Literal("null", None)
            if _DATE_WORD.fullmatch(token.text):
                return Literal("dateword", token.text.upper())
            if money := re.fullmatch(r"[A-Z]{3}(\d+)", token.text):
                return Literal("money", Decimal(money.group(1)))
        self.at -= 1
        raise self.unexpected()


def _moment(token: Token) -> str:
    """A date or datetime literal in the form documents keep, so that text compares as time does."""
    try:
        if token.kind == "date":
            return date.fromisoformat(token.text).isoformat()
        return wire_datetime(datetime.fromisoformat(token.text.upper()))
    except ValueError as error:
        raise _malformed(f"Invalid date: {token.text}") from error


def wire_datetime(moment: datetime) -> str:
    """`2026-03-31T09:15:22.000+0000`: how Salesforce writes an instant. Fixed width, so it sorts as text."""
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"


def parse(text: str) -> Query:
    """The query of a SOQL text.

    Raises:
        ApiError: `MALFORMED_QUERY`, `NUMBER_OUTSIDE_VALID_RANGE`.
    """
    parser = _Parser(text)
    query = parser.query(depth=0)
    if parser.token.kind != "end":
        raise parser.unexpected()
    return query


# --- query + schema -> something that runs --------------------------------------------------------------------------


@dataclass
class _Selection:
    """What is selected of one record: own fields in order, parents, child lists."""

    type: SObjectType
    entries: list[tuple[str, Any]] = field(default_factory=list)
    parents: dict[str, tuple[Field, _Selection]] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)


@dataclass
class _Children:
    relationship: ChildRelationship
    key: str
    plan: Plan


@dataclass
class Rendered:
    """A record as JSON, and how many rows it counts against the batch (its children count too)."""

    record: dict[str, Any]
    rows: int


#: Called for a child list that is longer than one page: (which subquery, ids left over) -> the URL of the rest.
MoreChildren = Callable[[int, list[str]], str]


class Plan:
    """A checked query, ready to run over `records`.

    Raises (from the constructor):
        ApiError: `INVALID_FIELD`, `INVALID_TYPE`, `MALFORMED_QUERY`, `INVALID_QUERY_FILTER_OPERATOR`.
    """

    def __init__(
        self, query: Query, records: Records, *, include_deleted: bool, child_of: ChildRelationship | None = None
    ) -> None:
        self.query = query
        self.records = records
        self.include_deleted = include_deleted
        self.type = records.schema.type(child_of.child if child_of else query.source)
        self.subqueries: list[_Children] = []
        aggregates = [item for item in query.select if isinstance(item, Aggregate)]
        self.is_count = len(query.select) == 1 and len(aggregates) == 1 and aggregates[0].path is None
        self.is_aggregate = not self.is_count and bool(aggregates or query.group_by)
        if any(item.path is None for item in aggregates) and not self.is_count:
            raise _malformed("unexpected token: 'COUNT'")
        self.selection = _Selection(self.type)
        if self.is_aggregate:
            self._check_aggregate()
        elif not self.is_count:
            self._select()
        self._order = [
            (self._getter(key.path, sort=True), _fold(self._resolve(key.path)[1]), key)
            for key in query.order_by
            if not self.is_aggregate
        ]
        self._where: Predicate | None = self._condition(query.where) if query.where is not None else None

    # names

    def _strip_alias(self, path: Path) -> tuple[str, ...]:
        names = {self.query.source.lower(), (self.query.alias or "").lower()}
        if len(path.parts) > 1 and path.parts[0].lower() in names and not self.type.relationships.get(path.parts[0].lower()):
            return path.parts[1:]
        return path.parts

    def _no_such_column(self, name: str, entity: SObjectType, at: int) -> ApiError:
        start = max(0, at - 40)
        excerpt = self.query.text[start : at + 40].replace("\n", " ")
        pointer = " " * (at - start) + "^"
        return ApiError(
            "INVALID_FIELD",
            f"\n{excerpt}\n{pointer}\nERROR at Row:1:Column:{at + 1}\nNo such column '{name}' on entity '{entity.name}'. "
            "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please "
            "reference your WSDL or the describe call for the appropriate names.",
        )

    def _step(self, entity: SObjectType, name: str, at: int) -> tuple[Field, SObjectType]:
        """The lookup behind a relationship name, and the object it leads to."""
        reference = entity.relationships.get(name.lower())
        targets = [self.records.schema.types.get(item.lower()) for item in reference.reference_to] if reference else []
        target = next((item for item in targets if item is not None), None)
        if reference is None or target is None:
            start = max(0, at - 40)
            raise ApiError(
                "INVALID_FIELD",
                f"\n{self.query.text[start : at + 40]}\n{' ' * (at - start)}^\nERROR at Row:1:Column:{at + 1}\nDidn't understand "
                f"relationship '{name}' in field path. If you are attempting to use a custom relationship, be sure to "
                "append the '__r' after the custom relationship name. Please reference your WSDL or the describe call "
                "for the appropriate names.",
            )
        return reference, target

    def _resolve(self, path: Path) -> tuple[list[Field], Field]:
        """The lookups on the way, and the field at the end."""
        parts = self._strip_alias(path)
        if len(parts) - 1 > MAX_PARENT_LEVELS:
            raise _malformed("only 5 levels of relationships are allowed in a field path")
        entity = self.type
        steps = []
        for name in parts[:-1]:
            step, entity = self._step(entity, name, path.at)
            steps.append(step)
        found = entity.find(parts[-1])
        if found is None:
            raise self._no_such_column(parts[-1], entity, path.at)
        return steps, found

    def _getter(self, path: Path, *, sort: bool = False, filtering: bool = False) -> Getter:
        steps, target = self._resolve(path)
        if (sort or filtering) and (target.long or target.type == "address"):
            what = "sorted" if sort else "filtered"
            raise ApiError("INVALID_FIELD", f"field '{target.name}' can not be {what} in a query call")
        name = target.name
        if not steps:
            return lambda row: row.get(name)
        return lambda row: (parent := self._parent(row, steps)) and parent.get(name)

    def _parent(self, row: Row, steps: list[Field]) -> Row | None:
        for step in steps:
            key = row.get(step.name)
            if not key:
                return None
            found = _lookup(self.records, step, key)
            if found is None:
                return None
            row = found
        return row

    # SELECT

    def _select(self) -> None:
        seen: set[tuple[str, ...]] = set()
        for item in self.query.select:
            if isinstance(item, Query):
                self._select_children(item)
            elif isinstance(item, AllFields):
                if item.which != "standard" and (self.query.limit is None or self.query.limit > 200):
                    raise _malformed("The SOQL FIELDS function must have a LIMIT of at most 200")
                for each in self.type.fields.values():
                    if item.which == "all" or (each.name.endswith("__c") == (item.which == "custom")):
                        self._add((each.name,), 0, seen)
            elif isinstance(item, Path):
                self._add(self._strip_alias(item), item.at, seen)

    def _add(self, parts: tuple[str, ...], at: int, seen: set[tuple[str, ...]]) -> None:
        if len(parts) - 1 > MAX_PARENT_LEVELS:
            raise _malformed("only 5 levels of relationships are allowed in a field path")
        lowered = tuple(part.lower() for part in parts)
        if lowered in seen:
            raise ApiError("INVALID_FIELD", f"duplicate field selected: {parts[-1]}")
        seen.add(lowered)
        place = self.selection
        for name in parts[:-1]:
            step, entity = self._step(place.type, name, at)
            key = str(step.relationship_name)
            if key not in place.parents:
                place.parents[key] = (step, _Selection(entity))
                place.entries.append((key, "parent"))
            place = place.parents[key][1]
        found = place.type.find(parts[-1])
        if found is None:
            raise self._no_such_column(parts[-1], place.type, at)
        place.entries.append((found.name, "address" if found.type == "address" else "field"))

    def _select_children(self, inner: Query) -> None:
        if len(self.subqueries) == MAX_SUBQUERIES:
            raise _malformed("maximum 20 child relationship queries are allowed")
        relationship = self.type.child_relationship(inner.source.split(".")[-1])
        if relationship is None:
            raise ApiError(
                "INVALID_TYPE",
                f"\nERROR at Row:1:Column:{inner.source_at + 1}\nDidn't understand relationship '{inner.source}' in FROM part of "
                "query call. If you are attempting to use a custom relationship, be sure to append the '__r' after the "
                "custom relationship name. Please reference your WSDL or the describe call for the appropriate names.",
            )
        plan = Plan(inner, self.records, include_deleted=self.include_deleted, child_of=relationship)
        if plan.is_count or plan.is_aggregate:
            raise _malformed("aggregates are not allowed in a subquery")
        key = str(relationship.name)
        self.selection.entries.append((key, len(self.subqueries)))
        self.subqueries.append(_Children(relationship, key, plan))

    # WHERE

    def _condition(self, condition: Condition) -> Predicate:
        if isinstance(condition, Joined):
            parts = [self._condition(item) for item in condition.conditions]
            if condition.word == "and":
                return lambda row: all(part(row) for part in parts)
            return lambda row: any(part(row) for part in parts)
        if isinstance(condition, Not):
            inner = self._condition(condition.condition)
            return lambda row: not inner(row)
        if isinstance(condition, Compare):
            return self._compare(condition)
        if isinstance(condition, InList):
            return self._in_list(condition)
        return self._in_query(condition)

    def _compare(self, condition: Compare) -> Predicate:
        get = self._getter(condition.path, filtering=True)
        target = self._resolve(condition.path)[1]
        op = condition.op
        if op == "like":
            if target.type not in TEXT_TYPES and target.type not in ("id", "reference"):
                raise ApiError("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {target.type} field '{target.name}'")
            if condition.literal.kind != "string":
                raise self._wrong_literal(target)
            matches = _like(condition.literal.pattern).fullmatch
            return lambda row: (value := get(row)) is not None and matches(str(value)) is not None
        if target.type == "boolean":
            if op not in ("=", "!="):
                raise ApiError("INVALID_FIELD", f"invalid operator on boolean field: {target.name}")
            wanted = False if condition.literal.kind == "null" else self._value(target, condition.literal)
            return (lambda row: bool(get(row)) == wanted) if op == "=" else (lambda row: bool(get(row)) != wanted)
        if condition.literal.kind == "null":
            if op == "=":
                return lambda row: get(row) is None
            if op == "!=":
                return lambda row: get(row) is not None
            return lambda row: False
        if condition.literal.kind == "dateword":
            return self._compare_range(get, target, op, str(condition.literal.value))
        wanted = self._value(target, condition.literal)
        fold = _fold(target)
        return _comparison(get, op, wanted, fold)

    def _compare_range(self, get: Getter, target: Field, op: str, word: str) -> Predicate:
        if target.type not in ("date", "datetime"):
            raise self._wrong_literal(target)
        first, last = _date_range(word, self.records.now().date())
        if target.type == "datetime":
            low = wire_datetime(datetime.combine(first, datetime.min.time(), UTC))
            high = wire_datetime(datetime.combine(last + timedelta(days=1), datetime.min.time(), UTC))
        else:
            low, high = first.isoformat(), (last + timedelta(days=1)).isoformat()
        tests: dict[str, Callable[[Any], bool]] = {
            "=": lambda value: low <= value < high,
            "!=": lambda value: not low <= value < high,
            "<": lambda value: value < low,
            "<=": lambda value: value < high,
            ">": lambda value: value >= high,
            ">=": lambda value: value >= low,
        }
        test = tests[op]
        return lambda row: (value := get(row)) is not None and test(value)

    def _in_list(self, condition: InList) -> Predicate:
        get = self._getter(condition.path, filtering=True)
        target = self._resolve(condition.path)[1]
        fold = _fold(target)
        wanted: set[Any] = set()
        for literal in condition.literals:
            if literal.kind == "null":
                wanted.add(None)
            elif literal.kind == "dateword":
                raise self._wrong_literal(target)
            else:
                value = self._value(target, literal)
                wanted.add(value.lower() if fold else value)
        return _membership(get, wanted, fold, negated=condition.negated)

    def _in_query(self, condition: InQuery) -> Predicate:
        get = self._getter(condition.path, filtering=True)
        target = self._resolve(condition.path)[1]
        inner = condition.query
        if len(inner.select) != 1 or not isinstance(inner.select[0], Path):
            raise _malformed("semi join sub-selects can only select a single field")
        if inner.limit is not None or inner.offset:
            raise _malformed("semi join sub-selects do not support LIMIT")
        plan = Plan(inner, self.records, include_deleted=self.include_deleted)
        selected = plan._resolve(inner.select[0])[1]
        if target.type not in ("id", "reference") or selected.type not in ("id", "reference"):
            raise ApiError("INVALID_FIELD", f"The left and right operands of the semi join are not ids: {target.name}")
        found = plan._getter(inner.select[0])
        documents = self.records.documents(plan.type.name)
        values = {found(documents[record_id]) for record_id in plan.matching(None)} - {None}
        return _membership(get, values, False, negated=condition.negated)

    def _wrong_literal(self, target: Field) -> ApiError:
        quoted = target.type in TEXT_TYPES or target.type in ("id", "reference")
        kind = {"datetime": "dateTime", "id": "ID", "reference": "ID", "picklist": "string"}.get(target.type, target.type)
        if target.type in TEXT_TYPES:
            kind = "string"
        if target.type in NUMBER_TYPES:
            kind = "int" if target.type == "int" else "double"
        rule = "should be enclosed in quotes" if quoted else "should not be enclosed in quotes"
        return ApiError("INVALID_FIELD", f"value of filter criterion for field '{target.name}' must be of type {kind} and {rule}")

    def _value(self, target: Field, literal: Literal) -> Any:
        """The literal in the form documents keep for that field."""
        if target.type in ("id", "reference"):
            if literal.kind != "string":
                raise self._wrong_literal(target)
            try:
                return to18(literal.value)
            except ApiError as error:
                raise ApiError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {literal.value}") from error
        if target.type in TEXT_TYPES:
            fits = literal.kind == "string"
        elif target.type in NUMBER_TYPES:
            fits = literal.kind == "number" or (literal.kind == "money" and self.records.multi_currency)
        else:
            fits = literal.kind == target.type
        if not fits:
            raise self._wrong_literal(target)
        return literal.value

    # running

    def matching(self, shuffle: random.Random | None) -> list[str]:
        """Ids of the records that match, ordered as asked; those left unordered come as `shuffle` will have it."""
        documents = self.records.documents(self.type.name)
        return self._arranged(documents.items(), shuffle)

    def _arranged(self, rows: Iterable[tuple[str, dict[str, Any]]], shuffle: random.Random | None) -> list[str]:
        where = self._where
        chosen = [
            (record_id, row)
            for record_id, row in rows
            if (self.include_deleted or not row.get("IsDeleted")) and (where is None or where(row))
        ]
        if shuffle is not None:
            shuffle.shuffle(chosen)
        for get, fold, key in reversed(self._order):
            keyed = [(get(row), (record_id, row)) for record_id, row in chosen]
            present = [(value.lower() if fold else value, pair) for value, pair in keyed if value is not None]
            absent = [pair for value, pair in keyed if value is None]
            present.sort(key=itemgetter(0), reverse=key.descending)
            ordered = [pair for _value, pair in present]
            chosen = ordered + absent if key.nulls_last else absent + ordered
        end = None if self.query.limit is None else self.query.offset + self.query.limit
        return [record_id for record_id, _row in chosen[self.query.offset : end]]

    def render(self, row: Row, base: str, shuffle: random.Random, page: int, more: MoreChildren) -> Rendered:
        """A record as JSON. `base` is `/services/data/vXX.0`, `page` the longest child list in one answer."""
        counted = [1]
        record = self._render(self.selection, row, base, shuffle, page, more, counted)
        return Rendered(record, counted[0])

    def _render(
        self,
        selection: _Selection,
        row: Row,
        base: str,
        shuffle: random.Random,
        page: int,
        more: MoreChildren,
        counted: list[int],
    ) -> dict[str, Any]:
        record: dict[str, Any] = {"attributes": attributes(selection.type, row["Id"], base)}
        for key, how in selection.entries:
            if how == "field":
                record[key] = row.get(key)
            elif how == "address":
                record[key] = compound_address(row, key)
            elif how == "parent":
                step, inside = selection.parents[key]
                value = row.get(step.name)
                parent = _lookup(self.records, step, value) if value else None
                if parent is None or (parent.get("IsDeleted") and not self.include_deleted):
                    record[key] = None
                else:
                    record[key] = self._render(inside, parent, base, shuffle, page, more, counted)
            else:
                record[key] = self._render_children(how, row, base, shuffle, page, more, counted)
        return record

    def _render_children(
        self, which: int, row: Row, base: str, shuffle: random.Random, page: int, more: MoreChildren, counted: list[int]
    ) -> dict[str, Any] | None:
        children = self.subqueries[which]
        plan = children.plan
        documents = self.records.documents(plan.type.name)
        ids = self.records.children(plan.type.name, children.relationship.field, row["Id"])
        arranged = plan._arranged(((child, documents[child]) for child in ids), shuffle)
        if not arranged:
            return None
        shown = arranged[:page]
        counted[0] += len(shown)
        answer: dict[str, Any] = {"totalSize": len(arranged), "done": len(shown) == len(arranged)}
        if len(shown) < len(arranged):
            answer["nextRecordsUrl"] = more(which, arranged)
        answer["records"] = [
            plan._render(plan.selection, documents[child], base, shuffle, page, more, counted) for child in shown
        ]
        return answer

    # aggregates

    def _check_aggregate(self) -> None:
        grouped = {tuple(part.lower() for part in self._strip_alias(path)) for path in self.query.group_by}
        for path in self.query.group_by:
            self._resolve(path)
        for item in self.query.select:
            if isinstance(item, (Query, AllFields)):
                raise _malformed("Grouped query cannot hold a subquery")
            if isinstance(item, Path) and tuple(part.lower() for part in self._strip_alias(item)) not in grouped:
                raise _malformed(f"Field must be grouped or aggregated: {item.parts[-1]}")
            if isinstance(item, Aggregate) and item.path is not None:
                target = self._resolve(item.path)[1]
                if item.function in ("sum", "avg") and target.type not in NUMBER_TYPES:
                    raise _malformed(f"field {target.name} does not support aggregate operator {item.function.upper()}")

    def aggregate(self) -> list[dict[str, Any]]:
        """The rows of a query with aggregates."""
        documents = self.records.documents(self.type.name)
        unlimited = replace(self.query, limit=None, offset=0)
        ids = Plan(unlimited, self.records, include_deleted=self.include_deleted).matching(None)
        keys = [self._getter(path) for path in self.query.group_by]
        groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): []}
        for record_id in ids:
            row = documents[record_id]
            groups.setdefault(tuple(get(row) for get in keys), []).append(row)
        answer = []
        for rows in groups.values():
            record: dict[str, Any] = {"attributes": {"type": "AggregateResult"}}
            number = 0
            for item in self.query.select:
                if isinstance(item, Path):
                    record[self._resolve(item)[1].name] = self._getter(item)(rows[0])
                elif isinstance(item, Aggregate) and item.path is not None:
                    get = self._getter(item.path)
                    values = [value for value in (get(row) for row in rows) if value is not None]
                    record[item.alias or f"expr{number}"] = _aggregated(item.function, values)
                    number += 0 if item.alias else 1
            answer.append(record)
        return answer[self.query.offset :][: self.query.limit]


def _aggregated(function: str, values: list[Any]) -> Any:
    if function == "count":
        return len(values)
    if function == "count_distinct":
        return len(set(values))
    if not values:
        return None
    if function == "sum":
        return sum(values, Decimal("0.0"))
    if function == "avg":
        return sum(values, Decimal("0.0")) / len(values)
    return min(values) if function == "min" else max(values)


def _lookup(records: Records, step: Field, key: str) -> dict[str, Any] | None:
    for target in step.reference_to:
        found = records.documents(target).get(key)
        if found is not None:
            return found
    return None


def attributes(entity: SObjectType, record_id: str, base: str) -> dict[str, str]:
    """The `attributes` of a record. `base` is `/services/data/vXX.0`."""
    return {"type": entity.name, "url": f"{base}/sobjects/{entity.name}/{record_id}"}


def compound_address(row: Row, name: str) -> dict[str, Any] | None:
    """The compound field of an address (`BillingAddress`); None when every part is empty."""
    prefix = name.removesuffix("Address")
    parts = {part: row.get(prefix + part) for part in ("City", "Country", "PostalCode", "State", "Street")}
    if not any(parts.values()):
        return None
    return {
        "city": parts["City"],
        "country": parts["Country"],
        "geocodeAccuracy": None,
        "latitude": None,
        "longitude": None,
        "postalCode": parts["PostalCode"],
        "state": parts["State"],
        "street": parts["Street"],
    }


def _fold(target: Field) -> bool:
    return target.type in TEXT_TYPES


def _comparison(get: Getter, op: str, wanted: Any, fold: bool) -> Predicate:
    if fold:
        wanted = wanted.lower()
        if wanted == "":  # an empty string is kept as null
            return (lambda row: get(row) is None) if op == "=" else (lambda row: get(row) is not None)
        tests: dict[str, Predicate] = {
            "=": lambda row: (value := get(row)) is not None and value.lower() == wanted,
            "!=": lambda row: (value := get(row)) is None or value.lower() != wanted,
            "<": lambda row: (value := get(row)) is not None and value.lower() < wanted,
            "<=": lambda row: (value := get(row)) is not None and value.lower() <= wanted,
            ">": lambda row: (value := get(row)) is not None and value.lower() > wanted,
            ">=": lambda row: (value := get(row)) is not None and value.lower() >= wanted,
        }
    else:
        tests = {
            "=": lambda row: get(row) == wanted,
            "!=": lambda row: get(row) != wanted,
            "<": lambda row: (value := get(row)) is not None and value < wanted,
            "<=": lambda row: (value := get(row)) is not None and value <= wanted,
            ">": lambda row: (value := get(row)) is not None and value > wanted,
            ">=": lambda row: (value := get(row)) is not None and value >= wanted,
        }
    return tests[op]


def _membership(get: Getter, wanted: set[Any], fold: bool, *, negated: bool) -> Predicate:
    def inside(row: Row) -> bool:
        value = get(row)
        return (value.lower() if fold and value is not None else value) in wanted

    return (lambda row: not inside(row)) if negated else inside


def _like(pattern: str) -> re.Pattern[str]:
    out = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            out.append(re.escape(pattern[at]))
        elif char == "%":
            out.append(".*")
        elif char == "_":
            out.append(".")
        else:
            out.append(re.escape(char))
        at += 1
    return re.compile("".join(out), re.I | re.S)


def _months_after(day: date, months: int) -> date:
    place = day.year * 12 + day.month - 1 + months
    return date(place // 12, place % 12 + 1, 1)


def _date_range(word: str, today: date) -> tuple[date, date]:
    """First and last day of a date literal (`LAST_N_DAYS:30`). The sandbox's user lives in UTC; weeks start on Sunday."""
    name, _, tail = word.partition(":")
    count = int(tail) if tail else 0
    one = timedelta(days=1)
    days = {"TODAY": 0, "YESTERDAY": -1, "TOMORROW": 1}
    if name in days:
        day = today + one * days[name]
        return day, day
    if name == "N_DAYS_AGO":
        return today - one * count, today - one * count
    if name in ("LAST_N_DAYS", "LAST_90_DAYS"):
        return today - one * (count or 90), today
    if name in ("NEXT_N_DAYS", "NEXT_90_DAYS"):
        return today + one, today + one * (count or 90)
    which, _, unit = name.partition("_")
    shift = {"LAST": -1, "THIS": 0, "NEXT": 1}[which]
    if unit == "WEEK":
        start = today - one * ((today.weekday() + 1) % 7) + one * 7 * shift
        return start, start + one * 6
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12, "N_MONTHS": 1, "N_YEARS": 12}[unit]
    first = date(today.year, (today.month - 1) // months * months + 1, 1)
    if unit.startswith("N_"):
        low = _months_after(first, -months * count if shift < 0 else months)
        high = _months_after(first, 0 if shift < 0 else months * (count + 1))
        return low, high - one
    return _months_after(first, months * shift), _months_after(first, months * (shift + 1)) - one
