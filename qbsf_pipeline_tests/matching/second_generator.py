"""Companies of thirteen countries, written down by other hands than those of :mod:`generator`: other words, other mistakes.

Made from the description of an independent set alone, before the rules were read; afterwards, with wrong links in view, labels
were mended that nobody could have told (two homonyms with one domain, Holding beside Holdings, a lost word). About a third of the companies are hard:
regional arms, holdings and numbered funds under one roof, parents and subsidiaries, franchises with one corporate domain, public
bodies, homonyms (in one town, too), neighbours by one letter, unrelated clients of one bookkeeper, tenants of one building, and
the two bodies of one name with different legal forms. A company that moved is the same company. A word that tells two of them
apart is never lost on the way, for nobody could tell them apart then.

:func:`written_down` writes any companies down in this way, for instance real ones.
"""

# ruff: noqa: RUF001, E501, SIM905 (tables of words in several scripts)

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from anyascii import anyascii

from qbsf_pipeline.quickbooks import objects as quickbooks
from qbsf_pipeline.salesforce import objects as salesforce
from qbsf_pipeline_tests.invoices.records import frame
from qbsf_pipeline_tests.matching.generator import Labelled


@dataclass(frozen=True)
class Body:
    """What is true of one company.

    Attributes:
        number: tells companies apart; two records of one number are one company.
        stem, form: the name without and the legal form; a form in :data:`_LEADING_FORMS` comes first.
        mark: the words that tell it from a sister, which no error takes away.
        phone: digits of the national number, without the trunk zero; empty where unknown.
        domain, mailbox: of the web site; where invoices are mailed to, with or without a domain of its own.
        hard: planted to be confused with another.
    """

    number: int
    stem: str
    form: str
    country: str
    street: str
    town: str
    region: str
    postcode: str
    phone: str = ""
    domain: str = ""
    mailbox: str = "accounts"
    person: str = ""
    mark: str = ""
    hard: bool = False

    @property
    def name(self) -> str:
        """The name as registered."""
        return _with_form(self.stem, self.form)

    @property
    def email(self) -> str:
        """Where its invoices go; empty where the company has neither a domain nor a mailbox elsewhere."""
        if "@" in self.mailbox or not self.domain:
            return self.mailbox if "@" in self.mailbox else ""
        return f"{self.mailbox}@{self.domain}"


@dataclass(frozen=True)
class _Country:
    share: float
    names: tuple[str, ...]
    code: str
    towns: tuple[tuple[str, str, str, str], ...]
    streets: tuple[str, ...]
    forms: tuple[str, ...]
    top_domain: str
    number_first: bool = False
    #: Of a phone number, area code included, trunk zero not.
    digits: int = 9


def _lines(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for line in text.strip().splitlines() for part in line.split("|") if part.strip())


def _towns(text: str) -> tuple[tuple[str, str, str, str], ...]:
    """Town/region/beginning of the postal code (# is a digit, @ a letter)/area code."""
    return tuple(tuple(part.split("/")) for part in _lines(text))  # type: ignore[misc]


_COUNTRIES: dict[str, _Country] = {
    "US": _Country(
        0.62, ("United States", "USA", "US", ""), "1",
        _towns("""Bend/OR/977##/541|Eugene/OR/974##/541|Bellevue/WA/980##/425|Yakima/WA/989##/509|Missoula/MT/598##/406
        Casper/WY/826##/307|Provo/UT/846##/801|Flagstaff/AZ/860##/928|Mesa/AZ/852##/480|Santa Fe/NM/875##/505|El Paso/TX/799##/915
        Lubbock/TX/794##/806|Fort Worth/TX/761##/817|Plano/TX/750##/972|Baton Rouge/LA/708##/225|Mobile/AL/366##/251
        Huntsville/AL/358##/256|Knoxville/TN/379##/865|Lexington/KY/405##/859|Lexington/MA/024##/781|Asheville/NC/288##/828
        Durham/NC/277##/984|Greenville/SC/296##/864|Greenville/NC/278##/252|Augusta/GA/309##/762|Augusta/ME/043##/207
        Orlando/FL/328##/407|Naples/FL/341##/239|Norfolk/VA/235##/757|Wilmington/DE/198##/302|Wilmington/NC/284##/910
        Trenton/NJ/086##/609|Hartford/CT/061##/860|Providence/RI/029##/401|Worcester/MA/016##/508|Concord/NH/033##/603
        Concord/CA/945##/925|Burlington/VT/054##/802|Rochester/NY/146##/585|Rochester/MN/559##/507|Syracuse/NY/132##/315
        Yonkers/NY/107##/914|Erie/PA/165##/814|Lancaster/PA/176##/717|Akron/OH/443##/330|Dayton/OH/454##/937
        Toledo/OH/436##/419|Lansing/MI/489##/517|Fort Wayne/IN/468##/260|Evansville/IN/477##/812|Peoria/IL/616##/309
        Green Bay/WI/543##/920|Duluth/MN/558##/218|Fargo/ND/581##/701|Sioux Falls/SD/571##/605|Lincoln/NE/685##/531
        Topeka/KS/666##/785|Norman/OK/730##/405|St. Louis/MO/631##/314|Colorado Springs/CO/809##/719|Pasadena/CA/911##/626
        Long Beach/CA/908##/562|Riverside/CA/925##/951|Santa Rosa/CA/954##/707|Stockton/CA/952##/209|Anchorage/AK/995##/907
        Honolulu/HI/968##/808"""),
        _lines("""Washington Street|Juniper Avenue|Old Mill Road|Magnolia Boulevard|Quarry Road|Depot Street|Third Street|Sycamore Drive
        Corporate Drive|Innovation Parkway|Meadow Lane|Bridge Street|County Road 12|State Highway 9|Hickory Court|Prospect Avenue
        Union Square|Dogwood Circle|Kingston Pike|North Loop Road|South Water Street|East Capitol Avenue|Ridge Trail|Foundry Street"""),
        ("Inc.", "Inc", "LLC", "Corporation", "Corp", "Co.", "L.L.C.", "LLP", "Ltd.", "Company", "P.A.", "LP", ""), "com", True, 10,
    ),
    "GB": _Country(
        0.08, ("United Kingdom", "UK", "GB", "England"), "44",
        _towns("""Leeds//LS# #@@/113|Manchester//M# #@@/161|Bristol//BS# #@@/117|London//EC# #@@/20|London//SE# #@@/20
        Edinburgh//EH# #@@/131|Cardiff//CF# #@@/29|Sheffield//S# #@@/114|Norwich//NR# #@@/1603|Newcastle upon Tyne//NE# #@@/191"""),
        _lines("High Street|Station Road|Victoria Road|Church Lane|Albert Street|Kings Road|The Crescent|Mill Road|Canal Wharf|Queensway"),
        ("Ltd", "Limited", "PLC", "LLP", "Ltd."), "co.uk", True, 10,
    ),
    "CA": _Country(
        0.05, ("Canada", "CA"), "1",
        _towns("""Toronto/ON/M#@ #@#/416|Ottawa/ON/K#@ #@#/613|Calgary/AB/T#@ #@#/403|Vancouver/BC/V#@ #@#/604
        Halifax/NS/B#@ #@#/902|Winnipeg/MB/R#@ #@#/204|Montréal/QC/H#@ #@#/514|Québec/QC/G#@ #@#/418"""),
        _lines("Yonge Street|Granville Street|Portage Avenue|Barrington Street|Rue Sainte-Catherine|Boulevard Laurier|Front Street|8th Avenue SW"),
        ("Inc.", "Ltd.", "Ltée", "Corp.", "Limited"), "ca", True, 10,
    ),
    "DE": _Country(
        0.06, ("Germany", "Deutschland", "DE"), "49",
        _towns("München//80###/89|Köln//50###/221|Hamburg//20###/40|Düsseldorf//40###/211|Nürnberg//90###/911|Leipzig//04###/341|Stuttgart//70###/711"),
        _lines("Hauptstraße|Bahnhofstraße|Gartenweg|Industriestraße|Schillerplatz|Lindenallee|Am Hafen|Königstraße"),
        ("GmbH", "GmbH & Co. KG", "AG", "KG", "e.K.", "UG (haftungsbeschränkt)", "OHG"), "de", False, 10,
    ),
    "FR": _Country(
        0.04, ("France", "FR"), "33",
        _towns("Lyon//690##/4|Paris//750##/1|Nantes//440##/2|Marseille//130##/4|Lille//590##/3|Saint-Étienne//420##/4"),
        _lines("rue de la République|avenue Victor Hugo|place Bellecour|boulevard Voltaire|rue des Écoles|chemin du Moulin"),
        ("SARL", "SAS", "S.A.", "EURL", "S.A.S."), "fr", True,
    ),
    "IT": _Country(
        0.03, ("Italy", "Italia", "IT"), "39",
        _towns("Milano/MI/201##/02|Torino/TO/101##/011|Bologna/BO/401##/051|Napoli/NA/801##/081|Verona/VR/371##/045"),
        _lines("Via Roma|Via Garibaldi|Corso Italia|Piazza Dante|Viale Europa|Via dell'Artigianato"),
        ("S.p.A.", "S.r.l.", "SRL", "SpA", "S.n.c."), "it", False, 10,
    ),
    "ES": _Country(
        0.02, ("Spain", "España", "ES"), "34",
        _towns("Madrid//280##/91|Barcelona//080##/93|Málaga//290##/952|A Coruña//150##/981"),
        _lines("Calle Mayor|Avenida de la Constitución|Paseo del Prado|Plaza España|Calle del Sol"),
        ("S.L.", "S.A.", "SL", "S.L.U."), "es",
    ),
    "NL": _Country(
        0.02, ("Netherlands", "Nederland", "NL"), "31",
        _towns("Amsterdam//10## @@/20|Rotterdam//30## @@/10|Utrecht//35## @@/30|Eindhoven//56## @@/40"),
        _lines("Kerkstraat|Dorpsstraat|Herengracht|Stationsweg|Molenlaan"),
        ("B.V.", "BV", "N.V.", "V.O.F."), "nl",
    ),
    "AU": _Country(
        0.03, ("Australia", "AU"), "61",
        _towns("Sydney/NSW/20##/2|Melbourne/VIC/30##/3|Brisbane/QLD/40##/7|Perth/WA/60##/8|Adelaide/SA/50##/8"),
        _lines("George Street|Collins Street|Flinders Lane|Pacific Highway|Swan Terrace|Wattle Road"),
        ("Pty Ltd", "Pty. Ltd.", "Pty Limited", "Ltd"), "com.au", True,
    ),
    "JP": _Country(
        0.015, ("Japan", "JP", "日本"), "81",
        _towns("Tokyo/Tokyo/10#-00##/3|Osaka/Osaka/53#-00##/6|Nagoya/Aichi/46#-00##/52|横浜市/神奈川県/22#-00##/45"),
        _lines("Chuo-dori|Sakura-machi|Minato-ku Shibaura|本町|Nishi-shinjuku"),
        ("KK", "株式会社", "Co., Ltd.", "K.K.", "合同会社"), "co.jp",
    ),
    "FI": _Country(
        0.01, ("Finland", "Suomi", "FI"), "358",
        _towns("Helsinki//001##/9|Tampere//331##/3|Jyväskylä//401##/14"),
        _lines("Mannerheimintie|Hämeenkatu|Satamakatu|Koulutie"),
        ("Oy", "Oyj", "Oy Ab"), "fi",
    ),
    "SE": _Country(
        0.015, ("Sweden", "Sverige", "SE"), "46",
        _towns("Stockholm//11# ##/8|Göteborg//41# ##/31|Malmö//21# ##/40"),
        _lines("Storgatan|Kungsgatan|Hamngatan|Järnvägsgatan"),
        ("AB", "Aktiebolag", "HB"), "se",
    ),
    "RU": _Country(
        0.01, ("Russia", "Россия", "RU"), "7",
        _towns("Москва//10####/495|Казань//42####/843|Samara//44####/846"),
        _lines("улица Ленина|Невский проспект|Sovetskaya ulitsa|Садовая улица"),
        ("ООО", "АО", "ЗАО", "OOO"), "ru", False, 10,
    ),
}  # fmt: skip
_LEADING_FORMS = {"株式会社", "合同会社", "ООО", "АО", "ЗАО", "OOO"}
#: One form, other spellings: (of the form) -> what else is written.
_SAME_FORM = {
    "Inc.": ("Inc", "Incorporated", "INC."), "Inc": ("Inc.", "Incorporated"), "LLC": ("L.L.C.", "Llc", "LLC."), "L.L.C.": ("LLC",),
    "Corporation": ("Corp.", "Corp"), "Corp": ("Corporation",), "Corp.": ("Corporation",), "Co.": ("Company", "Co"), "Company": ("Co.", "Co"),
    "Ltd": ("Limited", "Ltd."), "Limited": ("Ltd", "Ltd."), "Ltd.": ("Ltd", "Limited"), "PLC": ("plc", "P.L.C."), "LP": ("L.P.",),
    "GmbH": ("Gesellschaft mbH", "GMBH", "G.m.b.H."), "GmbH & Co. KG": ("GmbH & Co KG", "GmbH u. Co. KG"), "AG": ("Aktiengesellschaft",),
    "SARL": ("S.A.R.L.", "Sàrl"), "SAS": ("S.A.S.",), "S.A.S.": ("SAS",), "S.A.": ("SA",), "S.p.A.": ("SpA", "SPA"), "SpA": ("S.p.A.",),
    "S.r.l.": ("SRL", "Srl"), "SRL": ("S.r.l.",), "S.L.": ("SL",), "SL": ("S.L.",), "B.V.": ("BV",), "BV": ("B.V.",), "N.V.": ("NV",),
    "Pty Ltd": ("Pty. Ltd.", "Proprietary Limited", "P/L"), "Pty. Ltd.": ("Pty Ltd",), "KK": ("K.K.", "Kabushiki Kaisha"), "K.K.": ("KK",),
    "株式会社": ("(株)", "㈱"), "Oy": ("OY", "Osakeyhtiö"), "AB": ("Ab", "Aktiebolag"), "Aktiebolag": ("AB",), "ООО": ("OOO",),
}  # fmt: skip

_FAMILY_NAMES = _lines(
    """Abernathy|Aldridge|Amundsen|Applegate|Arbuckle|Ballard|Bannister|Barkley|Bickford|Blackwood|Bonham|Braddock|Brennan|Brockman
    Callahan|Cardenas|Carmichael|Castillo|Chamberlain|Cheng|Christiansen|Cordova|Covington|Crawford|Culpepper|Dasgupta|Davenport
    Delacroix|Demarco|Desai|Dominguez|Drummond|Eastman|Eberhardt|Escobar|Fairbanks|Fenwick|Finnegan|Fitzgerald|Fontaine|Forsythe
    Gallagher|Garrison|Ghosh|Gilchrist|Goldberg|Gunderson|Guthrie|Halvorsen|Hathaway|Hawkins|Hendricks|Herrera|Hightower|Hollister
    Ishikawa|Iyer|Jamison|Jorgensen|Kavanagh|Keating|Kimball|Kirkpatrick|Kowalczyk|Krishnan|Lafferty|Langford|Lieberman|Lindqvist
    Lockhart|Lundgren|MacGregor|Magnusson|Malone|Marchetti|McAllister|McBride|McKenna|Mendoza|Merriweather|Montague|Mukherjee|Nakagawa
    Nguyen|Nordstrom|O'Malley|O'Sullivan|Okafor|Oyelaran|Pacheco|Pemberton|Pettigrew|Quintero|Rahman|Ravenscroft|Rasmussen|Rosenthal
    Rutherford|Salazar|Santangelo|Shapiro|Sheffield|Sinclair|Solberg|Stanhope|Sutherland|Takahashi|Thackeray|Trujillo|Tuttle|Upchurch
    Valentine|Vasquez|Villanueva|Wainwright|Weatherby|Wentworth|Whitfield|Wickham|Winslow|Yamada|Yarborough|Zielinski|Zuckerman"""
)
_FAMILY_NAMES += tuple(
    head + tail
    for head in "Alder Birch Bishop Bram Cald Cart Chad Crom Dray Fen Gild Hag Holm Ivers Kelm Lam Med New Ows Pal Rams Sed Thorn Ux Ver Wex Yard".split()
    for tail in "ard bourne brook by cott dorf ells er ers feld gate grove holt ing kamp ley mann meyer nall ney rath ridge sen shaw sky stone strom ton way wyn".split()
)
_TRADES = _lines(
    """Dental Care|Family Dentistry|Orthodontics|Veterinary Hospital|Animal Clinic|Plumbing & Heating|Air Conditioning|Mechanical Contractors
    Electrical Contractors|General Contractors|Homes|Builders|Masonry|Tile & Stone|Hardwood Floors|Garage Doors|Lawn Care|Tree Service
    Pool Supply|Auto Repair|Tire Center|Collision Center|Motors|Truck Sales|Tractor|Farm Supply|Feed & Grain|Cattle Company|Orchards|Winery
    Brewing Company|Distillery|Coffee|Tea Company|Bakery Cafe|Pizza|Barbecue|Grill|Catering Company|Meats|Fish Market|Grocers|Natural Foods
    Bottling|Hardware|Lumber|Building Supply|Paint|Sign Shop|Printing|Graphics|Advertising|Public Relations|Film|Music|Dance Academy|Books
    Learning Center|Preparatory School|Child Care|Senior Living|Home Health|Physical Therapy|Chiropractic|Cardiology|Eye Care|Hearing|Labs
    Diagnostics|Therapeutics|Biotech|Semiconductor|Circuits|Controls|Sensors|Optics|Tooling|Machine|Welding|Fabrication|Castings|Fasteners
    Valves|Pumps|Bearings|Filters|Rubber|Paper|Box|Label|Mills|Fabrics|Apparel|Shoes|Jewelers|Toys & Hobbies|Bicycles|Outfitters|Marine
    Charters|Travel|Limousine|Moving & Storage|Warehousing|Courier|Shipping|Insurance Agency|Title|Mortgage|Law Group|Attorneys|CPAs
    Payroll|Recruiting|Surveyors|Geotechnical|Drilling|Oil & Gas|Propane|Wind Energy|Power|Water Systems|Interiors|Kitchens & Baths|Lighting
    Networks|Cloud|Cyber Security|Apps|Games|Studios|Research|Advisory|Property Group|Self Storage|Laundry|Uniforms|Salon|Spa|Fitness Club"""
)
_LOCAL_TRADES = {
    "DE": _lines("Maschinenbau|Metallbau|Spedition|Bäckerei|Elektrotechnik|Gebäudetechnik|Möbelwerkstätten|Werkzeugbau|Getränkehandel|Ingenieurbüro|Apotheke"),
    "FR": _lines("Boulangerie|Menuiserie|Transports|Électricité|Plomberie|Imprimerie|Fromagerie|Charpente|Conseil|Optique|Vignobles"),
    "IT": _lines("Costruzioni|Alimentari|Ceramiche|Trasporti|Officine|Arredamenti|Tessuti|Impianti|Caffè|Meccanica"),
    "ES": _lines("Construcciones|Panadería|Talleres|Transportes|Instalaciones|Bodegas|Ingeniería|Muebles|Clínica"),
    "NL": _lines("Bouw|Installatietechniek|Bloemen|Transport|Zuivel|Scheepswerf|Bakkerij|Adviesgroep"),
    "FI": _lines("Rakennus|Kuljetus|Konepaja|Leipomo|Sähkö|Metalli"),
    "SE": _lines("Bygg|Åkeri|Mekaniska|Bageri|Elektriska|Trävaror|Konsult"),
    "JP": _lines("製作所|商事|電機|工業|食品|Seisakusho|Shoji|Denki|Kogyo|運輸"),
    "RU": _lines("Строй|Торг|Транс|Мебель|Энерго|Stroy|Продукт|Техно"),
}  # fmt: skip
_LOCAL_NAMES = {
    "DE": _lines("Müller|Schäfer|Weiß|Krüger|Hübner|Böhm|Jäger|Lorenz|Pfeiffer|Königs|Strauß|Brückner|Dörfler|Grünwald|Voß"),
    "FR": _lines("Lefèvre|Béranger|Dupré|François|Hélène|Chaumont|Garnier|Rousseau|L'Étoile|Maîtrepierre|Noël|D'Aubigné"),
    "IT": _lines("Esposito|Fratelli Conti|D'Angelo|Cattaneo|Però|Marini|Galli|Vitale|Nicolò|Bellucci"),
    "ES": _lines("Ibáñez|Núñez|Peña|Gutiérrez|Sáenz|Casas|Zúñiga|Ordóñez|Ramírez"),
    "NL": _lines("Van der Berg|De Vries|Hoekstra|Ten Brink|Kuipers|Van 't Hof|Dijkstra"),
    "FI": _lines("Mäkinen|Järvi|Koskela|Hämäläinen|Lehtonen|Yrjölä"),
    "SE": _lines("Åkerman|Sjöberg|Norrland|Bäckström|Öster|Lindström|Håkansson"),
    "JP": _lines("山田|佐藤|東洋|日の出|Yamato|Fuji|大和|北斗|Kitano|三和|松本"),
    "RU": _lines("Север|Ромашка|Заря|Восток|Volga|Урал|Алмаз|Байкал|Звезда"),
}  # fmt: skip
_ONSETS = "b br c ch cl d dr f fl g gl h j k kl l m n p pr qu r s st t tr v w z".split()
_VOWELS = "a e i o u ai ea io".split()
_CODAS = (
    "bis cor dex don ent fa fin gen ka len lia lo mar mo na nda nex nt pro ra rin ris ro sta sys ta tec ti va vo x zen".split()
)
_SCENES = tuple(
    f"{first} {second}"
    for first in "Amber Autumn Big Broken Cold Crooked Crystal Deep Desert Emerald Falling Grand High Hidden Lone Long Mountain Old Painted Quiet Rolling Royal Sandy Shady Stone Timber Twin Wild Winding".split()
    for second in "Acre Arrow Basin Bay Bend Bluff Bridge Brook Cliff Cove Creek Dale Elm Falls Field Fork Forest Gate Hill Hollow Lake Mesa Oak Peak Point Ridge River Spring Valley".split()
)
_QUARTERS = _lines(
    """East|West|North|South|Northwest|Southeast|Northern|Southern|Eastern|Western|Central|Midwest|Gulf Coast|Mid-Atlantic|Texas|Florida
    California|Arizona|Ohio|Georgia|New England|Canada|Mexico|EMEA|Europe|Asia|Latin America|Deutschland|Nordic|Iberia"""
)
_KIN = _lines(
    """Holdings|Foundation|Capital|Ventures|Leasing|Logistics|Realty|Real Estate|Properties|Charitable Trust|Investments|International
    Global|Distribution|Finance|Development|Medical|Retail|Energy|Technology|II|III|Farms|Insurance"""
)
_TENANTS = ("Bistro", "Bar", "Hotel", "Gift Shop", "Cafe", "Spa", "Ballroom", "Theater")
_ABBREVIATED = {
    "Company": "Co", "Services": "Svc", "Service": "Svc", "Contractors": "Contr", "Mechanical": "Mech", "Electrical": "Elec", "Center": "Ctr",
    "Group": "Grp", "Hospital": "Hosp", "International": "Int'l", "Distribution": "Distr", "Insurance": "Ins", "Property": "Prop", "Systems": "Sys",
    "Supply": "Sply", "Building": "Bldg", "Manufacturing": "Mfg", "Technology": "Tech", "Printing": "Prtg", "Physical": "Phys", "Public": "Pub",
    "Schools": "Schs", "University": "Univ", "Department": "Dept", "County": "Cnty", "Association": "Assn", "Veterinary": "Vet", "Mountain": "Mtn",
    "Saint": "St", "Fort": "Ft", "North": "N", "South": "S", "Family": "Fam", "Dentistry": "Dent", "Research": "Rsch", "Advertising": "Advtg",
    "Transports": "Transp.", "Construcciones": "Constr.", "Maschinenbau": "Masch.bau", "Costruzioni": "Costr.",
}  # fmt: skip
_STREET_SHORT = {
    "Street": "St.", "Avenue": "Ave", "Road": "Rd.", "Boulevard": "Blvd.", "Drive": "Dr.", "Parkway": "Pkwy", "Lane": "Ln", "Court": "Ct",
    "Highway": "Hwy", "Circle": "Cir", "Square": "Sq", "straße": "str.", "North": "N.", "South": "S.", "East": "E.", "avenue": "av.", "boulevard": "bd",
    "Avenida": "Avda.", "Calle": "C/", "Viale": "V.le", "Terrace": "Tce",
}  # fmt: skip
_PRIVATE_MAIL = (
    "gmail.com",
    "yahoo.com",
    "icloud.com",
    "outlook.com",
    "hotmail.com",
    "aol.com",
    "gmx.de",
    "protonmail.com",
    "orange.fr",
    "msn.com",
)
_BILL_MAIL = ("bill.com", "concur.com", "coupahost.com", "avidxchange.com", "bill.com")
_FIRST = "Aaron Beth Chloe Derek Esther Felix Gina Henrik Isabel Jonas Kate Liam Mona Nadia Oscar Priya Quentin Rosa Stefan Teresa Umar Vera Will Yuki Zoe".split()
_BESIDE = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm",
    "o": "ip", "p": "o", "q": "w", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
_SOUNDS = (("ph", "f"), ("ie", "ei"), ("ck", "k"), ("ll", "l"), ("ss", "s"), ("tt", "t"), ("y", "i"), ("sch", "sh"), ("nn", "n"), ("th", "t"), ("rr", "r"), ("mm", "m"))  # fmt: skip


def generate(seed: int, size: int, noise: float = 1.0) -> Labelled:
    """About ``size`` accounts and as many customers.

    Args:
        seed: the same seed gives the same companies and the same mistakes, whatever the machine.
        noise: factor on everything that people get wrong.
    """
    return written_down(bodies(seed, round(size * 1.087)), seed, noise)


def bodies(seed: int, number: int) -> list[Body]:
    """``number`` companies and a few more, so that a family is whole: a third of them hard."""
    founded = _Founder(random.Random(f"bodies {seed}"))
    while len(founded.bodies) < number:
        founded.found()
    return founded.bodies


def written_down(companies: Iterable[Body], seed: int, noise: float = 1.0) -> Labelled:
    """Companies as two systems have them: 77 of 100 in both, 4 of 100 twice in one of them.

    A company is spelled rather well in Salesforce and by many hands in QuickBooks, whose names are unique.
    """
    chance = random.Random(f"written down {seed}")
    clerk = _Clerk(chance, noise)
    accounts: list[dict[str, Any]] = []
    customers: list[dict[str, Any]] = []
    contacts: list[dict[str, Any]] = []
    for body in companies:
        where = chance.random()
        for _ in range(0 if where < 0.115 else 2 if chance.random() < 0.04 else 1):
            accounts.append(clerk.account(body, len(accounts) + 1))
            if body.domain and chance.random() < 0.3:
                contacts.append(clerk.contact(body, accounts[-1]["id"], len(contacts) + 1))
        for _ in range(0 if where > 0.885 else 2 if chance.random() < 0.04 else 1):
            customers.append(clerk.customer(body, len(customers) + 1))
    chance.shuffle(accounts)
    chance.shuffle(customers)
    return Labelled(
        accounts=frame(salesforce.ACCOUNT, accounts),
        customers=frame(quickbooks.CUSTOMER, customers),
        contacts=frame(salesforce.CONTACT, contacts),
        company_of_account={row["id"]: row["body"] for row in accounts},
        company_of_customer={row["id"]: row["body"] for row in customers},
    )


class _Founder:
    """Founds companies, alone or by families that are easily confused."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.bodies: list[Body] = []
        self._domains: set[str] = set()
        #: How often each kind is founded. The hard ones found several at once: together a third of all.
        self._kinds: dict[Callable[[], None], float] = {
            self._alone: 0.868,
            self._regional_arms: 0.021,
            self._kin_under_one_roof: 0.017,
            self._parent_and_subsidiaries: 0.013,
            self._funds: 0.006,
            self._franchise: 0.014,
            self._public_bodies: 0.013,
            self._homonyms: 0.012,
            self._homonyms_in_one_town: 0.006,
            self._one_letter_apart: 0.014,
            self._clients_of_a_bookkeeper: 0.011,
            self._tenants: 0.007,
            self._two_legal_forms: 0.006,
        }

    def found(self) -> None:
        self._chance.choices(list(self._kinds), weights=list(self._kinds.values()))[0]()

    def _pick(self, values: Sequence[str]) -> str:
        return self._chance.choice(values)

    def _digits(self, pattern: str) -> str:
        drawn = (
            self._chance.choice("ABCEGHJKLNPRSTVWXY") if one == "@" else str(self._chance.randint(0, 9)) if one == "#" else one
            for one in pattern
        )
        return "".join(drawn)

    def place(self, country: str, town: tuple[str, str, str, str] | None = None) -> dict[str, str]:
        known = _COUNTRIES[country]
        town = town or self._chance.choice(known.towns)
        street, number = self._pick(known.streets), str(self._chance.randint(1, 9400 if country == "US" else 190))
        return {
            "country": country,
            "street": f"{number} {street}" if known.number_first else f"{street} {number}",
            "town": town[0],
            "region": town[1],
            "postcode": self._digits(town[2]),
            "phone": town[3] + str(self._chance.randint(2, 9)) + self._digits("#" * (known.digits - 1 - len(town[3]))),
        }

    def _body(self, stem: str, **known: Any) -> Body:
        number = len(self.bodies) + 1
        country = (
            known.get("country") or self._chance.choices(list(_COUNTRIES), weights=[one.share for one in _COUNTRIES.values()])[0]
        )
        person = f"{self._pick(_FIRST)} {self._pick(_FAMILY_NAMES)}"
        slug = "".join(letter for letter in anyascii(stem).lower() if letter.isalnum())[:20] or f"co{number}"
        initials = "".join(word[0] for word in anyascii(stem).lower().split() if word[0].isalnum())
        top = _COUNTRIES[country].top_domain
        values: dict[str, Any] = {
            "number": number,
            "stem": stem,
            "form": self._pick(_COUNTRIES[country].forms),
            **self.place(country),
            "domain": self._pick(
                (
                    f"{slug}.{top}",
                    f"{slug[:12]}{number}.{top}",
                    f"{initials}-{slug[:7]}{number % 811}.com",
                    f"my{slug}.net",
                    f"{slug}.com",
                )
            ),
            "mailbox": self._pick(
                ("ap", "accountspayable", "billing", "finance", "invoices", "info", "admin", person.split()[0].lower())
            ),
            "person": person,
            "hard": True,
            **known,
        }
        if "domain" not in known and values["domain"] in self._domains:
            # Two companies share a domain only where they are meant to.
            values["domain"] = f"{slug[:16]}-{number}.{top}"
        self._domains.add(values["domain"])
        body = Body(**values)
        self.bodies.append(body)
        return body

    def _stem(self, country: str) -> str:
        if country in _LOCAL_TRADES:
            drawn = self._chance.random()
            name, trade = self._pick(_LOCAL_NAMES[country]), self._pick(_LOCAL_TRADES[country])
            if country in ("JP", "RU"):
                joint = "" if name[0] > "ͯ" and trade[0] > "ͯ" else " "
                other = self._pick(_LOCAL_NAMES[country]) if drawn < 0.4 else ""
                return f"{name}{other if (other[:1] > 'ͯ') == (name[0] > 'ͯ') and joint == '' else ''}{joint}{trade}"
            if drawn < 0.3:
                return f"{name} {trade}"
            if drawn < 0.45:
                return f"{trade} {name}"
            if drawn < 0.65:
                return f"{name} & {self._pick(_LOCAL_NAMES[country])} {trade}"
            return f"{self._coined()} {trade}"
        drawn = self._chance.random()
        name, trade = self._pick(_FAMILY_NAMES), self._pick(_TRADES)
        if drawn < 0.26:
            return f"{name} {trade}"
        if drawn < 0.34:
            return f"{name} & {self._pick(_FAMILY_NAMES)} {trade}"
        if drawn < 0.39:
            return f"{name} {self._pick(('Bros', '& Daughters', '& Sons', 'Family', '& Co'))} {trade}"
        if drawn < 0.57:
            return f"{self._pick(_SCENES)} {trade}"
        if drawn < 0.75:
            return f"{self._coined()} {trade}"
        if drawn < 0.82:
            return self._coined() + self._pick(("", "", " AI", " Labs", "ware", " Group"))
        if drawn < 0.89:
            return f"{self._chance.choice(_COUNTRIES['US'].towns)[0]} {trade}"
        if drawn < 0.93:
            return f"The {self._pick(_SCENES)} {self._pick(('Company', 'Collective', 'Partnership', 'Inn', 'Group'))}"
        if drawn < 0.96:
            return f"{self._pick('ABCDEFGHJKLMNPRSTW')}{self._pick(('&', '.', ''))}{self._pick('ABCDEFGHJKLMNPRSTW')} {trade}"
        if drawn < 0.98:
            return f"{self._chance.randint(2, 999)} {self._pick(_SCENES)} {trade}"
        return f"{self._pick(_FIRST)} {name}"

    def _coined(self) -> str:
        syllables = (
            self._pick(_ONSETS)
            + self._pick(_VOWELS)
            + (self._pick(_ONSETS) + self._pick(_VOWELS) if self._chance.random() < 0.55 else "")
        )
        return (syllables + self._pick(_CODAS)).capitalize()

    def _alone(self) -> None:
        country = self._chance.choices(list(_COUNTRIES), weights=[one.share for one in _COUNTRIES.values()])[0]
        self._body(self._stem(country), country=country, hard=False)

    def _head(self, country: str | None = None) -> Body:
        country = country or self._pick(("US", "US", "US", "US", "GB", "CA", "AU", "DE"))
        return self._body(self._stem(country), country=country)

    def _shared(self, body: Body, *fields: str) -> dict[str, Any]:
        return {field: getattr(body, field) for field in fields}

    def _regional_arms(self) -> None:
        head = self._head()
        for quarter in self._chance.sample(_QUARTERS, self._chance.randint(1, 3)):
            known = self._shared(head, "domain", "country", "form")
            if self._chance.random() < 0.5:
                known |= self._shared(head, "street", "town", "region", "postcode")
            if self._chance.random() < 0.5:
                known |= self._shared(head, "phone")
            if self._chance.random() < 0.4:
                known |= self._shared(head, "mailbox")
            stem = self._pick(("{0} {1}", "{0} ({1})", "{0} - {1}", "{1} {0}")).format(head.stem, quarter)
            self._body(stem, mark=quarter, **known)

    def _kin_under_one_roof(self) -> None:
        head = self._head()
        known = self._shared(head, "street", "town", "region", "postcode", "country", "phone", "domain", "mailbox")
        for word in self._chance.sample(_KIN, self._chance.randint(1, 3)):
            self._body(f"{head.stem} {word}", mark=word, **known)

    def _parent_and_subsidiaries(self) -> None:
        head = self._head()
        first = head.stem.split()[0]
        for trade in self._chance.sample([one for one in _TRADES if one not in head.stem], self._chance.randint(1, 3)):
            known = self._shared(head, "domain", "country")
            if self._chance.random() < 0.4:
                known |= self._shared(head, "street", "town", "region", "postcode", "phone")
            self._body(f"{first} {trade}", mark=trade, **known)

    def _funds(self) -> None:
        house = f"{self._pick(_SCENES) if self._chance.random() < 0.5 else self._pick(_FAMILY_NAMES)} {self._pick(('Growth Partners', 'Equity', 'Opportunity Fund', 'Real Estate Fund', 'Apartments'))}"
        head = self._body(f"{house} I", country="US", form="LP", mark="I")
        known = self._shared(head, "street", "town", "region", "postcode", "country", "phone", "domain", "mailbox", "form")
        for numeral in ("II", "III", "IV", "V")[: self._chance.randint(1, 4)]:
            self._body(f"{house} {numeral}", mark=numeral, **known)

    def _franchise(self) -> None:
        head = self._head("US")
        for branch in range(self._chance.randint(3, 8)):
            known = self._shared(head, "domain", "country", "form")
            if self._chance.random() < 0.3:
                known |= self._shared(head, "mailbox")
            if self._chance.random() < 0.25:
                label = self._pick(("#{}", "No. {}", "Store {}")).format(self._chance.randint(11, 99) * 10 + branch)
                self._body(f"{head.stem} {label}", mark=label, **known)
            else:
                self._body(head.stem, **known)

    def _public_bodies(self) -> None:
        town = self._chance.choice(_COUNTRIES["US"].towns)
        kinds = (
            "City of {}",
            "{} Public Schools",
            "{} County Sheriff",
            "Town of {}",
            "{} Public Library",
            "University of {}",
            "{} Water District",
            "First Baptist Church of {}",
            "Diocese of {}",
            "{} Chamber of Commerce",
        )
        for kind in self._chance.sample(kinds, self._chance.randint(2, 4)):
            stem = kind.format(town[0])
            self._body(stem, form="", mark=stem, **self.place("US", town))

    def _homonyms(self) -> None:
        stem = self._stem("US")
        for town in self._chance.sample(_COUNTRIES["US"].towns, self._chance.randint(2, 4)):
            self._body(stem, **self.place("US", town))

    def _homonyms_in_one_town(self) -> None:
        stem, town = self._stem("US"), self._chance.choice(_COUNTRIES["US"].towns)
        for _ in range(2):
            self._body(stem, **self.place("US", town))

    def _one_letter_apart(self) -> None:
        head = self._head("US")
        places = [place for place, letter in enumerate(head.stem) if letter.isascii() and letter.islower()]
        if not places:
            return
        place = self._chance.choice(places)
        letter = self._pick([one for one in "abcdefghiklmnoprstuvw" if one != head.stem[place]])
        stem = self._pick((head.stem[:place] + letter + head.stem[place + 1 :], head.stem + "s"))
        self._body(stem, country="US", mark=stem)

    def _clients_of_a_bookkeeper(self) -> None:
        keeper = self._body(
            f"{self._pick(_FAMILY_NAMES)} {self._pick(('Bookkeeping', 'Tax & Accounting', 'Back Office'))}", country="US"
        )
        for _ in range(self._chance.randint(2, 6)):
            known: dict[str, Any] = {"mailbox": f"{self._pick(('clients', 'ap', 'invoices'))}@{keeper.domain}", "country": "US"}
            if self._chance.random() < 0.7:
                known |= self._shared(keeper, "street", "town", "region", "postcode", "phone")
            self._body(self._stem("US"), **known)

    def _tenants(self) -> None:
        head = self._head("US")
        at = self._shared(head, "street", "town", "region", "postcode", "country")
        word = self._pick(_TENANTS)
        self._body(f"{head.stem} {word}", mark=word, **at, **self._shared(head, "phone"))
        for _ in range(self._chance.randint(1, 2)):
            self._body(self._stem("US"), **at)

    def _two_legal_forms(self) -> None:
        country, forms = self._chance.choice(
            (("DE", ("AG", "GmbH")), ("GB", ("PLC", "LLP")), ("FR", ("S.A.", "SARL")), ("IT", ("S.p.A.", "S.r.l.")))
        )
        head = self._body(self._stem(country), country=country, form=forms[0], mark=forms[0])
        known = self._shared(head, "domain", "country") if self._chance.random() < 0.6 else {"country": country}
        self._body(head.stem, form=forms[1], mark=forms[1], **known)


class _Clerk:
    """Writes companies down, with the mistakes that people make."""

    def __init__(self, chance: random.Random, noise: float) -> None:
        self._chance = chance
        self._noise = noise
        self._taken: Counter[str] = Counter()

    def _errs(self, share: float) -> bool:
        return self._chance.random() < min(share * self._noise, 0.95)

    def _pick(self, values: Sequence[str]) -> str:
        return self._chance.choice(values)

    def account(self, body: Body, number: int) -> dict[str, Any]:
        """A row of ``salesforce.account``, with the company's number as ``body``."""
        name = body.name if body.mark == body.form or not self._errs(0.2) else body.stem
        if self._errs(0.05):
            name = self._misspelt(name, body.mark)
        if self._errs(0.03):
            name = self._pick((name.upper(), f"{name} ", name.replace(" ", "  ", 1)))
        row: dict[str, Any] = {
            "id": f"001{number:012d}QAC",
            "body": body.number,
            "name": name,
            "phone": self._phone(body) if body.phone and not self._errs(0.22) else None,
            "website": self._website(body) if body.domain and not self._errs(0.28) else None,
            "billing_email": (body.email or None) if not self._errs(0.3) else None,
        }
        if not self._errs(0.12):
            row |= self._address(body, ledger=False)
        if self._errs(0.2):
            row |= {
                name.replace("billing", "shipping"): value
                for name, value in row.items()
                if name.startswith("billing_") and name != "billing_email"
            }
        return row

    def contact(self, body: Body, account_id: str, number: int) -> dict[str, Any]:
        """A row of ``salesforce.contact``."""
        first, last = (body.person or "Office Manager").split(" ", 1)
        return {
            "id": f"003{number:012d}QAC",
            "account_id": account_id,
            "first_name": first,
            "last_name": last,
            "name": f"{first} {last}",
            "email": f"{anyascii(first[0] + last).lower().replace(chr(39), '').replace(' ', '')}@{body.domain}",
            "phone": self._phone(body) if body.phone and not self._errs(0.6) else None,
        }

    def customer(self, body: Body, number: int) -> dict[str, Any]:
        """A row of ``quickbooks.customer``, with the company's number as ``body``."""
        written = self._ledger_name(body)
        display = written
        while self._taken[display.casefold()]:
            # QuickBooks wants another name: people put something behind it.
            display = f"{written}{self._pick((f' - {self._chance.randint(1001, 9999)}', f' ({body.town})', f' ({self._chance.randint(2, 99)})', f' {body.person}'))}"
        self._taken[display.casefold()] += 1
        row: dict[str, Any] = {
            "id": str(number),
            "sync_token": "0",
            "body": body.number,
            "display_name": display,
            "company_name": written if self._chance.random() < 0.55 else None,
            "fully_qualified_name": display,
            "phone": self._phone(body) if body.phone and not self._errs(0.38) else None,
            "website": self._website(body) if body.domain and not self._errs(0.8) else None,
            "email": self._ledger_mail(body),
            "active": True,
            "currency": "USD",
        }
        if body.person and self._chance.random() < 0.25:
            row["given_name"], row["family_name"] = body.person.split(" ", 1)
        if not self._errs(0.22):
            row |= self._address(self._moved(body) if self._errs(0.10) else body, ledger=True)
        return row

    # Names

    def _ledger_name(self, body: Body) -> str:
        stem, form = body.stem, body.form
        if body.mark != form and self._errs(0.45):
            others = _SAME_FORM.get(form, ())
            form = self._pick(others) if others and self._chance.random() < 0.5 else ""
        if self._errs(0.18):
            words = [word if word in body.mark.split() else _ABBREVIATED.get(word, word) for word in stem.split(" ")]
            stem = " ".join(words)
        if self._errs(0.12):
            stem = self._misspelt(stem, body.mark)
        if self._errs(0.12):
            for sign in (" & ", " and "):
                if sign in stem:
                    stem = stem.replace(sign, self._pick((" and ", " + ", " & ", "&")), 1)
                    break
        if self._errs(0.25) and not stem.isascii():
            stem = self._pick((anyascii(stem), _without_accents(stem), _in_german(stem)))
        words = stem.split(" ")
        losable = [place for place, word in enumerate(words) if place and word.strip("()") not in body.mark and len(word) > 1]
        if len(words) >= 3 and losable and self._errs(0.04):
            words.pop(self._chance.choice(losable))
        if len(words) >= 2 and self._errs(0.03):
            place = self._chance.randrange(len(words) - 1)
            words[place : place + 2] = [words[place + 1], words[place]]
        if len(words) >= 3 and self._errs(0.025) and not body.mark:
            words[0:2] = [words[0] + words[1].lower()]
        stem = " ".join(words)
        if len(words) >= 3 and not body.mark and self._errs(0.012):
            stem, form = "".join(word[0] for word in words if word[0].isalnum()).upper(), ""
        if self._errs(0.03):
            stem = stem.removeprefix("The ") if stem.startswith("The ") else self._pick((f"The {stem}", f"{stem}, The"))
        if body.person and body.mark != form and self._errs(0.02):
            owner = body.person.split()[-1]
            stem = self._pick((f"{owner} Enterprises dba {stem}", f"{stem} (dba {owner} Co)", f"{owner} Group LLC d/b/a {stem}"))
            form = ""
        name = _with_form(stem, form, self._pick((" ", " ", ", ")) if self._errs(0.5) else " ")
        if self._errs(0.07):
            code = str(self._chance.randint(1001, 98999))
            name = self._pick(
                (
                    f"{name} (C)",
                    f"{name} - {code}",
                    f"{name} - {body.town}",
                    f"{name} ({body.town})",
                    f"{name} {body.town}",
                    f"{name} *",
                    f"{name} [{code}]",
                )
            )
        if self._errs(0.05):
            cut = name[: self._chance.choice((31, 41))].strip()
            name = cut if not body.mark or body.mark in cut else name
        if self._errs(0.1):
            name = self._pick(
                (
                    name.upper(),
                    name.upper(),
                    name.lower(),
                    name.replace(".", ""),
                    name.replace("'", "’"),
                    name.replace(" ", "  ", 1),
                )
            )
        return name

    def _misspelt(self, text: str, mark: str) -> str:
        """One slip, in no word of ``mark``."""
        words = text.split(" ")
        usable = [place for place, word in enumerate(words) if len(word) > 3 and word.isalpha() and word not in mark]
        if not usable:
            return text
        place = self._chance.choice(usable)
        words[place] = self._slip(words[place])
        return " ".join(words)

    def _slip(self, word: str) -> str:
        at = self._chance.randrange(1, len(word) - 1)
        drawn = self._chance.random()
        if drawn < 0.25:
            near = _BESIDE.get(word[at].lower(), "")
            return word[:at] + (self._pick(near) if near else word[at]) + word[at + 1 :]
        if drawn < 0.45:
            return word[:at] + word[at + 1 :]
        if drawn < 0.6:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if drawn < 0.75:
            return word[:at] + word[at] + word[at:]
        if drawn < 0.9:
            for one, other in self._chance.sample(_SOUNDS, len(_SOUNDS)):
                if one in word[1:]:
                    return word[0] + word[1:].replace(one, other, 1)
        return word + "s" if not word.endswith("s") else word[:-1]

    # The other fields

    def _website(self, body: Body) -> str:
        host = body.domain if not self._errs(0.03) else f"shop.{body.domain}"
        return self._pick(("https://{}", "www.{}", "{}", "http://www.{}/", "https://www.{}/contact?x=1", "HTTP://{}")).format(
            host
        )

    def _ledger_mail(self, body: Body) -> str | None:
        if self._errs(0.28):
            return None
        who = anyascii(body.person or "office").lower().replace(" ", self._pick((".", "", "_"))).replace("'", "")
        if self._errs(0.2):
            return f"{who}{self._chance.randint(1, 99)}@{self._pick(_PRIVATE_MAIL)}"
        if self._errs(0.08):
            return f"{body.number}{who[:4]}@{self._pick(_BILL_MAIL)}"
        if not body.domain:
            return None
        if "@" in body.mailbox:
            return body.email
        domain = body.domain
        if self._errs(0.03):
            domain = f"mail.{domain}"
        elif self._errs(0.03):
            domain = f"{domain.split('.')[0]}.{self._pick(('net', 'org', 'biz', 'co'))}"
        address = (
            body.email
            if self._chance.random() < 0.55
            else f"{self._pick((who, self._pick(_FIRST).lower(), 'accounting'))}@{domain}"
        )
        return f" {address.upper()}" if self._errs(0.03) else address

    def _phone(self, body: Body) -> str:
        digits, code = body.phone, _COUNTRIES[body.country].code if body.country in _COUNTRIES else ""
        if self._errs(0.05):
            digits = digits[:-2] + f"{self._chance.randint(0, 99):02d}"
        if code == "1":
            shape = self._pick(
                (
                    "({0}) {1}-{2}",
                    "{0}-{1}-{2}",
                    "{0}.{1}.{2}",
                    "+1{0}{1}{2}",
                    "1 {0} {1} {2}",
                    "{0}{1}{2}",
                    "{0}-{1}-{2} ext. 4",
                    "{0}/{1}-{2}",
                )
            )
            return shape.format(digits[:3], digits[3:6], digits[6:])
        trunk = "" if body.country in ("IT", "ES") else "8" if body.country == "RU" else "0"
        shape = self._pick(
            ("+{0} {3}", "+{0}{2}", "00{0} {2}", "{1}{2}", "{1}{3}", "+{0} ({1}){3}" if trunk == "0" else "+{0} {2}")
        )
        return shape.format(code, trunk, digits, f"{digits[:2]} {digits[2:5]} {digits[5:]}")

    def _moved(self, body: Body) -> Body:
        founder = _Founder(self._chance)
        if body.country not in _COUNTRIES:
            return body
        place = founder.place(body.country)
        place.pop("phone")
        return replace(body, **(place if self._chance.random() < 0.6 else {"street": place["street"]}))

    def _address(self, body: Body, *, ledger: bool) -> dict[str, Any]:
        street, town, postcode = body.street, body.town, body.postcode
        if self._errs(0.4):
            for whole, short in _STREET_SHORT.items():
                street = street.replace(whole, short)
        if self._errs(0.12):
            street += self._pick((", Suite 310", "\nUnit B", " #12", "\n2nd Floor", ", Bldg. 4"))
        if ledger and self._errs(0.1):
            before = self._pick((body.person, f"Attn: {body.person}", "Accounts Payable", f"c/o {body.person}", body.stem))
            street = f"{before}\n{street}" if before.strip() else street
        if self._errs(0.025):
            street = self._misspelt(street, "")
        if self._errs(0.03):
            street = f"P.O. Box {self._chance.randint(10, 9999)}"
        if self._errs(0.03):
            town = self._pick((town.upper(), _without_accents(town), self._misspelt(town, "")))
        if body.country == "US":
            if self._errs(0.1):
                postcode += f"-{self._chance.randint(1, 9999):04d}"
            if self._errs(0.4):
                postcode = postcode.removeprefix("0")
        elif self._errs(0.1):
            postcode = self._pick((postcode.replace(" ", ""), postcode.lower(), postcode))
        names = _COUNTRIES[body.country].names if body.country in _COUNTRIES else (body.country, "")
        values: dict[str, str | None] = {
            "billing_street": street or None,
            "billing_city": town or None,
            "billing_state": body.region or None,
            "billing_postal_code": postcode or None,
            "billing_country": self._pick(names) or None,
        }
        if not ledger and self._errs(0.025):
            whole = "\n".join(part for part in (street, f"{town}, {body.region} {postcode}".strip(" ,")) if part)
            return dict.fromkeys(values) | {"billing_street": whole}
        for field in ("billing_street", "billing_city", "billing_postal_code", "billing_state"):
            if self._errs(0.035):
                values[field] = None
        return values


def _with_form(stem: str, form: str, between: str = " ") -> str:
    if not form:
        return stem
    if form in _LEADING_FORMS or form in ("(株)", "㈱"):
        return f"{form}{'' if form not in ('ООО', 'АО', 'ЗАО', 'OOO') else ' '}{stem}"
    return f"{stem}{between}{form}"


def _without_accents(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))


def _in_german(text: str) -> str:
    for letter, written in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("Ä", "Ae"), ("Ö", "Oe"), ("Ü", "Ue")):
        text = text.replace(letter, written)
    return text
