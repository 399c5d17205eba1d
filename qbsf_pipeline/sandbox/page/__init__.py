"""The person's page: the three services side by side, and a simple view of one record for the links between them.

Belongs here: what a person sees. It reads the services' documents and changes nothing; its buttons are control calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from html import escape
from importlib import resources
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from qbsf_pipeline.sandbox import company, quickbooks, slack
from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.store import Store, encode

_MOST_ROWS = 150
_APP_PAGES = {
    "invoice": ("Invoice", "txnId"),
    "recvpayment": ("Payment", "txnId"),
    "creditmemo": ("CreditMemo", "txnId"),
    "customerdetail": ("Customer", "nameId"),
}


def routes(store: Store, clock: Clock) -> list[Route]:
    """The page at `/`, its data at `/_sandbox/board`, and the records' pages."""

    async def index(request: Request) -> Response:
        text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text)

    async def board(request: Request) -> Response:
        return Response(encode(board_of(store, clock)), media_type="application/json")

    async def quickbooks_record(request: Request) -> Response:
        entity, parameter = _APP_PAGES.get(request.path_params["page"], ("", ""))
        key = request.query_params.get(parameter, "")
        found = store.documents(f"quickbooks.{entity}").get(key) if entity else None
        return _record(f"QuickBooks {entity}".rstrip(), key, found, _form_lines(found or {}))

    async def salesforce_record(request: Request) -> Response:
        kind, key = request.path_params["kind"], request.path_params["key"]
        found = _any_length(store.documents(f"salesforce.{kind}"), key) if kind.isalnum() else None
        if found is None or kind != "Opportunity":
            return _record(f"Salesforce {kind}", key, found)
        account = store.documents("salesforce.Account").get(found.get("AccountId") or "", {})
        shown = {"Account": account.get("Name"), **found}
        return _record(f"Salesforce {kind}", key, shown, _deal_lines(store, found))

    return [
        Route("/", index, methods=["GET"]),
        Route("/_sandbox/board", board, methods=["GET"]),
        Route("/app/{page}", quickbooks_record, methods=["GET"]),
        Route("/lightning/r/{kind}/{key}/view", salesforce_record, methods=["GET"]),
    ]


def board_of(store: Store, clock: Clock) -> dict[str, Any]:
    """What the page shows: {"now", "go_live", "counts", "deals", "customers", "invoices", "messages", "people"}.

    At most 150 rows of each; amounts are texts with two places.
    """
    deals = _deals(store)
    invoices = _invoices(store)
    customers = [_customer(item) for item in _newest(store, "quickbooks.Customer")]
    messages = slack.messages(store)
    return {
        "now": clock.now().isoformat(timespec="seconds"),
        "go_live": company.go_live_date(store, clock).isoformat(),
        "counts": {
            "open_deals": sum(1 for deal in deals if not deal["closed"]),
            "won_deals": sum(1 for deal in deals if deal["won"]),
            "invoiced_deals": sum(1 for deal in deals if deal["invoice_id"]),
            "invoices": len(invoices),
            "receivable": _money(sum((_decimal(item["balance_raw"]) for item in invoices), Decimal(0))),
            "customers": len(customers),
            "messages": len(messages),
            "mail": len(quickbooks.mail(store)),
        },
        "deals": deals[:_MOST_ROWS],
        "customers": customers[:_MOST_ROWS],
        "invoices": invoices[:_MOST_ROWS],
        "messages": messages[-_MOST_ROWS:],
        "people": {key: user["name"] for key, user in store.documents("slack.users").items()},
    }


def _deals(store: Store) -> list[dict[str, Any]]:
    accounts = store.documents("salesforce.Account")
    owners = store.documents("salesforce.User")
    shown = []
    for deal in store.documents("salesforce.Opportunity").values():
        if deal.get("IsDeleted"):
            continue
        account = accounts.get(deal.get("AccountId") or "", {})
        owner = owners.get(deal.get("OwnerId") or "", {})
        shown.append(
            {
                "id": deal["Id"],
                "name": deal.get("Name"),
                "account": account.get("Name"),
                "account_id": deal.get("AccountId"),
                "owner": owner.get("Name"),
                "stage": deal.get("StageName"),
                "won": bool(deal.get("IsWon")),
                "closed": bool(deal.get("IsClosed")),
                "amount": _money(deal.get("Amount")),
                "close_date": str(deal.get("CloseDate") or ""),
                "status": deal.get("Payment_Status__c"),
                "invoice_id": deal.get("QuickBooks_Invoice_Id__c"),
                "invoice_number": deal.get("QuickBooks_Invoice_Number__c"),
                "balance": _money(deal.get("Invoice_Balance__c")),
            }
        )
    won = sorted((deal for deal in shown if deal["won"]), key=lambda deal: deal["close_date"], reverse=True)
    still_open = sorted((deal for deal in shown if not deal["closed"]), key=lambda deal: deal["close_date"])
    lost = [deal for deal in shown if deal["closed"] and not deal["won"]]
    # Open deals first: those are the ones with a button, and a few of them fit above the won ones.
    return [*still_open[: _MOST_ROWS // 2], *won, *lost]


def _invoices(store: Store) -> list[dict[str, Any]]:
    return [
        {
            "id": invoice["Id"],
            "number": invoice.get("DocNumber"),
            "customer": (invoice.get("CustomerRef") or {}).get("name") or (invoice.get("CustomerRef") or {}).get("value"),
            "customer_id": (invoice.get("CustomerRef") or {}).get("value"),
            "date": str(invoice.get("TxnDate") or ""),
            "due": str(invoice.get("DueDate") or ""),
            "total": _money(invoice.get("TotalAmt")),
            "balance": _money(invoice.get("Balance")),
            "balance_raw": str(invoice.get("Balance") or "0"),
            "open": _decimal(invoice.get("Balance")) > 0,
            "sent": invoice.get("EmailStatus") == "EmailSent",
            "email": (invoice.get("BillEmail") or {}).get("Address"),
            "note": invoice.get("PrivateNote"),
        }
        for invoice in _newest(store, "quickbooks.Invoice")
    ]


def _customer(customer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": customer["Id"],
        "name": customer.get("DisplayName"),
        "email": (customer.get("PrimaryEmailAddr") or {}).get("Address"),
        "balance": _money(customer.get("Balance")),
        "active": customer.get("Active") is not False,
    }


def _newest(store: Store, collection: str) -> Iterable[dict[str, Any]]:
    return list(store.documents(collection).values())[::-1]


def _any_length(documents: Mapping[str, dict[str, Any]], key: str) -> dict[str, Any] | None:
    """A record by its 18-character id, or by the 15-character one that older links hold."""
    if key in documents:
        return documents[key]
    return next((found for name, found in documents.items() if len(key) == 15 and name[:15] == key), None)


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value)) if value is not None else Decimal(0)
    except InvalidOperation:
        return Decimal(0)


def _money(value: Any) -> str | None:
    return None if value is None else f"{_decimal(value):,.2f}"


_RECORD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
:root {{ color-scheme: light dark; }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 860px; margin: 32px auto; padding: 0 20px; }}
a {{ color: #0b66c3; }} h1 {{ font-size: 22px; margin: 12px 0 4px; }} p.kind {{ margin: 0; opacity: .65; }}
table {{ border-collapse: collapse; width: 100%; margin-top: 16px; }}
th, td {{ text-align: left; vertical-align: top; padding: 6px 10px; border-bottom: 1px solid #8883; }}
th {{ font-weight: 500; opacity: .7; width: 240px; }} td {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
table.lines th {{ width: auto; }} table.lines td:nth-child(n+3), table.lines th:nth-child(n+3) {{ text-align: right; }}
details {{ margin-top: 24px; }} summary {{ cursor: pointer; opacity: .7; }} td table {{ margin: 0; }} td th {{ width: 150px; }}
</style></head><body><a href="/">&larr; Sandbox</a><p class="kind">{kind}</p><h1>{name}</h1>{body}</body></html>"""


#: What a person looks for first; everything else is folded away below.
_FIRST = (
    "CustomerRef", "DisplayName", "Account", "StageName", "Amount", "CloseDate", "TxnDate", "DueDate", "SalesTermRef",
    "TotalAmt", "Balance", "UnappliedAmt", "EmailStatus", "BillEmail", "PrimaryEmailAddr", "Billing_Email__c", "BillAddr",
    "BillingStreet", "BillingCity", "BillingState", "BillingPostalCode", "BillingCountry", "CustomerMemo", "PrivateNote",
    "Payment_Terms__c", "Contract_URL__c", "Payment_Status__c", "QuickBooks_Customer_Id__c", "QuickBooks_Invoice_Number__c",
    "QuickBooks_Invoice_URL__c", "Invoice_Balance__c", "Last_Payment_Date__c", "Days_Outstanding__c", "Aging_Bucket__c",
)  # fmt: skip


def _form_lines(form: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Lines of a sales form: item, description, quantity, rate, amount."""
    lines = []
    for line in form.get("Line", []):
        detail = line.get("SalesItemLineDetail") or {}
        if line.get("DetailType") != "SubTotalLineDetail":
            item = (detail.get("ItemRef") or {}).get("name") or line.get("DetailType")
            lines.append((item, line.get("Description"), detail.get("Qty"), detail.get("UnitPrice"), line.get("Amount")))
    return lines


def _deal_lines(store: Store, deal: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Lines of an opportunity: product, description, quantity, sales price, total."""
    return [
        (
            (store.documents("salesforce.Product2").get(line.get("Product2Id") or "") or line).get("Name"),
            line.get("Description"),
            line.get("Quantity"),
            line.get("UnitPrice"),
            line.get("TotalPrice"),
        )
        for line in store.documents("salesforce.OpportunityLineItem").values()
        if line.get("OpportunityId") == deal["Id"] and not line.get("IsDeleted")
    ]


def _record(kind: str, key: str, found: Mapping[str, Any] | None, lines: Iterable[tuple[Any, ...]] = ()) -> Response:
    if found is None:
        text = _RECORD.format(title="Not found", kind=escape(kind), name="Not found", body=f"<p>{escape(key)}</p>")
        return HTMLResponse(text, 404)
    name = str(found.get("Name") or found.get("DisplayName") or found.get("DocNumber") or key)
    first = {field: _short(found[field]) for field in _FIRST if found.get(field) not in (None, "")}
    rows = "".join(
        "<tr>" + "".join(f"<td>{_value('' if cell is None else cell)}</td>" for cell in line) + "</tr>" for line in lines
    )
    head = "<tr><th>Product</th><th>Description</th><th>Quantity</th><th>Rate</th><th>Amount</th></tr>"
    body = _table(first) + (f'<table class="lines">{head}{rows}</table>' if rows else "")
    body += f"<details><summary>Everything</summary>{_table(found)}</details>"
    return HTMLResponse(_RECORD.format(title=escape(name), kind=escape(kind), name=escape(name), body=body))


def _short(value: Any) -> Any:
    """The telling part of a reference, an e-mail or an address."""
    if not isinstance(value, Mapping):
        return value
    for part in ("name", "Address", "value"):
        if value.get(part):
            return value[part]
    return "\n".join(str(part) for name, part in value.items() if part and name not in ("Id", "Lat", "Long"))


def _table(found: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{escape(str(name))}</th><td>{_value(value)}</td></tr>"
        for name, value in found.items()
        if value is not None and not str(name).startswith("_")
    )
    return f"<table>{rows}</table>"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return _table(value)
    if isinstance(value, list):
        return "".join(f"<div>{_value(part)}</div>" for part in value)
    if isinstance(value, Decimal):
        return f"{value:,.2f}" if value == value.quantize(Decimal("0.01")) else f"{value:,f}"
    text = str(value)
    if text.startswith(("https://", "http://")) and not any(letter.isspace() for letter in text):
        return f'<a href="{escape(text)}" rel="noreferrer">{escape(text)}</a>'
    return escape(text)
