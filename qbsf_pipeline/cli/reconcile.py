"""``qbsf reconcile``: the month-end report, what people accept in it, closing a month, and the reports of before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import typer

from qbsf_pipeline.cli.loading import loading
from qbsf_pipeline.cli.options import AsOf, Full, Json, day, person
from qbsf_pipeline.cli.output import complain, print_json, progress_shown, say, table
from qbsf_pipeline.cli.services import services_for
from qbsf_pipeline.errors import ConfigurationError
from qbsf_pipeline.flows.time_zone import known_zone
from qbsf_pipeline.money import format_amount
from qbsf_pipeline.reconciliation import producing
from qbsf_pipeline.reconciliation.decisions import differences_of, most_urgent, unexplained_of
from qbsf_pipeline.reconciliation.months import key_of, month_of, title_of
from qbsf_pipeline.reconciliation.places import reports_folder
from qbsf_pipeline.reconciliation.producing import Produced, newest_of, report_of, write_files
from qbsf_pipeline.reconciliation.report import Report
from qbsf_pipeline.reconciliation.still_open import largest, told
from qbsf_pipeline.settings import Settings, load_settings
from qbsf_pipeline.state.database import State
from qbsf_pipeline.state.month_end_reports import KeptReport, UnknownReport

app = typer.Typer(
    help="The month-end report: won against invoiced; accept differences, close the month, show reports of before.",
    invoke_without_command=True,
)
#: What the exit code means (as of ``qbsf sync``): nothing is unexplained; the run failed; differences are unexplained.
EXPLAINED, FAILED, SOME_UNEXPLAINED = 0, 1, 3
_MOST_SHOWN = 20
#: Differences of earlier months that the terminal names; workbook, page and --json have all.
_MOST_CARRIED = 5
#: An instant as people read it, by the company's clock.
_CLOCK = "%Y-%m-%d %H:%M %Z"

Month = Annotated[str, typer.Option("--month", metavar="MONTH", help="Such as 2026-03.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who decides; else the user of this machine.")]


@app.callback()
def reconcile(
    context: typer.Context,
    month: Annotated[str | None, typer.Option("--month", metavar="MONTH", help="Such as 2026-03.")] = None,
    as_of: AsOf = None,
    full: Full = False,
    pull: Annotated[bool, typer.Option("--pull/--no-pull", help="Read both systems first, or take what was read last.")] = True,
    tell: Annotated[bool, typer.Option("--tell/--no-tell", help="Tell finance in Slack, once for each outcome.")] = True,
    json: Json = False,
) -> None:
    """The month-end report: what was won against what was invoiced, every difference with its cause. Writes to neither system.

    Exit 0: nothing is unexplained, or it was accepted. Exit 3: differences are unexplained. Exit 1: it failed.
    """
    if context.invoked_subcommand is not None:
        return
    if month is None:
        raise ConfigurationError(["--month is missing: name the month, such as qbsf reconcile --month 2026-03"])
    wanted, today = month_of(month), day(as_of, "--as-of")
    _must_have_begun(wanted, today)
    with services_for(load_settings()) as settings:
        with progress_shown(json):
            with loading():
                from qbsf_pipeline.cli.month_end import run_month_end  # Dagster takes a second to import: say something first

            result = run_month_end(settings, wanted, pull=pull, full=full, as_of=today, tell=tell)
        if not result.done:
            complain(*(f"A check stopped the report: {finding} ({name})" for name, finding in result.closed))
            complain(*([result.error] if result.error else []))
            raise typer.Exit(FAILED)
        with _opened(settings) as state:
            kept = newest_of(state, wanted)
            produced = Produced(
                report_of(state, kept, known_zone(state)), kept.report_id, reports_folder(settings.environment.home, wanted)
            )
    _tell(produced, json=json)
    raise typer.Exit(exit_code_of(produced.report))


@app.command()
def accept(
    case_key: Annotated[str, typer.Argument(metavar="CASE", help="As the report shows it, such as deal:006...; a deal's id.")],
    month: Month,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the report.")],
    by: By = None,
    json: Json = False,
) -> None:
    """Accept a difference, with a reason. It stays accepted until its class or its amounts change."""
    settings, now = load_settings(), datetime.now(UTC)
    with _opened(settings) as state:
        produced, rows = producing.accept(
            state, settings.environment.home, month_of(month), case_key, reason, _by(by), known_zone(state), now
        )
    if json:
        print_json(report_as_json(produced) | {"accepted": rows.get_column("case_key").unique().to_list()})
        return
    for row in rows.iter_rows(named=True):
        say(f"Accepted: {_record(row)}, {format_amount(row['difference'], row['currency'])}, {_words(row['class'])}.")
    _tell_places(produced)


@app.command()
def withdraw(
    case_key: Annotated[str, typer.Argument(metavar="CASE", help="As the report shows it; a deal's id.")],
    month: Month,
    by: By = None,
    json: Json = False,
) -> None:
    """Take back that a difference was accepted."""
    settings, now = load_settings(), datetime.now(UTC)
    with _opened(settings) as state:
        produced = producing.withdraw(
            state, settings.environment.home, month_of(month), case_key, _by(by), known_zone(state), now
        )
    if json:
        print_json(report_as_json(produced))
        return
    say(f"Not accepted any more: {case_key.strip()} in {title_of(produced.report.month)}.")
    _tell_places(produced)


@app.command()
def close(
    month: Month,
    with_unexplained: Annotated[
        bool, typer.Option("--with-unexplained", help="Close it although differences have no cause.")
    ] = False,
    by: By = None,
    json: Json = False,
) -> None:
    """Close a month: its newest report stands, and what changes later is told as a change since then."""
    settings, now = load_settings(), datetime.now(UTC)
    wanted = month_of(month)
    with _opened(settings) as state:
        produced = producing.close(
            state, settings.environment.home, wanted, _by(by), known_zone(state), now, with_unexplained=with_unexplained
        )
    if json:
        print_json(report_as_json(produced))
        return
    say(f"{title_of(wanted)} is closed with the report of {produced.report.produced_at:{_CLOCK}}.", style="bold")
    _tell_places(produced)


@app.command()
def reopen(
    month: Month,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")] = None,
    by: By = None,
    json: Json = False,
) -> None:
    """Open a closed month again: its next report shows the figures of then."""
    settings, now = load_settings(), datetime.now(UTC)
    wanted = month_of(month)
    with _opened(settings) as state:
        produced = producing.reopen(state, settings.environment.home, wanted, _by(by), reason, known_zone(state), now)
    if json:
        print_json(report_as_json(produced))
        return
    say(f"{title_of(wanted)} is open again. For its figures of now: qbsf reconcile --month {key_of(wanted)}")


@app.command("list")
def list_reports(
    month: Annotated[str | None, typer.Option("--month", metavar="MONTH", help="Only of this month.")] = None, json: Json = False
) -> None:
    """The reports that are kept, newest first: every one can be shown again as it was."""
    wanted = None if month is None else month_of(month)
    settings = load_settings()
    with _opened(settings) as state:
        kept, zone = state.month_end_reports.list(wanted), known_zone(state)
    if json:
        print_json([_kept(one) for one in kept])
        return
    if not kept:
        say("No report was made yet: qbsf reconcile --month 2026-03")
    table(
        "Reports",
        ("Report", "Month", "Made", "Won and invoiced", "Unexplained", "Closed"),
        (
            (
                one.report_id,
                key_of(one.month),
                f"{one.kept_at.astimezone(zone):{_CLOCK}}",
                "; ".join(
                    f"{format_amount(row['won'], currency)}, {format_amount(row['invoiced'], currency)}"
                    for currency, row in one.figures["totals"].items()
                ),
                sum(row["unexplained_not_accepted"] for row in one.figures["totals"].values()),
                one.figures["closed"],
            )
            for one in kept
        ),
        right=("Unexplained",),
    )


@app.command()
def show(
    month: Month,
    report: Annotated[str | None, typer.Option("--report", metavar="REPORT", help="Such as M-3; else the newest.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="DATE", help="The report that was the newest at the end of that day.")
    ] = None,
    json: Json = False,
) -> None:
    """A report again, exactly as it was, with its workbook and page. Reads neither system."""
    wanted, until = month_of(month), day(as_of, "--as-of")
    settings = load_settings()
    with _opened(settings) as state:
        kept = _chosen(state, wanted, report, until)
        folder = reports_folder(settings.environment.home, wanted)
        newest = state.month_end_reports.newest(wanted)
        # Beside the newest one's files, not in place of them.
        folder = folder if newest is not None and newest.report_id == kept.report_id else folder / kept.report_id
        produced = Produced(report_of(state, kept, known_zone(state)), kept.report_id, folder)
    write_files(produced.report, folder)
    _tell(produced, json=json)


def exit_code_of(report: Report) -> int:
    """0 where every difference is explained or accepted, else 3."""
    return SOME_UNEXPLAINED if unexplained_of(report.cases).height else EXPLAINED


def report_as_json(produced: Produced) -> dict[str, Any]:
    """A report as ``--json`` prints it, instants in UTC; of the cases those that differ, the most urgent first."""
    report, closing = produced.report, produced.report.closing
    return {
        "month": key_of(report.month),
        "report": produced.report_id,
        "produced_at": report.produced_at.astimezone(UTC),
        "company": report.company,
        "closed": closing and {"closed_by": closing.closed_by, "closed_at": closing.closed_at.astimezone(UTC)},
        "totals": _rows(report.totals.sort("currency")),
        "bridge": _rows(report.bridge.sort("currency", "position")),
        "differences": _rows(most_urgent(report.cases)),
        "still_open": _rows(most_urgent(report.carried)),
        "changes": _rows(report.changes),
        "unexplained": unexplained_of(report.cases).height,
        "workbook": str(produced.workbook),
        "page": str(produced.page),
        "exit_code": exit_code_of(report),
    }


def show_report(produced: Produced) -> None:
    """A report, for a person at a terminal."""
    report = produced.report
    state = "open"
    if report.closing is not None:
        state = f"closed on {report.closing.closed_at:%Y-%m-%d} by {report.closing.closed_by}"
    made = f"{report.produced_at:{_CLOCK}}"
    say(f"\n{title_of(report.month)}: won against invoiced ({state}; report {produced.report_id} of {made})", style="bold")
    if report.totals.is_empty():
        say("No deal was won and nothing was invoiced.")
    for row in report.totals.sort("currency").iter_rows(named=True):
        _show_bridge(report, row)
    _show_differences(report)
    _show_carried(report)
    table(
        "Changes since the month was closed",
        ("Case", "Deal", "Change", "What"),
        (
            (row["case_key"], row["deal"] or row["numbers"], row["change"], row["explanation"])
            for row in report.changes.iter_rows(named=True)
        ),
    )
    rows = unexplained_of(report.cases).height
    if rows:
        say(f"\n{rows} unexplained. Accept one that is as it should be:", style="red")
        say(f'  qbsf reconcile accept CASE --month {key_of(report.month)} --reason "..."')
    elif report.cases.height:
        say("\nNothing is unexplained.", style="green")
    _tell_places(produced)


def _show_bridge(report: Report, totals: Mapping[str, Any]) -> None:
    currency = totals["currency"]
    steps = report.bridge.filter(report.bridge.get_column("currency") == currency).sort("position")
    rows: list[tuple[object, ...]] = [("Won", totals["deals"], totals["won"])]
    # Less what was not invoiced: the amounts lead from won to invoiced.
    rows += [(one["title"], one["cases"], -one["amount"]) for one in steps.iter_rows(named=True) if one["amount"] or one["cases"]]
    rows.append(("Invoiced", totals["invoices"], totals["invoiced"]))
    table(f"From won to invoiced, {currency}", ("", "Records", "Amount"), rows, right=("Records", "Amount"))


def _show_differences(report: Report) -> None:
    shown = most_urgent(report.cases, _MOST_SHOWN)
    total = differences_of(report.cases).height
    table(
        "Differences, the most urgent first"
        if shown.height == total
        else f"The {shown.height} most urgent of {total} differences",
        ("Case", "Record", "Difference", "Class", "Who acts", "Since", "Why"),
        (
            (
                row["case_key"],
                _record(row),
                format_amount(row["difference"], row["currency"]),
                _words(row["class"]) + (" (accepted)" if row["accepted_by"] else ""),
                row["acts"],
                row["since"],
                f"Accepted by {row['accepted_by']}: {row['accepted_reason']}" if row["accepted_by"] else row["explanation"],
            )
            for row in shown.iter_rows(named=True)
        ),
        right=("Difference",),
    )


def _show_carried(report: Report) -> None:
    if report.carried.is_empty():
        return
    shown = largest(report.carried, _MOST_CARRIED)
    table(
        f"Still open from earlier months, in no figure above: {told(report.carried)}"
        + (f"; the {shown.height} largest" if shown.height < report.carried.height else ""),
        ("Month", "Case", "Record", "Difference", "Class", "Who acts", "Since", "Why"),
        (
            (
                key_of(row["month"]),
                row["case_key"],
                _record(row),
                format_amount(row["difference"], row["currency"]),
                _words(row["class"]),
                row["acts"],
                row["since"],
                row["explanation"],
            )
            for row in shown.iter_rows(named=True)
        ),
        right=("Difference",),
    )


def _tell(produced: Produced, *, json: bool) -> None:
    if json:
        print_json(report_as_json(produced))
    else:
        show_report(produced)


def _tell_places(produced: Produced) -> None:
    say(f"\nWorkbook: {produced.workbook}")
    say(f"Page:     {produced.page}")


def _chosen(state: State, month: date, report: str | None, until: date | None) -> KeptReport:
    if report is None:
        end = None
        if until is not None:
            end = datetime.combine(until + timedelta(days=1), time(), tzinfo=known_zone(state)) - timedelta(microseconds=1)
        return newest_of(state, month, end)
    if until is not None:
        raise ConfigurationError(["--report and --as-of: name one of them"])
    try:
        kept = state.month_end_reports.get(report)
    except UnknownReport as error:
        raise ConfigurationError([f"--report: there is no report {report!r}; qbsf reconcile list shows them"]) from error
    if kept.month != month:
        raise ConfigurationError([f"--report: {kept.report_id} is a report of {key_of(kept.month)}, not of {key_of(month)}"])
    return kept


def _must_have_begun(month: date, today: date | None) -> None:
    # Where the company's time zone is ahead of this machine's, its month has begun before ours.
    latest = (datetime.now(UTC) + timedelta(hours=14)).date()
    if month > min(latest, today or latest):
        raise ConfigurationError([f"--month: {title_of(month)} has not begun"])


def _opened(settings: Settings) -> State:
    return State.open(settings.environment.state_url, settings.environment.home)


def _by(name: str | None) -> str:
    return (name or "").strip() or person()


def _rows(frame: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in frame.iter_rows(named=True)]


def _kept(one: KeptReport) -> dict[str, Any]:
    return {**vars(one), "month": key_of(one.month), "figures": dict(one.figures)}


def _record(row: Mapping[str, Any]) -> str:
    invoice = f"invoice {row['numbers'] or row['invoice_ids']}" if row["numbers"] or row["invoice_ids"] else ""
    return ", ".join(part for part in (row["deal"], invoice) if part) or str(row["case_key"])


def _words(code: str) -> str:
    return code.replace("_", " ")
