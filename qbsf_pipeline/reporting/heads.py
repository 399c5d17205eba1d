"""The head of a file of ``sql/``: comment lines that say what a row is, what each column means, and what must hold. Pure.

The first line is the table's name; ``(view)`` behind it makes a view. Prose follows, then lines with an ``@``, then one line
``-- column: meaning`` for each column. A line that begins with at least four blanks goes on with the line before it::

    -- @key: invoice_id                              primary key, one column or several
    -- @required: invoice_id, currency               never null
    -- @refers: customer_id to customers.customer_id a row of another reporting table, or null
    -- @values: status in live, voided, deleted      one of these, or null
    -- @balances: sum(total) by currency = invoices.sum(total)
    -- @measure: days_late | due date to payment | unit: days | source: Intuit's A/R ageing report
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qbsf_pipeline.errors import ConfigurationError

_COLUMN = re.compile(r"^-- ([a-z][a-z0-9_]*): (.+)$")
_DECLARED = re.compile(r"^--\s*@\s*([a-z_]+)\s*:?(.*)$")
_CONTINUED = re.compile(r"^-- {4,}(\S.*)$")
_NAME = r"[a-z][a-z0-9_]*"
_NAMES = rf"{_NAME}(?:\s*,\s*{_NAME})*"
_REFERENCE = re.compile(rf"({_NAME}) to (?:reporting\.)?({_NAME})\.({_NAME})")
_VALUES = re.compile(rf"({_NAME}) in (.+)")
_BALANCE = re.compile(
    rf"sum\(({_NAME})\)(?: by ({_NAMES}))? = (?:reporting\.)?({_NAME})\.sum\(({_NAME})\)(?: by ({_NAMES}))?", re.IGNORECASE
)


@dataclass(frozen=True)
class Reference:
    """``column`` is null or stands in ``other_column`` of the reporting table ``table``."""

    column: str
    table: str
    other_column: str


@dataclass(frozen=True)
class AcceptedValues:
    """``column`` is null or one of ``values``."""

    column: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Balance:
    """The sum of ``column`` is the sum of ``other_column`` of the reporting table ``table``, for each value of ``by`` (of
    ``other_by`` there)."""

    column: str
    by: tuple[str, ...]
    table: str
    other_column: str
    other_by: tuple[str, ...]

    @property
    def text(self) -> str:
        """As in the head."""
        grouped = f" by {', '.join(self.by)}" if self.by else ""
        return f"sum({self.column}){grouped} = {self.table}.sum({self.other_column})"


@dataclass(frozen=True)
class Measure:
    """How a column is computed: ``definition`` in words, ``unit`` (empty where the definition says it), and the ``source`` of
    the definition."""

    column: str
    definition: str
    unit: str
    source: str


@dataclass(frozen=True)
class Head:
    """The head of one file.

    Attributes:
        description: what a row is, units.
        columns: meaning by column, in order.
        is_view: whether the table is a view.
        key: columns of the primary key. The column of a key of one is never null; in a longer key null is a value like others.
        required: columns that are never null.
        references, accepted, balances, measures: see their classes.
    """

    description: str
    columns: dict[str, str]
    is_view: bool = False
    key: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    accepted: tuple[AcceptedValues, ...] = ()
    balances: tuple[Balance, ...] = ()
    measures: tuple[Measure, ...] = ()


@dataclass(frozen=True)
class _Declared:
    line: int
    word: str
    text: str


def read_head(lines: Sequence[str], file: str) -> Head:
    """The head of a file.

    Args:
        lines: the comment lines at its top.
        file: its name, for messages.

    Raises:
        ConfigurationError: one line for each wrong declaration: file, line, what is wrong and how it is written.
    """
    prose: list[str] = []
    columns: dict[str, str] = {}
    declared: list[_Declared] = []
    last: Callable[[str], None] | None = None
    for number, line in enumerate(lines[1:], start=2):
        continued, said, column = _CONTINUED.match(line), _DECLARED.match(line), _COLUMN.match(line)
        if continued and last is not None:
            last(continued[1].strip())
        elif said:
            declared.append(_Declared(number, said[1], said[2].strip()))
            last = _continue_declared(declared)
        elif column:
            columns[column[1]] = column[2]
            last = _continue_column(columns, column[1])
        elif line.strip("- "):
            prose.append(line.removeprefix("--").strip())
            last = None
    is_view = bool(lines) and lines[0].rstrip().endswith("(view)")
    return _Reader(file, columns).head(" ".join(prose), is_view, declared)


def _continue_declared(declared: list[_Declared]) -> Callable[[str], None]:
    def go_on(text: str) -> None:
        before = declared[-1]
        declared[-1] = _Declared(before.line, before.word, f"{before.text} {text}")

    return go_on


def _continue_column(columns: dict[str, str], name: str) -> Callable[[str], None]:
    def go_on(text: str) -> None:
        columns[name] = f"{columns[name]} {text}"

    return go_on


class _Reader:
    """Reads declarations against the columns of the head, and collects what is wrong."""

    def __init__(self, file: str, columns: dict[str, str]) -> None:
        self._file = file
        self._columns = columns
        self._problems: list[str] = []

    def head(self, description: str, is_view: bool, declared: Sequence[_Declared]) -> Head:
        key: list[str] = []
        required: list[str] = []
        references: list[Reference] = []
        accepted: list[AcceptedValues] = []
        balances: list[Balance] = []
        measures: list[Measure] = []
        for one in declared:
            match one.word:
                case "key":
                    key += self._names(one, "invoice_id, line")
                case "required":
                    required += self._names(one, "invoice_id, currency")
                case "refers":
                    references += self._references(one)
                case "values":
                    accepted += self._values(one)
                case "balances":
                    balances += self._balances(one)
                case "measure":
                    measures += self._measures(one)
                case _:
                    known = "@key, @required, @refers, @values, @balances and @measure"
                    self._wrong(one, f"@{one.word} is not known", f"there are {known}")
        if self._problems:
            raise ConfigurationError(self._problems)
        return Head(
            description,
            self._columns,
            is_view,
            tuple(dict.fromkeys(key)),
            tuple(dict.fromkeys(required)),
            tuple(references),
            tuple(accepted),
            tuple(balances),
            tuple(measures),
        )

    def _wrong(self, one: _Declared, problem: str, remedy: str) -> None:
        self._problems.append(f"sql/{self._file}, line {one.line}: {problem}: {remedy}")

    def _known(self, one: _Declared, names: Sequence[str]) -> bool:
        unknown = [name for name in names if name not in self._columns]
        if unknown:
            self._wrong(one, f"@{one.word} names {', '.join(unknown)}", "name columns that the head describes")
        return not unknown

    def _names(self, one: _Declared, example: str) -> list[str]:
        if not re.fullmatch(_NAMES, one.text):
            self._wrong(one, f"@{one.word} cannot be read", f"write it as `-- @{one.word}: {example}`")
            return []
        names = _split(one.text)
        return names if self._known(one, names) else []

    def _references(self, one: _Declared) -> list[Reference]:
        found = _REFERENCE.fullmatch(one.text)
        if not found:
            self._wrong(one, "@refers cannot be read", "write it as `-- @refers: customer_id to customers.customer_id`")
            return []
        return [Reference(*found.groups())] if self._known(one, [found[1]]) else []

    def _values(self, one: _Declared) -> list[AcceptedValues]:
        found = _VALUES.fullmatch(one.text)
        values = tuple(_split(found[2])) if found else ()
        if not found or not all(values):
            self._wrong(one, "@values cannot be read", "write it as `-- @values: status in live, voided, deleted`")
            return []
        return [AcceptedValues(found[1], values)] if self._known(one, [found[1]]) else []

    def _balances(self, one: _Declared) -> list[Balance]:
        found = _BALANCE.fullmatch(one.text)
        by = tuple(_split(found[2] or "")) if found else ()
        other_by = tuple(_split(found[5] or "")) if found else ()
        if not found or (other_by and len(other_by) != len(by)):
            self._wrong(
                one, "@balances cannot be read", "write it as `-- @balances: sum(total) by currency = invoices.sum(total)`"
            )
            return []
        if not self._known(one, [found[1], *by]):
            return []
        return [Balance(found[1], by, found[3], found[4], other_by or by)]

    def _measures(self, one: _Declared) -> list[Measure]:
        column, *parts = [part.strip() for part in one.text.split(" | ")]
        named = {word: part.partition(":")[2].strip() for part in parts for word in ("unit", "source") if _says(part, word)}
        said = "; ".join(part for part in parts if not (_says(part, "unit") or _says(part, "source")))
        if not said or not named.get("source"):
            remedy = "write it as `-- @measure: days_late | due date to payment | unit: days | source: where the formula is from`"
            self._wrong(one, "@measure cannot be read", remedy)
            return []
        return [Measure(column, said, named.get("unit", ""), named["source"])] if self._known(one, [column]) else []


def _says(part: str, word: str) -> bool:
    return part.startswith(f"{word}:")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []
