"""Companies that are in Salesforce, in QuickBooks or in both, written down as people write them. Seeded; the truth is known.

About a third are hard on purpose: subsidiaries by region that share a domain, an office and a switchboard; holdings and
foundations; franchises; public bodies; homonyms; neighbours by one letter; sites shared by two firms; clients of one bookkeeper.
The same company is written in two ways: the sales side mostly neat, the ledger's side with other legal forms, typos,
abbreviations, lost and swapped words, names that were cut off, account numbers and towns behind them, missing and moved
addresses, private mailboxes and bill payment services.
"""

# ruff: noqa: RUF001, E501, SIM905 (tables of words in several scripts)

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from qbsf_pipeline.customers.matching.plan import DECISIONS, LINKS
from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline_tests.invoices.records import frame

_SURNAMES = """Abbott Ackerman Albrecht Alvarez Anders Arnold Ashby Atwood Baird Barlow Barrett Bauer Becker Benson Berger Bianchi
Blake Boyle Brandt Brooks Bryant Calloway Carlson Castro Chandler Clement Coleman Conrad Corbett Costa Crane Cruz
Dalton Decker Delgado Dietrich Donnelly Doyle Drake Duarte Duncan Eaton Eckert Ellison Engel Espinoza Fabian Farrell
Ferrari Fischer Fleming Fournier Frost Fuchs Galvan Garner Gibbs Goodwin Graves Greer Hagen Hale Hansen Harmon Hartley
Haynes Heller Hoffman Holloway Hubbard Huang Ibarra Ingram Jansen Jarvis Jensen Kaplan Keller Kendall Kessler Klein
Kowalski Kramer Lambert Lang Larkin Larsen Lehmann Leonard Lindgren Lombardi Lowery Lucero Maddox Maldonado Marsh
Mercer Meyer Molina Montoya Morrow Mueller Nakamura Navarro Nichols Nielsen Novak O'Brien O'Donnell Olsen Ortega
Osborne Palmer Patel Pearce Petersen Pham Pollard Porter Quinn Ramsey Reyes Richter Ritter Robbins Romano Rossi
Sandoval Sato Sawyer Schaefer Schmidt Schröder Shaw Shepherd Silva Simmons Slater Sokolov Solis Stafford Steiner Stone
Strand Suzuki Swanson Sweeney Tanaka Thorpe Townsend Tran Tucker Underwood Valdez Vance Vega Vogel Wagner Wallace
Walsh Watkins Weaver Weber Weiss Whitaker Winters Wolfe Wong Yamamoto Yates Zamora Ziegler Zimmerman""".split()
_SURNAMES += [
    head + tail
    for head in """Ash Bar Beck Bel Black Brad Bran Brook Burn Carl Cole Cran Dal Dun East Ed El Fair Far Gar Glen Gold Grand Green Hal
Ham Har Hart Haw Hay Hey Hol Hux Ken King Kirk Lang Lin Lock Mar May Mil Nor Oak Pem Pres Rad Red Rock Rush Sel Shel
Sher Stan Strat Sum Sut Thorn Tor Wade Wal Wat West Whit Win Wood Wor Wynd""".split()
    for tail in """berg borough bridge bury by cliff combe den dale field ford ham hurst ingham ington land ley lock man mere more son
stead stein stock thorpe ton vale well wick wood worth""".split()
]
_TRADES = """Plumbing|Roofing|Catering|Landscaping|Print Works|Dental Group|Law Offices|Veterinary Clinic|Auto Body|Machine Works
Bakery|Brewing|Freight|Architects|Engineering|Electric|Heating and Cooling|Pest Control|Pharmacy|Optical|Furniture|Cabinetry
Glass|Steel|Concrete|Paving|Fencing|Painting|Flooring|Insulation|Security|Staffing|Accounting|Tax Advisors|Wealth Advisors
Marketing|Design Studio|Photography|Media|Software|Data Systems|Analytics|Robotics|Instruments|Biosciences|Laboratories
Packaging|Plastics|Chemicals|Textiles|Footwear|Toys|Foods|Dairy|Farms|Vineyards|Coffee Roasters|Seafood|Produce|Trucking
Towing|Aviation Services|Boat Yard|Cycle Works|Fitness|Yoga|Day Care|Montessori|Tutoring|Driving Academy|Funeral Home|Florist
Nursery|Irrigation|Well Drilling|Surveying|Excavating|Demolition|Environmental|Recycling|Waste Services|Solar|Windows and Doors
Manufacturing|Equipment Rental|Tool Supply|Medical Supply|Janitorial Services|Technologies|Consulting|Management|Development
Construction|Industries|Enterprises|Solutions|Communications|Hospital|Imaging|Orthopedics|Pediatrics|Dermatology""".replace(
    "\n", "|"
).split("|")
_HEADS = """ar bel bren cal cor dal den el fal fen gal gra hal hex il jor kal kes lan lor mar mel nor ob or pal quan ral ser tal
ul val ver wex xan yor zel""".split()
_MIDDLES = """a e i o u ae ia io ta ti ro ra ne ni lo li va vi de da""".split()
_TAILS = """bridge core dyne fex gen gate lex lith lux max mont nex nor page path quest ra ric rise sol stone tek tor tron va
vance vex via vista wave""".split()
_PLACES = """Maple|Cedar|Willow|Granite|Harbor|Prairie|Summit|Riverbend|Lakeside|Copper Canyon|Silver Creek|Blue Heron|Iron Gate
Eagle Rock|Fox Hollow|Stonebridge|Redwood|Sunrise|Evergreen|Pinnacle|Keystone|Heritage|Liberty|Pioneer|Frontier|Beacon|Anchor
Compass|Horizon|Crescent|Golden Oak|White Pine|Black Bear|Red Barn|Green Valley|Clearwater|Bright Star|Northfield|Southgate
Westbrook|Eastwood""".replace("\n", "|").split("|")
_CITIES: list[tuple[str, str, str, str]] = [
    tuple(line.split("|"))  # type: ignore[misc]
    for line in """Boulder|CO|803|303
Denver|CO|802|720
Fort Collins|CO|805|970
Springfield|IL|627|217
Springfield|MO|658|417
Portland|OR|972|503
Portland|ME|041|207
Columbus|OH|432|614
Columbus|GA|319|706
Austin|TX|787|512
Dallas|TX|752|214
Houston|TX|770|713
San Antonio|TX|782|210
Madison|WI|537|608
Milwaukee|WI|532|414
Salem|OR|973|971
Salem|MA|019|978
Boston|MA|021|617
Albany|NY|122|518
Buffalo|NY|142|716
New York|NY|100|212
Brooklyn|NY|112|718
Newark|NJ|071|973
Philadelphia|PA|191|215
Pittsburgh|PA|152|412
Baltimore|MD|212|410
Richmond|VA|232|804
Raleigh|NC|276|919
Charlotte|NC|282|704
Charleston|SC|294|843
Savannah|GA|314|912
Atlanta|GA|303|404
Jacksonville|FL|322|904
Miami|FL|331|305
Tampa|FL|336|813
Nashville|TN|372|615
Memphis|TN|381|901
Louisville|KY|402|502
Cleveland|OH|441|216
Detroit|MI|482|313
Grand Rapids|MI|495|616
Chicago|IL|606|312
Naperville|IL|605|630
Minneapolis|MN|554|612
St. Paul|MN|551|651
Des Moines|IA|503|515
Omaha|NE|681|402
Kansas City|MO|641|816
Wichita|KS|672|316
Tulsa|OK|741|918
Little Rock|AR|722|501
New Orleans|LA|701|504
Albuquerque|NM|871|505
Phoenix|AZ|850|602
Tucson|AZ|857|520
Las Vegas|NV|891|702
Reno|NV|895|775
Salt Lake City|UT|841|801
Boise|ID|837|208
Spokane|WA|992|509
Seattle|WA|981|206
Tacoma|WA|984|253
Sacramento|CA|958|916
Oakland|CA|946|510
San Jose|CA|951|408
San Diego|CA|921|619
Fresno|CA|937|559
Los Angeles|CA|900|213""".splitlines()
]
_STREETS = """Main Street|Oak Avenue|Industrial Parkway|Market Street|Second Avenue|Church Street|Commerce Drive|Park Road|Mill Lane
Lakeview Boulevard|Railroad Avenue|Jefferson Street|Lincoln Highway|Airport Road|Center Court|Harbor Drive|Elm Street
Broadway|Canyon Road|Enterprise Way|Technology Drive|Cherry Lane|Franklin Square|Highland Terrace|River Road|Station Place""".replace(
    "\n", "|"
).split("|")
_FORMS = """Inc.|LLC|Corp.|Co.|Ltd.|, Inc.|, LLC|L.L.C.|Corporation|Incorporated|Company|LP|PLLC|P.C.""".replace("\n", "|").split(
    "|"
)
_REGIONS = """East|West|North|South|Northeast|Southwest|Midwest|Texas|California|Florida|Ohio|Canada|Mexico|Europe|Asia Pacific|UK
Central|Pacific|Atlantic""".replace("\n", "|").split("|")
_SISTERS = """Holdings Foundation Capital Ventures Leasing Logistics Realty Properties Trust Global International II III Medical
Group Partners""".split()
_SITE_MATES = ["Restaurant", "Cafe", "Spa", "Hotel", "Gallery", "Theatre"]
_TELLING = {word for name in (*_REGIONS, *_SISTERS, *_SITE_MATES) for word in (name, f"({name})", *name.split())}
_FREE = ["gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "aol.com", "comcast.net"]
_PAYERS = ["bill.com", "coupahost.com", "avidxchange.net", "concursolutions.com", "invoices.ramp.com"]
_ABBREVIATIONS = {
    "Manufacturing": "Mfg", "Services": "Svcs", "Technologies": "Tech", "Engineering": "Engr.", "Construction": "Constr",
    "Management": "Mgmt", "Industries": "Ind.", "Enterprises": "Ent", "Hospital": "Hosp", "International": "Intl",
    "Equipment": "Equip", "Laboratories": "Labs", "Systems": "Sys", "Electric": "Elec", "Brothers": "Bros", "Supply": "Sup",
    "Development": "Dev.", "Solutions": "Soln", "Group": "Grp", "Communications": "Comm.", "Associates": "Assoc.",
    "Academy": "Acad", "Medical": "Med", "Saint": "St.", "Environmental": "Env", "Packaging": "Pkg",
}  # fmt: skip
_FIRST_NAMES = (
    """Ana Ben Carla David Elena Frank Grace Hugo Irene James Karen Luis Maria Nora Omar Paula Rita Sam Tara Victor""".split()
)
_UNICODE = [
    "Café Lumière",
    "Zoë & Søn",
    "Müller Söhne",
    "Łódź Works",
    "Señor Taco",
    "神奈川ロボット",
    "ООО Ромашка",
    "Œuvre Atelier",
    "Škoda Parts",
]


@dataclass(frozen=True)
class Company:
    """What is true of one company."""

    number: int
    core: str
    form: str
    street: str
    city: str
    state: str
    postal_code: str
    phone: str
    domain: str
    mailbox: str
    person: str

    @property
    def email(self) -> str:
        """Where its invoices go."""
        return self.mailbox if "@" in self.mailbox else f"{self.mailbox}@{self.domain}"


@dataclass(frozen=True)
class Labelled:
    """Both systems, and who is who.

    Attributes:
        accounts, customers, contacts: as the pulls leave them.
        company_of_account, company_of_customer: id -> number of the company.
    """

    accounts: pl.DataFrame
    customers: pl.DataFrame
    contacts: pl.DataFrame
    company_of_account: dict[str, int]
    company_of_customer: dict[str, int]
    links: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LINKS))
    decisions: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DECISIONS))


def generate(seed: int, size: int, noise: float = 1.0) -> Labelled:
    """About ``size`` accounts and as many customers.

    Args:
        seed: the same seed gives the same companies, whatever the machine.
        noise: factor on everything that people get wrong.
    """
    return _Generator(seed, noise).run(size)


class _Generator:
    def __init__(self, seed: int, noise: float) -> None:
        self._random = random.Random(seed)
        self._noise = noise
        self._companies: list[Company] = []

    def run(self, size: int) -> Labelled:
        while len(self._companies) < size * 1.12:
            self._add_some()
        accounts: list[dict[str, Any]] = []
        customers: list[dict[str, Any]] = []
        contacts: list[dict[str, Any]] = []
        taken: defaultdict[str, int] = defaultdict(int)
        for company in self._companies:
            where = self._random.random()
            # 76 of 100 are in both, 12 only in one of the two.
            for _ in range(0 if where > 0.88 else 2 if self._chance(0.04, 1) else 1):
                accounts.append(self._account(company, len(accounts) + 1))
                if self._chance(0.35, 1):
                    contacts.append(self._contact(company, accounts[-1]["id"], len(contacts) + 1))
            for _ in range(0 if where < 0.12 else 2 if self._chance(0.04, 1) else 1):
                customers.append(self._customer(company, len(customers) + 1, taken))
        self._random.shuffle(accounts)
        self._random.shuffle(customers)
        return Labelled(
            accounts=frame(salesforce.ACCOUNT, accounts),
            customers=frame(quickbooks.CUSTOMER, customers),
            contacts=frame(salesforce.CONTACT, contacts),
            company_of_account={row["id"]: row["company"] for row in accounts},
            company_of_customer={row["id"]: row["company"] for row in customers},
        )

    # Companies

    def _add_some(self) -> None:
        kinds: list[tuple[float, Callable[[], None]]] = [
            (0.60, self._plain),
            (0.68, self._subsidiaries),
            (0.74, self._sisters),
            (0.79, self._franchise),
            (0.83, self._public_bodies),
            (0.88, self._homonyms),
            (0.92, self._neighbours),
            (0.96, self._clients_of_a_bookkeeper),
            (0.98, self._shared_site),
            (1.00, self._european_house),
        ]
        drawn = self._random.random()
        next(make for limit, make in kinds if drawn <= limit)()

    def _company(self, core: str, **known: Any) -> Company:
        number = len(self._companies) + 1
        city, state, zip3, area = self._random.choice(_CITIES)
        slug = (
            "".join(character for character in core.lower() if character.isascii() and character.isalnum())[:18]
            or f"firm{number}"
        )
        person = f"{self._random.choice(_FIRST_NAMES)} {self._random.choice(_SURNAMES)}"
        values: dict[str, Any] = {
            "number": number,
            "core": core,
            "form": self._random.choice(_FORMS),
            "street": f"{self._random.randint(1, 9900)} {self._random.choice(_STREETS)}",
            "city": city,
            "state": state,
            "postal_code": f"{zip3}{self._random.randint(1, 60):02d}",
            "phone": f"{area}{self._random.randint(200, 999)}{self._random.randint(0, 9999):04d}",
            "domain": self._random.choice([f"{slug}.com", f"{slug}{number % 97}.com", f"{slug[:8]}{number}.net", f"go{slug}.co"]),
            "mailbox": self._random.choice(["ap", "billing", "accounts", "invoices", person.split()[0].lower(), "office"]),
            "person": person,
            **known,
        }
        company = Company(**values)
        self._companies.append(company)
        return company

    def _core(self) -> str:
        drawn = self._random.random()
        surname = self._random.choice(_SURNAMES)
        trade = self._random.choice(_TRADES)
        coined = (self._random.choice(_HEADS) + self._random.choice(_MIDDLES) + self._random.choice(_TAILS)).capitalize()
        if drawn < 0.22:
            return f"{surname} {trade}"
        if drawn < 0.32:
            return f"{surname} & {self._random.choice(_SURNAMES)} {trade}"
        if drawn < 0.38:
            return f"{surname} {self._random.choice(['& Sons', 'Brothers', '& Associates', 'Family'])} {trade}"
        if drawn < 0.58:
            return f"{coined} {trade}"
        if drawn < 0.66:
            return coined
        if drawn < 0.82:
            return f"{self._random.choice(_PLACES)} {trade}"
        if drawn < 0.90:
            return f"{self._random.choice(_CITIES)[0]} {trade}"
        if drawn < 0.94:
            return f"The {self._random.choice(_PLACES)} {self._random.choice(['Group', 'Company', 'Collective', 'House'])}"
        if drawn < 0.96:
            return f"{self._random.choice(_UNICODE)} {trade}"
        return f"{self._random.choice(_FIRST_NAMES)} {surname}"

    def _plain(self) -> None:
        self._company(self._core())

    def _subsidiaries(self) -> None:
        parent = self._company(self._core())
        for region in self._random.sample(_REGIONS, self._random.randint(1, 3)):
            name = self._random.choice([f"{parent.core} {region}", f"{parent.core} of {region}", f"{parent.core} ({region})"])
            shared: dict[str, Any] = {"domain": parent.domain}
            if self._chance(0.5, 1):
                shared |= {key: getattr(parent, key) for key in ("street", "city", "state", "postal_code")}
            if self._chance(0.5, 1):
                shared["phone"] = parent.phone
            if self._chance(0.4, 1):
                shared["mailbox"] = parent.mailbox
            self._company(name, **shared)

    def _sisters(self) -> None:
        parent = self._company(self._core())
        place = {key: getattr(parent, key) for key in ("street", "city", "state", "postal_code", "phone", "domain", "mailbox")}
        for sister in self._random.sample(_SISTERS, self._random.randint(1, 2)):
            self._company(f"{parent.core} {sister}", **place)

    def _franchise(self) -> None:
        first = self._company(self._core())
        for number in range(self._random.randint(1, 9)):
            shared: dict[str, Any] = {"domain": first.domain}
            if self._chance(0.3, 1):
                shared["mailbox"] = first.mailbox
            name = f"{first.core} #{number + 102}" if self._chance(0.2, 1) else first.core
            self._company(name, form=first.form, **shared)

    def _public_bodies(self) -> None:
        city, state, zip3, _ = self._random.choice(_CITIES)
        for kind in self._random.sample(
            ["City of {}", "{} School District", "{} County Library", "{} Fire Department", "Diocese of {}"], 2
        ):
            self._company(
                kind.format(city), form="", city=city, state=state, postal_code=f"{zip3}{self._random.randint(1, 60):02d}"
            )

    def _homonyms(self) -> None:
        core = self._core()
        for _ in range(self._random.randint(2, 4)):
            # Now and then in one town.
            near = self._companies[-1] if self._companies and self._chance(0.15, 1) else None
            place = {"city": near.city, "state": near.state, "postal_code": near.postal_code} if near else {}
            self._company(core, **place)

    def _neighbours(self) -> None:
        first = self._company(self._core())
        letters = [place for place, letter in enumerate(first.core) if letter.isalpha() and letter.islower()]
        if letters:
            place = self._random.choice(letters)
            other = self._random.choice("aeiorstln")
            self._company(
                first.core[:place] + other + first.core[place + 1 :] if other != first.core[place] else first.core + "s"
            )

    def _clients_of_a_bookkeeper(self) -> None:
        keeper = self._company(f"{self._random.choice(_SURNAMES)} Bookkeeping")
        shared = {key: getattr(keeper, key) for key in ("street", "city", "state", "postal_code", "phone")}
        for _ in range(self._random.randint(2, 6)):
            self._company(self._core(), mailbox=f"clients@{keeper.domain}", **(shared if self._chance(0.7, 1) else {}))

    def _shared_site(self) -> None:
        first = self._company(self._core())
        place = {key: getattr(first, key) for key in ("street", "city", "state", "postal_code", "phone")}
        word = self._random.choice(_SITE_MATES)
        self._company(f"{first.core} {word}", **place)

    def _european_house(self) -> None:
        core = self._core()
        first = self._company(core, form="AG")
        shared = {"domain": first.domain} if self._chance(0.6, 1) else {}
        self._company(core, form="GmbH", **shared)

    # How it is written down

    def _chance(self, share: float, factor: float | None = None) -> bool:
        return self._random.random() < share * (self._noise if factor is None else factor)

    def _account(self, company: Company, number: int) -> dict[str, Any]:
        name = _named(company.core, company.form)
        if self._chance(0.06):
            name = self._typo(name)
        if self._chance(0.25):
            name = company.core
        row = {
            "id": f"001{number:012d}AAA",
            "company": company.number,
            "name": name,
            "phone": None if self._chance(0.2) else self._phone(company.phone),
            "website": None
            if self._chance(0.3)
            else self._random.choice(["https://www.{}", "{}", "http://{}/", "www.{}"]).format(company.domain),
            "billing_email": None if self._chance(0.25) else company.email,
            "currency": None,
        }
        if not self._chance(0.12):
            row |= self._address(company, "billing")
        return row

    def _contact(self, company: Company, account_id: str, number: int) -> dict[str, Any]:
        first = company.person.split()[0].lower()
        return {
            "id": f"003{number:012d}AAA",
            "account_id": account_id,
            "name": company.person,
            "email": f"{first}@{company.domain}",
        }

    def _customer(self, company: Company, number: int, taken: defaultdict[str, int]) -> dict[str, Any]:
        written = self._ledger_name(company)
        key = written.casefold()
        taken[key] += 1
        display = (
            written
            if taken[key] == 1
            else f"{written} ({taken[key]})"
            if self._chance(0.5, 1)
            else f"{written} - {1000 + number}"
        )
        row: dict[str, Any] = {
            "id": str(number),
            "sync_token": "0",
            "company": company.number,
            "display_name": display,
            "company_name": written if self._chance(0.6, 1) else None,
            "phone": None if self._chance(0.35) else self._phone(company.phone),
            "website": None if self._chance(0.75) else f"http://{company.domain}",
            "active": True,
            "currency": "USD",
            "given_name": company.person.split()[0] if self._chance(0.3, 1) else None,
        }
        row["family_name"] = company.person.split()[1] if row["given_name"] else None
        if self._chance(0.28):
            row["email"] = None
        elif self._chance(0.2):
            row["email"] = (
                f"{company.person.replace(' ', '.').replace(chr(39), '').lower()}{company.number % 50}@{self._random.choice(_FREE)}"
            )
        elif self._chance(0.08):
            row["email"] = f"{company.number}@{self._random.choice(_PAYERS)}"
        else:
            row["email"] = (
                company.email if self._chance(0.6, 1) else f"{self._random.choice(_FIRST_NAMES).lower()}@{company.domain}"
            )
        if not self._chance(0.22):
            place = company
            if self._chance(0.10):
                city, state, zip3, _ = self._random.choice(_CITIES)
                place = replace(
                    company,
                    street=f"{self._random.randint(1, 9900)} {self._random.choice(_STREETS)}",
                    **(
                        {"city": city, "state": state, "postal_code": f"{zip3}{self._random.randint(1, 60):02d}"}
                        if self._chance(0.6, 1)
                        else {}
                    ),
                )
            row |= self._address(place, "billing", ledger=True)
        return row

    def _address(self, place: Company, kind: str, *, ledger: bool = False) -> dict[str, Any]:
        street, postal, city = place.street, place.postal_code, place.city
        if self._chance(0.4):
            for whole, short in (("Street", "St"), ("Avenue", "Ave."), ("Road", "Rd"), ("Drive", "Dr"), ("Boulevard", "Blvd")):
                street = street.replace(whole, short)
        if self._chance(0.15):
            street += self._random.choice(["\nSuite 200", ", Ste 14", " #3", "\nFloor 2"])
        if self._chance(0.1) and ledger:
            street = f"{place.person}\n{street}"
        if self._chance(0.03):
            street = self._typo(street)
        if self._chance(0.1):
            postal += f"-{self._random.randint(1000, 9999)}"
        if self._chance(0.04):
            city = self._typo(city)
        row = {f"{kind}_street": street, f"{kind}_city": city, f"{kind}_state": place.state, f"{kind}_postal_code": postal}
        for part in ("street", "postal_code", "city"):
            if self._chance(0.04):
                row[f"{kind}_{part}"] = None
        return row

    def _ledger_name(self, company: Company) -> str:
        core, form = company.core, company.form
        if self._chance(0.45):
            strict = form in ("AG", "GmbH")
            form = "" if strict or self._chance(0.5, 1) else self._random.choice(_FORMS)
        if self._chance(0.18):
            for whole, short in _ABBREVIATIONS.items():
                core = core.replace(whole, short)
        if self._chance(0.10):
            core = core.replace(" & ", " and ") if "&" in core else core.replace(" and ", " & ")
        if self._chance(0.12):
            core = self._typo(core)
        words = core.split()
        # What is lost is never the word that makes a sister company of it: then nobody could tell.
        losable = [place for place in range(1, len(words)) if words[place] not in _TELLING]
        if self._chance(0.04) and len(words) >= 3 and losable:
            words.pop(self._random.choice(losable))
        if self._chance(0.03) and len(words) >= 2:
            place = self._random.randrange(len(words) - 1)
            words[place], words[place + 1] = words[place + 1], words[place]
        core = " ".join(words)
        if self._chance(0.01) and len(words) >= 3:
            core, form = "".join(word[0] for word in words if word[0].isalpha()).upper(), ""
        if self._chance(0.03):
            core = core.removeprefix("The ") if core.startswith("The ") else f"The {core}"
        if self._chance(0.02):
            core = f"{company.person.split()[1]} Ventures LLC dba {core}"
        name = _named(core, form)
        drawn = self._random.random() / self._noise
        if drawn < 0.015:
            name += " (C)"
        elif drawn < 0.035:
            name += f" - {self._random.randint(1000, 99999)}"
        elif drawn < 0.055:
            name += self._random.choice([" - {}", " {}", " ({})"]).format(company.city)
        if self._chance(0.06):
            name = name[: self._random.choice([31, 41])].strip()
        if self._chance(0.08):
            name = name.upper()
        return name

    def _typo(self, text: str) -> str:
        letters = [place for place, letter in enumerate(text) if letter.isalpha()]
        if len(letters) < 5:
            return text
        place = self._random.choice(letters[1:])
        drawn = self._random.random()
        if drawn < 0.3:
            return text[:place] + text[place + 1 :]
        if drawn < 0.55:
            return text[:place] + text[place] + text[place:]
        if drawn < 0.8:
            return text[:place] + self._random.choice("aeiorstlnm") + text[place + 1 :]
        return text[: place - 1] + text[place : place + 1] + text[place - 1 : place] + text[place + 1 :]

    def _phone(self, digits: str) -> str:
        shapes: Sequence[str] = ("({}) {}-{}", "{}-{}-{}", "{}.{}.{}", "+1 {} {} {}", "1-{}-{}-{}", "{}{}{}", "({}) {}-{} x12")
        return self._random.choice(shapes).format(digits[:3], digits[3:6], digits[6:])


def _named(core: str, form: str) -> str:
    return core + form if form.startswith(",") else f"{core} {form}".strip()
