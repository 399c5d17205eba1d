"""The sample company, Northwind Signal, and a big one for benchmarks.

Belongs here: plain data, in the words of Salesforce and QuickBooks, laid so that every path of the program is walked
once: deals to invoice, deals that must be refused (one for each reason), deals billed long ago, customers that match,
that are doubtful, whose name is taken. Dates hang on the clock's today; all the rest is the same on every start.

Northwind Signal, its customers and everybody in it are invented. Addresses end in `.example`, which nobody can own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from qbsf_pipeline.sandbox import quickbooks, salesforce, slack
from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.store import Store

_COLLECTION = "sandbox.company"
_CONTRACTS = "https://contracts.northwindsignal.example"
_COMPANY = "Northwind Signal"
_CENT = Decimal("0.01")

Record = dict[str, Any]


def go_live_of(today: date) -> date:
    """The sample company's go-live date: the first day of the month before the last one."""
    month = today.month - 2
    return date(today.year if month > 0 else today.year - 1, month if month > 0 else month + 12, 1)


def go_live_date(store: Store, clock: Clock) -> date:
    """The go-live date of this sandbox: fixed when the company was made, else by today."""
    kept = store.documents(_COLLECTION).get("company")
    return date.fromisoformat(kept["go_live"]) if kept else go_live_of(clock.now().date())


def is_seeded(store: Store) -> bool:
    """Whether the company was put into this store already."""
    return "company" in store.documents(_COLLECTION)


# ---------------------------------------------------------------------------------------------------------------------
# People, products, accounts
# ---------------------------------------------------------------------------------------------------------------------

_DOMAIN = "northwindsignal.example"

#: First name, last name, title, active. The last one has left.
_USERS = (
    ("Dana", "Whitfield", "Account Executive, West", True),
    ("Marcus", "Oyelaran", "Account Executive, East", True),
    ("Sofía", "Benítez", "Senior Account Executive", True),
    ("Priya", "Raghunathan", "Sales Director", True),
    ("Tom", "Kessler", "Account Executive", False),
)
_FINANCE = (("Helen", "Abara"), ("Grant", "Lindqvist"))


@dataclass(frozen=True)
class _Product:
    """A product: its code and name in Salesforce, its list price, and how QuickBooks names and knows the item.

    `item` is the item's name there (None: there is none), `sku` its SKU.
    """

    code: str
    name: str
    family: str
    price: str
    item: str | None
    sku: str | None
    description: str
    kind: str = "Service"


_PRODUCTS = (
    _Product("NS-PLAT-STD", "Signal Platform Standard", "Software", "12000.00", "Signal Platform Standard",
             "NS-PLAT-STD", "Signal Platform, Standard edition, annual subscription"),
    _Product("NS-PLAT-ENT", "Signal Platform Enterprise", "Software", "36000.00", "Signal Platform Enterprise",
             "NS-PLAT-ENT", "Signal Platform, Enterprise edition, annual subscription"),
    _Product("NS-SEAT", "Signal Seat", "Software", "480.00", "Signal Seat", "NS-SEAT", "Named user, one year"),
    _Product("NS-API", "API Access Pack", "Software", "6000.00", "API Access Pack", "NS-API",
             "Ten million API calls, one year"),
    _Product("NS-SSO", "Single Sign-On", "Software", "2400.00", "NS-SSO", None, "SAML and OIDC single sign-on, one year"),
    _Product("NS-SUP-PREM", "Premium Support", "Support", "9000.00", "Premium Support", "NS-SUP-PREM",
             "Support around the clock, answer within one hour, one year"),
    _Product("NS-IMPL", "Implementation Services", "Services", "1850.00", "Implementation Services", "NS-IMPL",
             "Implementation, per day"),
    _Product("NS-TRAIN", "Training Day", "Services", "1600.00", "Training Day", None, "Training on site, per day"),
    _Product("NS-CONS", "Consulting Hour", "Services", "225.00", "Consulting", "NS-CONS", "Consulting, per hour"),
    _Product("NS-DATA", "Data Migration", "Services", "7500.00", "Data Migration", "NS-DATA",
             "Migration of one source system"),
    _Product("NS-SENS", "Field Sensor S2", "Hardware", "89.95", "Field Sensor S2", "NS-SENS", "Battery-powered sensor",
             "NonInventory"),
    _Product("NS-GATE", "Edge Gateway G4", "Hardware", "649.00", "Edge Gateway G4", "NS-GATE", "Edge gateway, LTE",
             "NonInventory"),
    _Product("NS-DISC", "Loyalty Credit", "Adjustments", "-500.00", "Loyalty Credit", "NS-DISC",
             "Credit agreed in the contract"),
    _Product("NS-SETUP", "Platform Set-Up", "Set-Up", "1500.00", "Platform Set-Up", "NS-SETUP",
             "Set-up of the platform, once"),
    _Product("NS-LABS", "Signal Labs Preview", "Software", "1500.00", None, None, "Early access, one year"),
)  # fmt: skip

#: Name, due days.
_TERMS = (("Due on receipt", 0), ("Net 15", 15), ("Net 30", 30), ("Net 45", 45), ("Net 60", 60))


@dataclass(frozen=True)
class _Account:
    """An account. `slug` is its mail domain's first part; `email` its billing e-mail ("" for none at all).

    `customer` says how QuickBooks knows it: same (name and e-mail equal), linked (another name, its id on the account),
    two (two customers share its e-mail), vendor (a vendor has its name), inactive (a customer that was made inactive),
    or empty (not at all).
    """

    slug: str
    name: str
    street: str
    city: str
    state: str
    postal_code: str
    country: str
    terms: str
    customer: str = ""
    contact: tuple[str, str] = ("", "")
    email: str | None = None


_ACCOUNTS = (
    _Account("ridgeline", "Ridgeline Outdoor Co.", "1180 Pearl Street", "Boulder", "CO", "80302", "USA", "Net 30", "same",
             ("Alice", "Trujillo")),
    _Account("bluefin", "Bluefin Logistics, Inc.", "77 Battery Street\r\nFloor 9", "San Francisco", "CA", "94111", "USA",
             "Net 30", "same", ("Wes", "Tanaka")),
    _Account("harborvine", "Harbor & Vine Hospitality", "2 Commercial Wharf", "Boston", "MA", "02110", "USA", "Net 45",
             "linked", ("Colette", "Marsh")),
    _Account("stonebridge", "Stonebridge Community Bank", "500 Court Avenue", "Des Moines", "IA", "50309", "USA", "Net 30",
             "same", ("Neil", "Okafor")),
    _Account("lumiere", "Café Lumière & Söhne GmbH", "Königsallee 27", "Düsseldorf", "NW", "40212", "Germany", "Net 30", "",
             ("Jürgen", "Weiß")),
    _Account("ohallahan", "O'Hallahan's Marine Supply", "31 Long Wharf", "Portland", "ME", "04101", "USA", "Net 15", "",
             ("Siobhán", "O'Hallahan")),
    _Account("copperline", "Copperline Freight LLC", "900 Gulf Freeway", "Houston", "TX", "77017", "USA", "Net 30", "vendor",
             ("Ray", "Delacroix")),
    _Account("pinecrest", "Pinecrest Analytics", "410 Terry Avenue North", "Seattle", "WA", "98109", "USA", "Net 30", "two",
             ("Mei", "Zhang")),
    _Account("galvan", "The Galván Group", "Attn: Accounts Payable\r\n1600 Smith Street\r\nSuite 4200", "Houston", "TX",
             "77002", "USA", "Net 60", "", ("Rosa", "Galván")),
    _Account("maplewood", "Maplewood School District 12", "85 Academy Road", "Madison", "WI", "53703", "USA", "Net 45",
             "same", ("Gail", "Sørensen")),
    _Account("tidewater", "Tidewater Health Partners", "1 Medical Parkway", "Norfolk", "VA", "23510", "USA", "Net 30", "same",
             ("Andre", "Baptiste")),
    _Account("quillfox", "Quill & Fox Publishing", "240 West 37th Street", "New York", "NY", "10018", "USA", "Net 30", "same",
             ("Nora", "Fox")),
    _Account("sunmesa", "Sun Mesa Solar, PBC", "7300 Jefferson Street NE", "Albuquerque", "NM", "87109", "USA", "Net 30", "",
             ("Diego", "Armijo")),
    _Account("kanagawa", "神奈川 Robotics USA Inc.", "2033 Gateway Place", "San Jose", "CA", "95110", "USA", "Net 30", "",
             ("Haruka", "Sato")),
    _Account("birchbark", "Birch Bark Foods Co-op", "19 Mill Street", "Duluth", "MN", "55802", "USA", "Due on receipt",
             "same", ("Ingrid", "Halvorsen")),
    _Account("veritas", "Veritas Title & Escrow", "44 Montgomery Street", "San Francisco", "CA", "94104", "USA", "Net 30",
             "same", ("Calvin", "Ng")),
    # Accounts whose deals must be refused, one for each reason.
    _Account("foglight", "Foglight Studios", "", "", "", "", "", "Net 30", "", ("Bea", "Lindgren")),
    _Account("ashgrove", "Ashgrove Ceramics", "12 Kiln Lane", "Asheville", "NC", "28801", "USA", "Net 30", "", ("Owen", "Pratt"),
             ""),
    _Account("halyard", "Halyard Brewing Company", "600 Water Street", "Milwaukee", "WI", "53202", "USA", "Net 30", "same",
             ("Jo", "Krause")),
    _Account("meridian", "Meridian Dental Partners", "310 Peachtree Street", "Atlanta", "GA", "30308", "USA", "Net 30", "",
             ("Lena", "Hoffman")),
    _Account("redoak", "Red Oak Property Group", "1500 Market Street", "Philadelphia", "PA", "19102", "USA", "Net 30", "",
             ("Sam", "Ellison")),
    _Account("northfork", "North Fork Cellars", "8800 Main Road", "Mattituck", "NY", "11952", "USA", "Net 15", "",
             ("Giulia", "Ferraro")),
    _Account("beacon", "Beacon Hill Tutors", "18 Charles Street", "Boston", "MA", "02114", "USA", "Net 30", "",
             ("Amir", "Haddad")),
    _Account("tallgrass", "Tallgrass Veterinary Clinic", "3400 Harvard Street", "Lawrence", "KS", "66049", "USA", "Net 30",
             "", ("Ruth", "Yoder")),
    # Accounts with open deals, old deals or none.
    _Account("vertex", "Vertex: Field Operations", "1200 Ocean Drive", "Miami", "FL", "33139", "USA", "Net 30", "",
             ("Luis", "Ferrer")),
    _Account("oldmill", "Old Mill Press", "5 Canal Street", "Lowell", "MA", "01852", "USA", "Net 30", "inactive",
             ("Edith", "Moreau")),
    _Account("cascadia", "Cascadia Timber Products", "2200 Industrial Way", "Longview", "WA", "98632", "USA", "Net 45",
             "same", ("Hank", "Nordlund")),
    _Account("delmar", "Del Mar Aerospace", "10 Skyline Court", "San Diego", "CA", "92121", "USA", "Net 60", "same",
             ("Kim", "Alvarado")),
    _Account("wrenhaven", "Wrenhaven Senior Living", "720 Garden Avenue", "Tucson", "AZ", "85705", "USA", "Net 30", "",
             ("Paula", "Reyes")),
    _Account("ironwood", "Ironwood Fabrication L.L.C.", "3901 Foundry Road", "Tulsa", "OK", "74107", "USA", "Net 30", "same",
             ("Buck", "Sanders")),
    _Account("lakeshore", "Lakeshore Transit Authority", "175 West Jackson Boulevard", "Chicago", "IL", "60604", "USA",
             "Net 60", "", ("Denise", "Kowalski")),
    _Account("juniper", "Juniper & Sage Interiors", "66 King Street", "Charleston", "SC", "29401", "USA", "Net 15", "",
             ("Camille", "Baker")),
    _Account("polaris", "Polaris Ice Rinks", "1 Rink Road", "Anchorage", "AK", "99501", "USA", "Net 30", "",
             ("Bjørn", "Aune")),
    _Account("aster", "Aster Biotech, Inc.", "300 Technology Square", "Cambridge", "MA", "02139", "USA", "Net 45", "",
             ("Yusuf", "Demir")),
    _Account("clearwater", "Clearwater Utilities District", "90 Reservoir Road", "Spokane", "WA", "99201", "USA", "Net 45", "",
             ("Fran", "Doyle")),
    _Account("magnolia", "Magnolia Event Rentals", "410 Dauphine Street", "New Orleans", "LA", "70112", "USA", "Net 15", "",
             ("Étienne", "Broussard")),
    _Account("summitview", "Summit View Orthopedics, P.C.", "5400 Alpine Way", "Salt Lake City", "UT", "84117", "USA",
             "Net 30", "", ("Karl", "Jensen")),
    _Account("tamarack", "Tamarack Credit Union", "25 Union Street", "Burlington", "VT", "05401", "USA", "Net 30", "",
             ("Louise", "Gagnon")),
    _Account("zephyr", "Zephyr Wind Services", "1801 Turbine Trail", "Amarillo", "TX", "79101", "USA", "Net 30", "",
             ("Cody", "Marsh")),
    _Account("eastgate", "Eastgate Pharmacy #114", "1400 Eastgate Boulevard", "Cincinnati", "OH", "45245", "USA", "Net 30", "",
             ("Monique", "Hayes")),
    _Account("harlow", "Harlow + Finch Architects", "215 Walnut Street", "Louisville", "KY", "40202", "USA", "Net 30", "",
             ("Theo", "Finch")),
    _Account("kestrel", "Kestrel Drone Mapping", "77 Runway Drive", "Reno", "NV", "89502", "USA", "Net 30", "",
             ("Ava", "Petrov")),
    _Account("riverbend", "Riverbend Paper Mill", "600 Mill Road", "Appleton", "WI", "54911", "USA", "Net 45", "",
             ("Gus", "Vandenberg")),
    _Account("saltmarsh", "Saltmarsh Oyster Farm", "9 Causeway", "Duxbury", "MA", "02332", "USA", "Due on receipt", "",
             ("Finn", "Coyle")),
    _Account("orchid", "The Orchid Hotel", "2100 Kalakaua Avenue", "Honolulu", "HI", "96815", "USA", "Net 30", "",
             ("Kalani", "Akana")),
)  # fmt: skip

#: What finance has otherwise than sales: the customers flow puts it in step. The first differs in nothing but its spelling.
_OUT_OF_STEP: Mapping[str, Record] = {
    "tidewater": {"PrimaryEmailAddr": {"Address": "AP@Tidewater.example"}},
    "veritas": {"PrimaryPhone": {"FreeFormNumber": "415-555-0148"}},
    "cascadia": {
        "BillAddr": {
            "Line1": "PO Box 17",
            "City": "Longview",
            "CountrySubDivisionCode": "WA",
            "PostalCode": "98632",
            "Country": "USA",
        }
    },
}
#: Payment terms that finance has agreed otherwise with the customer: QuickBooks owns them.
_OTHER_TERMS = {"delmar": "Net 45"}

#: Customers that Salesforce does not know: name, city, state, postal code.
_OTHER_CUSTOMERS = (
    ("Amherst Dental Group", "Amherst", "MA", "01002"),
    ("Barton Creek Books", "Austin", "TX", "78746"),
    ("Delta Queen Catering", "Memphis", "TN", "38103"),
    ("Fenwick Island Rentals", "Fenwick Island", "DE", "19944"),
    ("Hollis Street Garage", "Oakland", "CA", "94608"),
    ("Kingfisher Yacht Club", "Annapolis", "MD", "21403"),
    ("Larkspur Montessori", "Larkspur", "CA", "94939"),
    ("Prairie State Glass", "Peoria", "IL", "61602"),
    ("Union Depot Market", "St. Paul", "MN", "55101"),
)

#: Industries of accounts by slug, as people fill them in: not everywhere.
_INDUSTRIES = {
    "ridgeline": "Retail",
    "bluefin": "Transportation",
    "harborvine": "Hospitality",
    "stonebridge": "Banking",
    "copperline": "Transportation",
    "maplewood": "Education",
    "tidewater": "Healthcare",
    "quillfox": "Media",
    "sunmesa": "Energy",
    "kanagawa": "Machinery",
    "birchbark": "Food & Beverage",
    "halyard": "Food & Beverage",
    "meridian": "Healthcare",
    "northfork": "Food & Beverage",
    "beacon": "Education",
}


@dataclass(frozen=True)
class _Line:
    """A line of a deal: product code, quantity, the unit price if it is not the list price, percent of discount, the
    total if it is not what these come to, and the description."""

    code: str
    quantity: str = "1"
    price: str | None = None
    discount: str | None = None
    total: str | None = None
    description: str | None = None

    def amounts(self) -> tuple[Decimal, Decimal, Decimal]:
        """Quantity, unit price and total price, as Salesforce keeps them."""
        quantity = Decimal(self.quantity)
        price = Decimal(self.price if self.price is not None else _product(self.code).price)
        if self.total is not None:
            return quantity, price, Decimal(self.total)
        share = (100 - Decimal(self.discount or 0)) / 100
        return quantity, price, (quantity * price * share).quantize(_CENT, ROUND_HALF_UP)


@dataclass(frozen=True)
class _Deal:
    """A deal: the account's slug, what was sold, its lines; `days` before today it closed (or will, when negative).

    `terms` and `contract` as written on the deal (None: nothing; "": the account's terms, the usual link). A deal with
    `periods` is billed so many times, from its close date on.
    """

    account: str | None
    title: str
    lines: tuple[_Line, ...]
    days: int
    stage: str = "Closed Won"
    terms: str | None = None
    contract: str | None = ""
    frequency: str | None = "One-Time"
    periods: int | None = None
    amount: str | None = None
    bill_to: bool = False


def _product(code: str) -> _Product:
    return next(product for product in _PRODUCTS if product.code == code)


_SCOPE = (
    "Statement of work. Northwind Signal migrates the telemetry archive of all plants, with history, to the Signal "
    "Platform; maps every tag to the asset model; checks each day's totals against the old system; and hands over. "
)

#: Won lately and complete: each of these becomes an invoice.
_TO_INVOICE = (
    _Deal("ridgeline", "Platform renewal", (_Line("NS-PLAT-STD"), _Line("NS-SEAT", "25")), 2, terms="Net 30"),
    _Deal("ridgeline", "Store sensors, phase 2", (_Line("NS-SENS", "120"), _Line("NS-GATE", "6")), 5, terms="Net 30"),
    _Deal("ridgeline", "Staff training", (_Line("NS-TRAIN", "2"),), 9, terms="Net 15"),
    _Deal("bluefin", "Dispatch integration", (_Line("NS-IMPL", "7.5"), _Line("NS-CONS", "12.25")), 3, terms="Net 30"),
    _Deal("harborvine", "Enterprise rollout", (_Line("NS-PLAT-ENT", discount="12.5"), _Line("NS-SEAT", "80", discount="10"),
                                               _Line("NS-SUP-PREM")), 6, terms="Net 45"),
    _Deal("stonebridge", "Branch monitoring", (_Line("NS-PLAT-STD"), _Line("NS-API"), _Line("NS-DISC", "1", "-1500.00")), 1,
          terms="Net 30"),
    _Deal("lumiere", "Filialen-Start", (_Line("NS-PLAT-STD"), _Line("NS-TRAIN", "1", "0.00", description="Einführung, "
                                                                    "inklusive")), 4, terms="Net 30"),
    _Deal("ohallahan", "Dockside sensors", (_Line("NS-SENS", "3", "333.33333333", total="1000.00",
                                                  description="Sensor kit with mounts, fixed price for three"),), 8),
    _Deal("copperline", "Fleet gateways", (_Line("NS-GATE", "14", "629.50"), _Line("NS-API")), 10, terms="Net 30"),
    _Deal("galvan", "Group licence", (_Line("NS-PLAT-ENT"), _Line("NS-SSO"), _Line("NS-SEAT", "150", "432.00")), 7,
          terms="Net 60"),
    _Deal("maplewood", "Classroom air quality", (_Line("NS-SENS", "64", "79.95"), _Line("NS-IMPL", "3")), 11),
    _Deal("tidewater", "Archive migration", (_Line("NS-DATA", "2", description=(_SCOPE * 25)[:4300]),
                                             _Line("NS-CONS", "40")), 12, terms="Net 30"),
    _Deal("quillfox", "Seats, spring", (_Line("NS-SEAT", "7", discount="33.33"),), 14, terms="Net 30", bill_to=True),
    _Deal("sunmesa", "Site gateways", (_Line("NS-GATE", "40", "611.115"), _Line("NS-SENS", "400", "81.33")), 15,
          terms="Net 30"),
    _Deal("kanagawa", "Pilot 試験導入", (_Line("NS-PLAT-STD", "1", "9999.99"), _Line("NS-SUP-PREM", "1", "4500.00")), 17,
          terms="Net 30"),
    _Deal("veritas", "Support upgrade", (_Line("NS-SUP-PREM"), _Line("NS-SSO")), 19, terms="Net 30"),
)  # fmt: skip

#: Won lately and billed otherwise than by one invoice of the deal's products: month by month after a set-up fee, and by a quote
#: of Salesforce CPQ (see `_QUOTE`).
_BY_THE_MONTH = _Deal(
    "quillfox",
    "Platform by the month",
    (_Line("NS-SETUP"), _Line("NS-PLAT-STD", "1", "10000.00")),
    2,
    terms="Net 30",
    contract=f"{_CONTRACTS}/subscriptions/NS-2001.pdf",
    frequency="Monthly",
    periods=12,
)
_BY_QUOTE = _Deal(
    "veritas",
    "Enterprise edition",
    (_Line("NS-PLAT-ENT", "1", "32400.00"), _Line("NS-SSO", "1", "0.00"), _Line("NS-SEAT", "40", "432.00")),
    3,
    terms="Net 30",
    contract=f"{_CONTRACTS}/subscriptions/NS-2002.pdf",
)
#: Lines of its primary quote: code, quantity, net price, what the package says of the line. The first is a bundle that holds
#: the second for nothing; the last was only offered.
_QUOTE: tuple[tuple[str, str, str, Record], ...] = (
    ("NS-PLAT-ENT", "1", "32400.00", {"SBQQ__Bundle__c": True}),
    ("NS-SSO", "1", "0.00", {"SBQQ__Bundled__c": True}),
    ("NS-SEAT", "40", "432.00", {}),
    ("NS-SUP-PREM", "1", "8100.00", {"SBQQ__Optional__c": True}),
)

#: Won lately, and to be refused, one for each reason; the reason's key is what `refused_deals` tells.
_TO_REFUSE = {
    "no_account": _Deal(None, "Walk-in order", (_Line("NS-TRAIN"),), 3, terms="Net 30"),
    "no_billing_address": _Deal("foglight", "Studio starter", (_Line("NS-PLAT-STD"),), 4, terms="Net 30"),
    "no_billing_email": _Deal("ashgrove", "Kiln sensors", (_Line("NS-SENS", "12"),), 6, terms="Net 30"),
    "no_line_items": _Deal("halyard", "Tap room monitoring", (), 5, terms="Net 30", amount="8000.00"),
    "unknown_payment_terms": _Deal("meridian", "Practice platform", (_Line("NS-PLAT-STD"),), 8, terms="Net 75 EOM"),
    "no_contract_url": _Deal("redoak", "Lobby gateways", (_Line("NS-GATE", "5"),), 9, terms="Net 30", contract=None),
    "contract_url_not_a_url": _Deal("northfork", "Cellar sensors", (_Line("NS-SENS", "30"),), 7, terms="Net 15",
                                    contract="see the shared drive, folder Contracts"),
    "amount_zero": _Deal("beacon", "Goodwill training", (_Line("NS-TRAIN", "1", "0.00"),), 10, terms="Net 30"),
    "product_without_item": _Deal("tallgrass", "Labs preview", (_Line("NS-LABS"), _Line("NS-SEAT", "4")), 11,
                                  terms="Net 30"),
    "doubtful_customer": _Deal("pinecrest", "Seats and API", (_Line("NS-SEAT", "40"), _Line("NS-API")), 13,
                               terms="Net 30"),
}  # fmt: skip

#: Won before the go-live date, `days` before it; the first three have invoices in QuickBooks.
_HISTORY = (
    _Deal("stonebridge", "First year", (_Line("NS-PLAT-STD"),), 24, terms="Net 30"),
    _Deal("quillfox", "First year", (_Line("NS-PLAT-STD"), _Line("NS-SEAT", "10")), 41, terms="Net 30"),
    _Deal("birchbark", "Cold store sensors", (_Line("NS-SENS", "48"),), 63, terms="Due on receipt"),
    _Deal("ridgeline", "First year", (_Line("NS-PLAT-STD"),), 80, terms="Net 30"),
    _Deal("delmar", "Hangar monitoring", (_Line("NS-GATE", "9"), _Line("NS-IMPL", "4")), 97, terms="Net 60"),
    _Deal("cascadia", "Kiln monitoring", (_Line("NS-SENS", "75"),), 120, terms="Net 45"),
    _Deal("ironwood", "Shop floor pilot", (_Line("NS-PLAT-STD", "1", "6000.00"),), 133, terms="Net 30"),
    _Deal("tidewater", "Ward sensors", (_Line("NS-SENS", "200", "84.50"),), 150, terms="Net 30"),
    _Deal("maplewood", "Pilot school", (_Line("NS-SENS", "16"),), 171, terms="Net 45", contract=None),
    _Deal("zephyr", "Turbine pilot", (_Line("NS-GATE", "2"),), 190, terms="Net 30"),
)

#: Of these old deals an invoice was written later. Account, invoice number, days past due today (negative: not due yet):
#: three are open and overdue, one is part paid, one is paid by a credit memo and a transfer, one was voided.
_RECEIVABLES = (
    ("ridgeline", "1025", 35),
    ("delmar", "1024", 65),
    ("cascadia", "1023", 95),
    ("ironwood", "1026", -6),
    ("tidewater", "1027", 10),
    ("maplewood", "1029", 20),
)
_METHODS = {"Check": "NON_CREDIT_CARD", "ACH": "NON_CREDIT_CARD", "Credit Card": "CREDIT_CARD"}

_OPEN = (
    _Deal("vertex", "Crew tablets", (_Line("NS-SEAT", "30"), _Line("NS-IMPL", "2")), -4, "Negotiation/Review", "Net 30"),
    _Deal("oldmill", "Press monitoring", (_Line("NS-SENS", "20"),), -6, "Negotiation/Review", "Net 30"),
    _Deal("cascadia", "Sawmill rollout", (_Line("NS-PLAT-ENT"), _Line("NS-GATE", "12")), -9, "Negotiation/Review", "Net 45"),
    _Deal("delmar", "Second hangar", (_Line("NS-GATE", "9"), _Line("NS-IMPL", "2.5")), -12, "Negotiation/Review", "Net 60"),
    _Deal("wrenhaven", "Resident comfort", (_Line("NS-SENS", "140"),), -14, "Proposal/Price Quote", "Net 30"),
    _Deal("ironwood", "Shop floor, full", (_Line("NS-PLAT-STD"), _Line("NS-SEAT", "18")), -15, "Proposal/Price Quote",
          "Net 30"),
    _Deal("lakeshore", "Depot gateways", (_Line("NS-GATE", "60", "599.00"),), -18, "Proposal/Price Quote", "Net 60"),
    _Deal("juniper", "Showroom starter", (_Line("NS-PLAT-STD", discount="20"),), -20, "Proposal/Price Quote", "Net 15"),
    _Deal("polaris", "Rink sensors", (_Line("NS-SENS", "36"),), -22, "Perception Analysis", "Net 30"),
    _Deal("aster", "Lab compliance", (_Line("NS-PLAT-ENT"), _Line("NS-SUP-PREM")), -25, "Id. Decision Makers", "Net 45"),
    _Deal("clearwater", "Pump stations", (_Line("NS-GATE", "22"), _Line("NS-SENS", "88")), -28, "Value Proposition",
          "Net 45", frequency="Quarterly"),
    _Deal("magnolia", "Tent climate", (_Line("NS-SENS", "25"),), -30, "Value Proposition", "Net 15"),
    _Deal("summitview", "Clinic platform", (_Line("NS-PLAT-STD"),), -33, "Needs Analysis", "Net 30"),
    _Deal("tamarack", "Branch pilot", (_Line("NS-PLAT-STD", "1", "6000.00"),), -35, "Needs Analysis", "Net 30"),
    _Deal("zephyr", "Turbine rollout", (_Line("NS-GATE", "90", "610.00"),), -40, "Needs Analysis", "Net 30",
          frequency="Annual"),
    _Deal("eastgate", "Fridge alarms", (_Line("NS-SENS", "9"),), -41, "Qualification", "Net 30"),
    _Deal("harlow", "Design seats", (_Line("NS-SEAT", "6"),), -45, "Qualification", "Net 30", frequency="Monthly"),
    _Deal("kestrel", "Mapping API", (_Line("NS-API", "2"),), -48, "Qualification", "Net 30"),
    _Deal("riverbend", "Dryer sensors", (_Line("NS-SENS", "110"),), -52, "Prospecting", "Net 45"),
    _Deal("saltmarsh", "Water quality", (_Line("NS-SENS", "14"),), -55, "Prospecting", "Due on receipt"),
    _Deal("orchid", "Guest comfort", (_Line("NS-SENS", "320", "80.00"), _Line("NS-PLAT-ENT")), -60, "Prospecting", "Net 30"),
    _Deal("bluefin", "Yard expansion", (_Line("NS-GATE", "18"),), -21, "Proposal/Price Quote", "Net 30"),
    _Deal("galvan", "Second brand", (_Line("NS-SEAT", "60"),), -38, "Value Proposition", "Net 60"),
)  # fmt: skip

_LOST = (
    _Deal("kestrel", "Fleet bundle", (_Line("NS-PLAT-STD"),), 16, "Closed Lost", "Net 30", None),
    _Deal("orchid", "Pool sensors", (_Line("NS-SENS", "20"),), 29, "Closed Lost", "Net 30", None),
    _Deal("eastgate", "Chain rollout", (_Line("NS-PLAT-ENT"),), 44, "Closed Lost", "Net 30", None),
    _Deal("harlow", "Enterprise trial", (_Line("NS-PLAT-ENT"),), 70, "Closed Lost", "Net 30", None),
)


# ---------------------------------------------------------------------------------------------------------------------
# Laying it out
# ---------------------------------------------------------------------------------------------------------------------


class _Books:
    """Puts records into one sandbox and remembers their ids by the names used here."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.today = clock.now().date()
        self.users: list[str] = []
        self.pricebook = ""
        self.products: dict[str, str] = {}
        self.entries: dict[str, str] = {}
        self.items: dict[str, str] = {}
        self.terms: dict[str, str] = {}
        self.customers: dict[str, str] = {}
        self.accounts: dict[str, str] = {}
        self.contacts: dict[str, str] = {}

    def records(self, sobject: str, records: Sequence[Record]) -> list[str]:
        """Put Salesforce records in; their ids, in order."""
        return list(salesforce.upsert_records(self.store, self.clock, sobject, records)) if records else []

    def objects(self, entity: str, objects: Sequence[Record]) -> list[str]:
        """Put QuickBooks objects in; their ids, in order."""
        found = quickbooks.upsert_objects(self.store, self.clock, entity, objects) if objects else []
        return [str(item["Id"]) for item in found]

    def seed_people(self) -> None:
        """Users in Salesforce and in Slack; finance is in Slack only, and whoever left is deactivated in both."""
        self.users = self.records(
            "User",
            [
                {
                    "FirstName": first,
                    "LastName": last,
                    "Name": f"{first} {last}",
                    "Username": f"{_mail_name(first, last)}@{_DOMAIN}",
                    "Email": f"{_mail_name(first, last)}@{_DOMAIN}",
                    "Alias": last[:8].lower(),
                    "Title": title,
                    "IsActive": active,
                    "TimeZoneSidKey": "America/Los_Angeles",
                    "UserType": "Standard",
                }
                for first, last, title, active in _USERS
            ],
        )
        sellers = [(first, last, not active) for first, last, _, active in _USERS]
        finance = [(first, last, False) for first, last in _FINANCE]
        slack.seed_slack(
            self.store,
            [
                {"name": f"{first} {last}", "email": f"{_mail_name(first, last)}@{_DOMAIN}", "deleted": deleted}
                for first, last, deleted in (*sellers, *finance)
            ],
        )

    def seed_catalogue(self) -> None:
        """Products with a price book in Salesforce; items, terms and classes in QuickBooks."""
        (self.pricebook,) = self.records("Pricebook2", [{"Name": "Standard Price Book", "IsActive": True, "IsStandard": True}])
        ids = self.records(
            "Product2",
            [
                {
                    "Name": product.name,
                    "ProductCode": product.code,
                    "Description": product.description,
                    "Family": product.family,
                    "IsActive": True,
                }
                for product in _PRODUCTS
            ],
        )
        self.products = {product.code: key for product, key in zip(_PRODUCTS, ids, strict=True)}
        entries = self.records(
            "PricebookEntry",
            [
                {
                    "Pricebook2Id": self.pricebook,
                    "Product2Id": self.products[product.code],
                    "Name": product.name,
                    "ProductCode": product.code,
                    "UnitPrice": Decimal(product.price),
                    "IsActive": True,
                    "UseStandardPrice": False,
                }
                for product in _PRODUCTS
            ],
        )
        self.entries = {product.code: key for product, key in zip(_PRODUCTS, entries, strict=True)}
        known = [product for product in _PRODUCTS if product.item is not None]
        income = quickbooks.income_account(self.store)
        items = self.objects(
            "Item",
            [
                _without_none(
                    {
                        "Name": product.item,
                        "Sku": product.sku,
                        "Type": product.kind,
                        "Description": product.description,
                        "UnitPrice": max(Decimal(product.price), Decimal(0)),
                        "Taxable": False,
                        "Active": True,
                        "IncomeAccountRef": income,
                    }
                )
                for product in known
            ],
        )
        self.items = {product.code: key for product, key in zip(known, items, strict=True)}
        self.terms = {term["Name"]: term["Id"] for term in quickbooks.state(self.store)["Term"]}
        missing = [{"Name": name, "DueDays": days} for name, days in _TERMS if name not in self.terms]
        self.terms |= dict(zip((str(term["Name"]) for term in missing), self.objects("Term", missing), strict=True))
        self.objects("Class", [{"Name": name} for name in ("Software", "Services", "Hardware")])

    def seed_accounts(self) -> None:
        """Accounts and contacts in Salesforce, their customers in QuickBooks, and the customers nobody else knows."""
        for number, account in enumerate(_ACCOUNTS):
            self._seed_customers(number, account)
        ids = self.records("Account", [self._account(number, account) for number, account in enumerate(_ACCOUNTS)])
        self.accounts = {account.slug: key for account, key in zip(_ACCOUNTS, ids, strict=True)}
        contacts = self.records(
            "Contact",
            [
                {
                    "AccountId": self.accounts[account.slug],
                    "FirstName": account.contact[0],
                    "LastName": account.contact[1],
                    "Name": " ".join(account.contact),
                    "Email": _contact_email(account),
                    "Title": "Accounts Payable" if number % 3 == 0 else "Operations Director",
                    "OwnerId": self.users[number % len(self.users)],
                }
                for number, account in enumerate(_ACCOUNTS)
            ],
        )
        self.contacts = {account.slug: key for account, key in zip(_ACCOUNTS, contacts, strict=True)}
        others = self.objects(
            "Customer",
            [
                {
                    "DisplayName": name,
                    "CompanyName": name,
                    "PrimaryEmailAddr": {"Address": f"office@{_slug(name)}.example"},
                    "BillAddr": {
                        "Line1": f"{100 + 7 * number} Main Street",
                        "City": city,
                        "CountrySubDivisionCode": state,
                        "PostalCode": postal_code,
                        "Country": "USA",
                    },
                    "SalesTermRef": {"value": self.terms["Net 30"]},
                }
                for number, (name, city, state, postal_code) in enumerate(_OTHER_CUSTOMERS)
            ],
        )
        self.customers.update({name: key for (name, *_), key in zip(_OTHER_CUSTOMERS, others, strict=True)})

    def _account(self, number: int, account: _Account) -> Record:
        return {
            "Name": account.name,
            "OwnerId": self.users[number % len(self.users)],
            "BillingStreet": account.street or None,
            "BillingCity": account.city or None,
            "BillingState": account.state or None,
            "BillingPostalCode": account.postal_code or None,
            "BillingCountry": account.country or None,
            "Phone": _phone(number, "({}) {}-{}"),
            "Website": f"https://www.{account.slug}.example",
            "Industry": _INDUSTRIES.get(account.slug),
            "Type": "Customer",
            "Billing_Email__c": _billing_email(account) or None,
            "Payment_Terms__c": account.terms,
            "QuickBooks_Customer_Id__c": self.customers[account.slug] if account.customer == "linked" else None,
        }

    def _seed_customers(self, number: int, account: _Account) -> None:
        if account.customer == "vendor":
            self.objects("Vendor", [{"DisplayName": account.name, "CompanyName": account.name}])
        names = {
            "same": [account.name],
            "inactive": [account.name],
            "linked": ["Harbor and Vine (headquarters)"],
            "two": [f"{account.name} East", f"{account.name} West"],
        }.get(account.customer, [])
        lines = account.street.split("\r\n")
        for name in names:
            (key,) = self.objects(
                "Customer",
                [
                    {
                        "DisplayName": name,
                        "CompanyName": account.name,
                        "GivenName": account.contact[0],
                        "FamilyName": account.contact[1],
                        "PrimaryEmailAddr": {"Address": _billing_email(account)},
                        "PrimaryPhone": {"FreeFormNumber": _phone(number, "+1 {} {} {}")},
                        "WebAddr": {"URI": f"http://{account.slug}.example/"},
                        "BillAddr": {
                            **{f"Line{place}": line for place, line in enumerate(lines, start=1)},
                            "City": account.city,
                            "CountrySubDivisionCode": account.state,
                            "PostalCode": account.postal_code,
                            "Country": account.country,
                        },
                        "SalesTermRef": {"value": self.terms[_OTHER_TERMS.get(account.slug, account.terms)]},
                        "Active": account.customer != "inactive",
                        **_OUT_OF_STEP.get(account.slug, {}),
                    }
                ],
            )
            self.customers.setdefault(account.slug, key)

    def seed_deals(self, deals: Iterable[tuple[_Deal, date]]) -> list[str]:
        """Opportunities with their lines and contact roles; their ids, in order."""
        wanted = list(deals)
        opportunities = []
        for number, (deal, close_date) in enumerate(wanted):
            account = next((found for found in _ACCOUNTS if found.slug == deal.account), None)
            amount = sum((line.amounts()[2] for line in deal.lines), Decimal(0))
            opportunities.append(
                _opportunity(
                    name=f"{account.name if account else 'Walk-in customer'} - {deal.title}"[:120],
                    account=self.accounts[deal.account] if deal.account else None,
                    owner=self.users[number % len(self.users)],
                    pricebook=self.pricebook if deal.lines else None,
                    stage=deal.stage,
                    close_date=close_date,
                    amount=Decimal(deal.amount) if deal.amount else amount,
                    terms=deal.terms,
                    contract=f"{_CONTRACTS}/{close_date.year}/NS-{1000 + number}.pdf" if deal.contract == "" else deal.contract,
                    frequency=deal.frequency,
                    periods=deal.periods,
                    today=self.today,
                )
            )
        ids = self.records("Opportunity", opportunities)
        lines, roles = [], []
        for key, (deal, _) in zip(ids, wanted, strict=True):
            for place, line in enumerate(deal.lines, start=1):
                quantity, price, total = line.amounts()
                lines.append(
                    self._line(
                        key,
                        line.code,
                        quantity,
                        price,
                        total,
                        place,
                        discount=line.discount,
                        description=line.description,
                    )
                )
            if deal.account:
                role = "Bill To" if deal.bill_to else "Decision Maker"
                contact = self.contacts[deal.account]
                roles.append({"OpportunityId": key, "ContactId": contact, "Role": role, "IsPrimary": True})
        self.records("OpportunityLineItem", lines)
        self.records("OpportunityContactRole", roles)
        return ids

    def _line(
        self,
        opportunity: str,
        code: str,
        quantity: Decimal,
        price: Decimal,
        total: Decimal,
        place: int,
        *,
        discount: str | None = None,
        description: str | None = None,
    ) -> Record:
        return {
            "OpportunityId": opportunity,
            "PricebookEntryId": self.entries[code],
            "Product2Id": self.products[code],
            "Quantity": quantity,
            "UnitPrice": price,
            "TotalPrice": total,
            "Discount": Decimal(discount) if discount else None,
            "Description": description,
            "SortOrder": place,
        }

    def seed_quotes(self, opportunity: str, deal: _Deal) -> None:
        """The quotes of a deal in Salesforce CPQ: a first offer, and the primary one, whose lines are the deal's."""
        assert deal.account is not None
        account = next(found for found in _ACCOUNTS if found.slug == deal.account)
        closed = self.today - timedelta(days=deal.days)
        head = {
            "SBQQ__Opportunity2__c": opportunity,
            "SBQQ__Account__c": self.accounts[deal.account],
            "SBQQ__Type__c": "Quote",
            "SBQQ__StartDate__c": closed.isoformat(),
            "SBQQ__SubscriptionTerm__c": 12,
            "SBQQ__PaymentTerms__c": deal.terms,
            "SBQQ__PrimaryContact__c": self.contacts[deal.account],
            "SBQQ__BillingName__c": account.name,
            "SBQQ__BillingStreet__c": account.street,
            "SBQQ__BillingCity__c": account.city,
            "SBQQ__BillingState__c": account.state,
            "SBQQ__BillingPostalCode__c": account.postal_code,
            "SBQQ__BillingCountry__c": account.country,
        }
        first, primary = self.records(
            "SBQQ__Quote__c",
            [{**head, "SBQQ__Status__c": "Rejected"}, {**head, "SBQQ__Status__c": "Accepted", "SBQQ__Primary__c": True}],
        )
        offered = [self._quote_line(first, 1, "NS-PLAT-ENT", "1", "36000.00", {})]
        self.records("SBQQ__QuoteLine__c", offered)
        bundle = ""
        lines: dict[str, str] = {}
        for place, (code, quantity, price, more) in enumerate(_QUOTE, start=1):
            inside = {"SBQQ__RequiredBy__c": bundle} if more.get("SBQQ__Bundled__c") else {}
            record = self._quote_line(primary, place, code, quantity, price, {**more, **inside})
            (lines[code],) = self.records("SBQQ__QuoteLine__c", [record])
            bundle = lines[code] if more.get("SBQQ__Bundle__c") else bundle
        sold = {
            line["Product2Id"]: line["Id"]
            for line in salesforce.records_by_type(self.store)["OpportunityLineItem"]
            if line["OpportunityId"] == opportunity
        }
        synced = [
            {"Id": sold[self.products[code]], "SBQQ__QuoteLine__c": key}
            for code, key in lines.items()
            if self.products[code] in sold
        ]
        self.records("OpportunityLineItem", synced)

    def _quote_line(self, quote: str, place: int, code: str, quantity: str, price: str, more: Record) -> Record:
        return {
            "SBQQ__Quote__c": quote,
            "SBQQ__Number__c": place,
            "SBQQ__Product__c": self.products[code],
            "SBQQ__Quantity__c": Decimal(quantity),
            "SBQQ__ListPrice__c": Decimal(_product(code).price),
            "SBQQ__NetPrice__c": Decimal(price),
            "SBQQ__ProrateMultiplier__c": 1,
            "SBQQ__SubscriptionPricing__c": "Fixed Price",
            "SBQQ__SubscriptionType__c": "Renewable",
            "SBQQ__DefaultSubscriptionTerm__c": 12,
            **more,
        }

    def invoice_of(self, deal: _Deal, number: str, day: date, **more: Any) -> Record:
        """An invoice of QuickBooks for a deal's lines, to be put in."""
        assert deal.account is not None
        account = next(found for found in _ACCOUNTS if found.slug == deal.account)
        days = dict(_TERMS)[account.terms]
        return {
            "CustomerRef": {"value": self.customers[deal.account]},
            "DocNumber": number,
            "TxnDate": day.isoformat(),
            "DueDate": (day + timedelta(days=days)).isoformat(),
            "SalesTermRef": {"value": self.terms[account.terms]},
            "BillEmail": {"Address": _billing_email(account)},
            "EmailStatus": "EmailSent",
            "MetaData": _times(day),
            "Line": [self._invoice_line(line.code, *line.amounts()) for line in deal.lines],
            **more,
        }

    def _invoice_line(self, code: str, quantity: Decimal, price: Decimal, total: Decimal) -> Record:
        return {
            "DetailType": "SalesItemLineDetail",
            "Amount": total,
            "Description": _product(code).description,
            "SalesItemLineDetail": {
                "ItemRef": {"value": self.items[code]},
                "Qty": quantity,
                "UnitPrice": price,
                "TaxCodeRef": {"value": "NON"},
            },
        }

    def pay(self, invoice: str, customer: str, amount: Decimal, day: date, **more: Any) -> None:
        """Put in a payment for one invoice, on that day or today at the latest."""
        day = min(day, self.today)
        link = {"TxnId": invoice, "TxnType": "Invoice"}
        payment = {
            "CustomerRef": {"value": customer},
            "TotalAmt": amount,
            "TxnDate": day.isoformat(),
            "MetaData": _times(day),
            "Line": [{"Amount": amount, "LinkedTxn": [link]}],
            **more,
        }
        self.objects("Payment", [payment])

    def credit(self, invoice: str, customer: str, number: str, amount: Decimal, day: date) -> None:
        """Put in a credit memo and use all of it for one invoice: a payment of nothing links the two."""
        memo = {
            "CustomerRef": {"value": customer},
            "DocNumber": number,
            "TxnDate": day.isoformat(),
            "MetaData": _times(day),
            "Line": [self._invoice_line("NS-CONS", Decimal(1), amount, amount)],
        }
        (memo_id,) = self.objects("CreditMemo", [memo])
        used = {"Amount": amount, "LinkedTxn": [{"TxnId": memo_id, "TxnType": "CreditMemo"}]}
        paid = {"Amount": amount, "LinkedTxn": [{"TxnId": invoice, "TxnType": "Invoice"}]}
        payment = {
            "CustomerRef": {"value": customer},
            "TotalAmt": Decimal(0),
            "TxnDate": day.isoformat(),
            "MetaData": _times(day),
            "Line": [paid, used],
        }
        self.objects("Payment", [payment])


def open_books(store: Store, clock: Clock) -> None:
    """Begin a company without any record: its name, its QuickBooks file with accounts, terms and preferences, and the
    go-live date."""
    go_live = go_live_of(clock.now().date())
    store.documents(_COLLECTION)["company"] = {"go_live": go_live.isoformat(), "name": _COMPANY}
    realm = quickbooks.QuickBooksOptions().realm_id
    quickbooks.seed_company(store, clock, name=_COMPANY, realm_id=realm)
    organization = {"Name": _COMPANY, "City": "Seattle", "State": "WA", "Country": "USA"}
    salesforce.upsert_records(store, clock, "Organization", [organization])


def seed_company_data(store: Store, clock: Clock) -> None:
    """Put the sample company into an empty sandbox, as of the clock's today."""
    open_books(store, clock)
    books = _Books(store, clock)
    books.seed_people()
    books.seed_catalogue()
    books.seed_accounts()
    _seed_other_trade(books)
    _seed_history(books, go_live_date(store, clock))
    today = books.today
    books.seed_deals((deal, today + timedelta(days=-deal.days)) for deal in (*_OPEN, *_LOST))
    refused = list(_TO_REFUSE.values())
    ids = books.seed_deals((deal, today - timedelta(days=deal.days)) for deal in (*_TO_INVOICE, *refused))
    by_the_month, by_quote = books.seed_deals((deal, today - timedelta(days=deal.days)) for deal in (_BY_THE_MONTH, _BY_QUOTE))
    salesforce.enable(store, "cpq")
    books.seed_quotes(by_quote, _BY_QUOTE)
    store.documents(_COLLECTION)["deals"] = {
        "to_invoice": [*ids[: len(_TO_INVOICE)], by_the_month, by_quote],
        "to_refuse": dict(zip(_TO_REFUSE, ids[len(_TO_INVOICE) :], strict=True)),
        "by_the_month": by_the_month,
        "by_quote": by_quote,
    }


def deals_to_invoice(store: Store) -> list[str]:
    """Ids of the sample company's deals that become invoices."""
    return list(store.documents(_COLLECTION)["deals"]["to_invoice"])


def recurring_deal(store: Store) -> str:
    """Id of the sample company's deal that is billed month by month: 1,500.00 for the set-up once, 10,000.00 over 12 months."""
    return str(store.documents(_COLLECTION)["deals"]["by_the_month"])


def quoted_deal(store: Store) -> str:
    """Id of the sample company's deal whose lines are those of a quote of Salesforce CPQ: 49,680.00."""
    return str(store.documents(_COLLECTION)["deals"]["by_quote"])


def deals_to_refuse(store: Store) -> dict[str, str]:
    """The sample company's deals that must be refused or wait for a person: the reason's key -> opportunity id."""
    return dict(store.documents(_COLLECTION)["deals"]["to_refuse"])


def _seed_history(books: _Books, go_live: date) -> None:
    """Deals won before go-live. Three were billed in QuickBooks: by an earlier program, by hand with the id noted on the
    deal, by hand without a trace."""
    days = [go_live - timedelta(days=deal.days) for deal in _HISTORY]
    ids = books.seed_deals(zip(_HISTORY, days, strict=True))
    marked, noted, by_hand = _HISTORY[:3]
    invoices = books.objects(
        "Invoice",
        [
            books.invoice_of(marked, "1031", days[0], PrivateNote=f"Salesforce Opportunity {ids[0]}"),
            books.invoice_of(noted, "1028", days[1]),
            books.invoice_of(by_hand, "1022", days[2], PrivateNote="sensors as agreed by phone"),
        ],
    )
    books.pay(invoices[0], books.customers["stonebridge"], Decimal("12000.00"), days[0] + timedelta(days=21))
    books.records(
        "Opportunity",
        [
            {
                "Id": ids[1],
                "QuickBooks_Invoice_Id__c": invoices[1],
                "QuickBooks_Invoice_Number__c": "1028",
                "Payment_Status__c": "Sent",
            }
        ],
    )
    _seed_receivables(books, ids)


def _seed_receivables(books: _Books, ids: Sequence[str]) -> None:
    """Old deals that were billed lately, and what became of their invoices: see :data:`_RECEIVABLES`. Salesforce still has
    them as sent. `ids` are those of :data:`_HISTORY`."""
    kinds = [{"Name": name, "Type": kind} for name, kind in _METHODS.items()]
    methods = dict(zip(_METHODS, books.objects("PaymentMethod", kinds), strict=True))
    found: dict[str, tuple[str, str, date]] = {}
    for slug, number, days_past_due in _RECEIVABLES:
        place = next(place for place, deal in enumerate(_HISTORY) if place > 2 and deal.account == slug)
        days = dict(_TERMS)[next(account.terms for account in _ACCOUNTS if account.slug == slug)]
        due = books.today - timedelta(days=days_past_due)
        day = due - timedelta(days=days)
        note = f"Salesforce Opportunity {ids[place]}"
        (invoice,) = books.objects("Invoice", [books.invoice_of(_HISTORY[place], number, day, PrivateNote=note)])
        found[slug] = (invoice, books.customers[slug], due)
        written = {
            "Id": ids[place],
            "QuickBooks_Invoice_Id__c": invoice,
            "QuickBooks_Invoice_Number__c": number,
            "Payment_Status__c": "Sent",
        }
        books.records("Opportunity", [written])
    invoice, customer, due = found["ironwood"]
    cheque = {"PaymentMethodRef": {"value": methods["Check"]}, "PaymentRefNum": "20418"}
    books.pay(invoice, customer, Decimal("2500.00"), due - timedelta(days=3), **cheque)
    invoice, customer, due = found["tidewater"]
    books.credit(invoice, customer, "CM-102", Decimal("1900.00"), due - timedelta(days=8))
    transfer = {"PaymentMethodRef": {"value": methods["ACH"]}, "PaymentRefNum": "TRN 88-1042"}
    books.pay(invoice, customer, Decimal("15000.00"), due - timedelta(days=1), **transfer)
    quickbooks.void_invoice(books.store, books.clock, found["maplewood"][0])


def _seed_other_trade(books: _Books) -> None:
    """What QuickBooks billed to customers that Salesforce does not know: paid, part paid, open, and a credit memo."""
    chance = random.Random(7)
    for number, (name, *_) in enumerate(_OTHER_CUSTOMERS):
        customer = books.customers[name]
        day = books.today - timedelta(days=12 + 17 * number)
        quantity = Decimal(chance.randint(2, 12))
        price = Decimal("225.00")
        total = quantity * price
        line = books._invoice_line("NS-CONS", quantity, price, total)
        (invoice,) = books.objects(
            "Invoice",
            [
                {
                    "CustomerRef": {"value": customer},
                    "DocNumber": str(1001 + number),
                    "TxnDate": day.isoformat(),
                    "DueDate": (day + timedelta(days=30)).isoformat(),
                    "SalesTermRef": {"value": books.terms["Net 30"]},
                    "BillEmail": {"Address": f"office@{_slug(name)}.example"},
                    "EmailStatus": "EmailSent",
                    "MetaData": _times(day),
                    "Line": [line],
                }
            ],
        )
        if number % 3 == 0:
            books.pay(invoice, customer, total, day + timedelta(days=11))
        elif number % 3 == 1:
            books.pay(invoice, customer, (total / 2).quantize(_CENT), day + timedelta(days=9))
    credit = books._invoice_line("NS-CONS", Decimal(1), Decimal("225.00"), Decimal("225.00"))
    books.objects(
        "CreditMemo",
        [
            {
                "CustomerRef": {"value": books.customers[_OTHER_CUSTOMERS[2][0]]},
                "DocNumber": "CM-101",
                "TxnDate": (books.today - timedelta(days=6)).isoformat(),
                "Line": [credit],
            }
        ],
    )


def bulk_company(store: Store, clock: Clock, deals: int, to_invoice: int) -> None:
    """Put a big company into an empty sandbox, for benchmarks.

    `deals` opportunities with three lines each, of which `to_invoice` are won lately and complete (each for its own
    account; every second account has a customer, the others are to be created). Of the rest three in four were won
    long ago and carry the id of their invoice in QuickBooks; one in four is open.
    """
    open_books(store, clock)
    books = _Books(store, clock)
    today = books.today
    books.seed_people()
    books.seed_catalogue()
    chance = random.Random(11)
    codes = [code for code in books.items if code != "NS-DISC"]
    older = max(1, (deals - to_invoice) // 4)
    accounts = books.records("Account", [_bulk_account(number, books.users) for number in range(to_invoice + older)])
    with_customer = [n for n in range(to_invoice + older) if n >= to_invoice or n % 2 == 0]
    customers = dict(
        zip(
            with_customer,
            books.objects("Customer", [_bulk_customer(number, books.terms["Net 30"]) for number in with_customer]),
            strict=True,
        )
    )
    opportunities, sold, holders = [], [], []
    for number in range(deals):
        lately = number < to_invoice
        opened = not lately and number % 4 == 0
        days = chance.randint(1, 20) if lately else -chance.randint(1, 90) if opened else chance.randint(90, 600)
        close_date = today - timedelta(days=days)
        lines = [_bulk_line(chance, codes) for _ in range(3)]
        holder = number if lately else to_invoice + (number - to_invoice) % older
        opportunities.append(
            _opportunity(
                name=f"Order {number:06d}",
                account=accounts[holder],
                owner=books.users[number % (len(books.users) - 1)],
                pricebook=books.pricebook,
                stage="Prospecting" if opened else "Closed Won",
                close_date=close_date,
                amount=sum((line[3] for line in lines), Decimal(0)),
                terms="Net 30",
                contract=f"{_CONTRACTS}/{number}.pdf",
                frequency="One-Time",
                today=today,
            )
        )
        sold.append(lines)
        holders.append(holder)
    billed = [n for n in range(deals) if n >= to_invoice and opportunities[n]["StageName"] == "Closed Won"]
    # The ids first, so that the notes can name the deal and the deals can name the invoice.
    ids = books.records("Opportunity", opportunities)
    invoices = books.objects(
        "Invoice",
        [
            {
                "CustomerRef": {"value": customers[holders[number]]},
                "DocNumber": str(100_000 + number),
                "TxnDate": opportunities[number]["CloseDate"],
                "SalesTermRef": {"value": books.terms["Net 30"]},
                "BillEmail": {"Address": f"ap@bulk{holders[number]}.example"},
                "EmailStatus": "EmailSent",
                "PrivateNote": f"Salesforce Opportunity {ids[number]}",
                "Line": [books._invoice_line(*line) for line in sold[number]],
            }
            for number in billed
        ],
    )
    books.records(
        "Opportunity",
        [
            {
                "Id": ids[number],
                "QuickBooks_Invoice_Id__c": invoice,
                "QuickBooks_Invoice_Number__c": str(100_000 + number),
                "Payment_Status__c": "Sent",
            }
            for number, invoice in zip(billed, invoices, strict=True)
        ],
    )
    books.records(
        "OpportunityLineItem",
        [books._line(ids[n], *line, place) for n in range(deals) for place, line in enumerate(sold[n], start=1)],
    )
    store.documents(_COLLECTION)["deals"] = {"to_invoice": ids[:to_invoice], "to_refuse": {}}


def _bulk_account(number: int, users: Sequence[str]) -> Record:
    return {
        "Name": f"Bulk Customer {number:05d} Inc.",
        "OwnerId": users[number % (len(users) - 1)],
        "BillingStreet": f"{number + 1} Long Street",
        "BillingCity": "Springfield",
        "BillingState": "IL",
        "BillingPostalCode": "62701",
        "BillingCountry": "USA",
        "Billing_Email__c": f"ap@bulk{number}.example",
        "Payment_Terms__c": "Net 30",
    }


def _bulk_customer(number: int, term: str) -> Record:
    name = f"Bulk Customer {number:05d} Inc."
    return {
        "DisplayName": name,
        "CompanyName": name,
        "PrimaryEmailAddr": {"Address": f"ap@bulk{number}.example"},
        "BillAddr": {"Line1": f"{number + 1} Long Street", "City": "Springfield", "CountrySubDivisionCode": "IL"},
        "SalesTermRef": {"value": term},
    }


def _bulk_line(chance: random.Random, codes: Sequence[str]) -> tuple[str, Decimal, Decimal, Decimal]:
    code = chance.choice(codes)
    quantity = Decimal(chance.randint(1, 40))
    price = Decimal(_product(code).price)
    return code, quantity, price, quantity * price


def _opportunity(
    *,
    name: str,
    account: str | None,
    owner: str,
    pricebook: str | None,
    stage: str,
    close_date: date,
    amount: Decimal,
    terms: str | None,
    contract: str | None,
    frequency: str | None,
    today: date,
    periods: int | None = None,
) -> Record:
    return {
        "Name": name,
        "AccountId": account,
        "OwnerId": owner,
        "Pricebook2Id": pricebook,
        "StageName": stage,
        "CloseDate": close_date.isoformat(),
        "Amount": amount,
        "Type": "New Business",
        "Payment_Terms__c": terms,
        "Contract_URL__c": contract,
        "Billing_Frequency__c": frequency,
        "Billing_Periods__c": periods,
        "Billing_Start_Date__c": close_date.isoformat() if periods else None,
        "CreatedDate": _instant(min(close_date, today) - timedelta(days=40)),
        "LastStageChangeDate": _instant(min(close_date, today - timedelta(days=9))),
    }


def _instant(day: date) -> str:
    """The afternoon of a day, as Salesforce writes an instant."""
    return f"{day.isoformat()}T17:20:00.000+0000"


def _times(day: date) -> Record:
    """The MetaData of a transaction that was written on a day."""
    return {"CreateTime": f"{day.isoformat()}T18:05:00Z"}


def _phone(number: int, pattern: str) -> str:
    """A telephone number from the block that is kept for fiction."""
    return pattern.format("303", "555", f"01{number:02d}")


def _billing_email(account: _Account) -> str:
    return f"ap@{account.slug}.example" if account.email is None else account.email


def _contact_email(account: _Account) -> str | None:
    if account.email == "":
        return None
    return f"{_mail_name(*account.contact)}@{account.slug}.example"


_LETTERS = {
    "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "ø": "o", "í": "i", "é": "e", "á": "a", "É": "e", "'": "",
}  # fmt: skip


def _mail_name(first: str, last: str) -> str:
    """first.last in plain letters."""
    return "".join(_LETTERS.get(letter, letter) for letter in f"{first}.{last}".lower())


def _slug(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum())


def _without_none(record: Mapping[str, Any]) -> Record:
    return {name: value for name, value in record.items() if value is not None}
