"""Words and domains with a meaning for matching: what tells two bodies apart, what says nothing, what is short for what.

Data only. How it is used is written in :mod:`normalising` and :mod:`comparing`.
"""

from __future__ import annotations

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Left out of every comparison.
STOP_WORDS = _words("and of the for de la le les du der die das und et y e del di da do dos das von van den op a an at in on")

#: A word of these on one side only makes another body of it: a region, a branch, a sister company, a successor.
DISTINGUISHING = _words(
    # compass and position
    """north south east west northern southern eastern western northeast northwest southeast southwest northeastern northwestern
    southeastern southwestern central midwest midwestern upper lower mid midatlantic downtown uptown coast coastal gulf bay
    nord sud ost est ouest norte sur oeste
    """
    # states of the United States, provinces of Canada
    """alabama alaska arizona arkansas california colorado connecticut delaware florida georgia hawaii idaho illinois indiana iowa
    kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri montana nebraska nevada
    hampshire jersey york carolina dakota ohio oklahoma oregon pennsylvania rhode tennessee texas utah vermont virginia
    washington wisconsin wyoming ontario quebec alberta manitoba saskatchewan columbia scotia brunswick newfoundland
    ak al ar az ca ct dc fl ga ia id il ks ky ma md mi mn mo ms mt nc nd ne nh nj nm nv ny oh ok or pa ri sc sd tn tx ut va vt wa
    wi wv wy
    """
    # countries and regions of the world
    """america american americas usa us uk gb eu europe european emea apac latam asia asian pacific atlantic africa african middle
    canada canadian mexico mexican brazil brasil argentina chile colombia peru germany german deutschland france french spain
    spanish espana italy italia italian portugal netherlands nederland dutch belgium belgique switzerland swiss schweiz suisse
    austria osterreich poland polska czech hungary romania sweden sverige norway norge denmark danmark finland suomi iceland
    ireland irish scotland scottish wales england english britain british greece turkey turkiye israel russia ukraine india
    indian china chinese japan japanese korea taiwan hong kong singapore malaysia thailand vietnam indonesia philippines
    australia australian zealand nz egypt nigeria kenya ghana uae dubai saudi arabia qatar kuwait iberia nordic nordics baltic
    benelux dach overseas
    """
    # reach
    "global international intl worldwide world national natl nationwide domestic regional local state federal county city town "
    # other bodies of one house
    """holding capital foundation venture leasing logistics realty medical trust property investment finance financial insurance
    bank bancorp credit fund equity mortgage funding asset estate charity charitable endowment auxiliary
    hospital clinic health healthcare dental pharmacy surgery university college school academy institute seminary church ministry
    museum library union club society league
    group partner retail wholesale franchise franchising distribution export import trading online digital media publishing press
    energy power water gas oil mining marine aviation aerospace defense defence automotive transport transportation freight
    rental staffing payroll licensing royalty merger acquisition acquisitions parent subsidiary affiliate
   restaurant cafe bar grill hotel resort spa salon bakery
    """
    # succession and number
    """ii iii iv v vi vii viii ix x xi xii jr sr junior senior first second third fourth fifth 1st 2nd 3rd new old
    one two three four five six seven eight nine ten alpha beta gamma delta
    """
)

#: Words that are added and dropped without a change of meaning.
GENERIC = _words(
    """company co corporation incorporated service solution system associate enterprise industry product consulting consultant
    contractor contracting team office business firm organization organisation professional
    specialist supply"""
)

#: What is short for what. Both sides are written as they stand after the plural went.
ABBREVIATIONS: Mapping[str, str] = {
    short: whole
    for whole, shorts in {
        "accounting": "acctg acct",
        "administration": "admin",
        "advertising": "advtg adv",
        "agency": "agcy",
        "american": "amer",
        "architect": "arch",
        "associate": "assoc asso assc",
        "association": "assn assocn",
        "automotive": "auto automtv",
        "brother": "bro",
        "building": "bldg bldng",
        "business": "bus",
        "center": "ctr cntr centre cent",
        "chemical": "chem",
        "commercial": "comml",
        "communication": "comm comms commun",
        "community": "commty",
        "company": "co cie cia",
        "computer": "comp",
        "construction": "const constr cnstr",
        "consulting": "consult conslt",
        "contractor": "contr",
        "cooperative": "coop",
        "corporation": "corp",
        "county": "cnty",
        "department": "dept",
        "design": "dsgn",
        "development": "dev devt dvlpmt devel",
        "distribution": "dist distr distrib",
        "division": "div",
        "eastern": "estrn",
        "education": "educ edu",
        "electric": "elec elect electrical",
        "electronic": "electr",
        "engineering": "eng engr engrg engg",
        "enterprise": "ent entpr enterpr",
        "environmental": "env envir",
        "equipment": "equip eqpt",
        "exchange": "exch",
        "federal": "fed",
        "finance": "fin",
        "financial": "fincl finl",
        "foundation": "fdn fndn found",
        "fort": "ft",
        "general": "gen genl",
        "government": "govt gov",
        "group": "grp",
        "health": "hlth",
        "healthcare": "hlthcare",
        "hospital": "hosp",
        "incorporated": "inc",
        "industrial": "indl indus",
        "industry": "ind indu",
        "information": "info",
        "institute": "inst",
        "insurance": "ins insur",
        "international": "intl internatl int",
        "investment": "inv invest",
        "junior": "jr",
        "laboratory": "lab",
        "limited": "ltd",
        "logistics": "logistic",
        "machine": "mach",
        "machinery": "machy",
        "maintenance": "maint",
        "management": "mgmt mgt mgmnt mngmt",
        "manufacturing": "mfg manuf mfr manufacture",
        "marketing": "mktg mkting",
        "material": "matl",
        "mechanical": "mech",
        "medical": "med",
        "memorial": "meml",
        "mount": "mt",
        "mountain": "mtn",
        "municipal": "muni",
        "national": "natl nat",
        "north": "no",
        "northeast": "ne",
        "northwest": "nw",
        "southeast": "se",
        "southwest": "sw",
        "operation": "op ops",
        "organization": "org organisation",
        "packaging": "pkg",
        "partner": "ptnr prtnr",
        "petroleum": "petro",
        "pharmaceutical": "pharma pharm",
        "photography": "photo",
        "plumbing": "plbg plmb",
        "product": "prod",
        "production": "prodn",
        "professional": "prof",
        "property": "prop",
        "publishing": "pub publ",
        "realty": "rlty",
        "refrigeration": "refrig",
        "research": "res rsch",
        "resource": "rsrc",
        "restaurant": "rest",
        "saint": "st ste",
        "school": "sch",
        "science": "sci",
        "security": "sec",
        "senior": "sr",
        "service": "svc serv srvc srv",
        "society": "soc",
        "software": "sw soft",
        "solution": "soln sol",
        "supply": "sup splies",
        "system": "sys syst",
        "technical": "techl",
        "technology": "tech technol",
        "telecommunication": "telecom telecomm",
        "transport": "transp trans",
        "transportation": "transpn",
        "university": "univ uni",
        "wholesale": "whsl",
    }.items()
    for short in shorts.split()
}

#: Legal forms that are recognised although a letter is wrong.
LONG_FORMS = ("incorporated", "corporation", "company", "limited", "gmbh")
SHORT_FORMS = ("inc", "llc", "ltd", "corp")
#: Legal forms as they are written inside a name, before a town or a branch.
LEGAL_WORDS = _words("inc incorporated corporation company limited llc lp llp pllc pc plc gmbh ag kg sa srl sarl bv nv ab")

#: Mail and web hosts that anybody may use.
FREE_MAIL = _words(
    """126.com 139.com 163.com 21cn.com 2die4.com aim.com alice.it aliyun.com aol.co.uk aol.com arcor.de att.net bellsouth.net
    bigpond.com bigpond.net.au blueyonder.co.uk bluewin.ch btconnect.com btinternet.com cableone.net centurylink.net charter.net
    comcast.net cox.net daum.net duck.com earthlink.net embarqmail.com excite.com fastmail.com fastmail.fm free.fr freenet.de
    frontier.com frontiernet.net gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com hanmail.net hey.com hotmail.be
    hotmail.ca hotmail.co.uk hotmail.com hotmail.com.br hotmail.de hotmail.es hotmail.fr hotmail.it hotmail.nl hushmail.com
    icloud.com inbox.com inbox.ru juno.com kpnmail.nl laposte.net libero.it list.ru live.ca live.co.uk live.com live.com.au
    live.fr live.nl lycos.com mac.com mail.com mail.ru mchsi.com me.com mindspring.com msn.com mweb.co.za naver.com netscape.net
    netzero.net ntlworld.com o2.pl onet.pl optimum.net optonline.net optusnet.com.au orange.fr outlook.co.uk outlook.com
    outlook.de outlook.es outlook.fr outlook.it pacbell.net pm.me prodigy.net proton.me protonmail.ch protonmail.com qq.com
    rambler.ru rediffmail.com roadrunner.com rocketmail.com rogers.com runbox.com sapo.pt sbcglobal.net seznam.cz sfr.fr
    shaw.ca sina.com skynet.be sky.com suddenlink.net swbell.net sympatico.ca t-online.de talktalk.net tds.net telenet.be
    telia.com telus.net terra.com.br tin.it tiscali.it tuta.com tutanota.com tutanota.de twc.com ukr.net uol.com.br
    verizon.net videotron.ca virgilio.it virgin.net virginmedia.com vodafone.de wanadoo.fr web.de westnet.com.au windowslive.com
    windstream.net wp.pl xtra.co.nz ya.ru yahoo.ca yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.ar yahoo.com.au
    yahoo.com.br yahoo.com.mx yahoo.com.sg yahoo.de yahoo.es yahoo.fr yahoo.in yahoo.it yandex.com yandex.ru yeah.net ymail.com
    zoho.com zohomail.com ziggo.nl"""
)

#: Services that pay bills for others: their address on a customer says nothing about the customer.
BILL_PAY = _words(
    """bill.com billcom.com avidxchange.net avidxchange.com avidbill.com concur.com
    concursolutions.com coupa.com coupahost.com ariba.com sap.com
    basware.com tungsten-network.com taulia.com tradeshift.com stampli.com tipalti.com mineraltree.com melio.com meliopayments.com
    ramp.com brex.com airbase.com airbase.io divvy.co getdivvy.com paymode.com paymode-x.com bottomline.com corpay.com
    corpayone.com nvoicepay.com docuphase.com procore.com textura.com yooz.com yoozmail.com dext.com hubdoc.com receipt-bank.com
    expensify.com workday.com jaggaer.com ivalua.com zycus.com oracle.com netsuite.com quickbooks.com intuit.com xero.com
    freshbooks.com sage.com waveapps.com zipbooks.com zohoinvoice.com onpay.com gusto.com adp.com paychex.com vic.ai beanworks.com
    medius.com esker.com edicom.com certify.com chromeriver.com emburse.com plateiq.com restaurant365.com yardi.com realpage.com
    appfolio.com buildium.com opstechnology.com nexus-systems.com nexussystems.com invoicecloud.com transcepta.com veryapt.com"""
)

#: Sites on which many have a page of their own.
SHARED_HOSTS = _words(
    """facebook.com fb.com instagram.com linkedin.com twitter.com x.com youtube.com tiktok.com pinterest.com yelp.com google.com
    goo.gl g.page bit.ly linktr.ee wix.com wixsite.com weebly.com squarespace.com wordpress.com blogspot.com blogger.com
    tumblr.com
    medium.com github.com godaddysites.com godaddy.com webs.com yolasite.com jimdo.com jimdofree.com jimdosite.com
    strikingly.com site123.me shopify.com myshopify.com etsy.com amazon.com amazonaws.com ebay.com business.site mystrikingly.com
    tripadvisor.com opentable.com toasttab.com square.site squareup.com clover.com homestead.com angelfire.com tripod.com
    yellowpages.com angi.com houzz.com thumbtack.com nextdoor.com carrd.co notion.site canva.site hubspot.com salesforce.com
    force.com my.site.com webflow.io netlify.app vercel.app herokuapp.com example.com example.org example.net test.com domain.com
    none.com na.com noemail.com nomail.com email.com company.com"""
)

NO_EVIDENCE_DOMAINS = FREE_MAIL | BILL_PAY | SHARED_HOSTS

#: Currencies that people write behind a customer's name, for QuickBooks gives a customer one currency.
CURRENCIES = _words("usd eur gbp cad aud nzd jpy chf sek nok dkk mxn brl inr sgd hkd cny zar pln czk huf ils aed krw thb")

#: How streets are shortened.
STREET_WORDS: Mapping[str, str] = {
    "street": "st", "str": "st", "strasse": "st", "straat": "st", "avenue": "ave", "av": "ave", "avda": "ave", "road": "rd",
    "boulevard": "blvd", "boul": "blvd", "drive": "dr", "drv": "dr", "lane": "ln", "court": "ct", "crt": "ct", "place": "pl",
    "square": "sq", "suite": "ste", "apartment": "apt", "building": "bldg", "north": "n", "south": "s", "east": "e", "west": "w",
    "northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw", "highway": "hwy", "parkway": "pkwy",
    "pkway": "pkwy", "floor": "fl", "terrace": "ter", "circle": "cir", "trail": "trl", "expressway": "expy", "freeway": "fwy",
    "turnpike": "tpke", "plaza": "plz", "point": "pt", "mount": "mt", "saint": "st", "fort": "ft", "center": "ctr",
    "centre": "ctr", "heights": "hts", "junction": "jct", "crossing": "xing", "room": "rm", "route": "rte", "rt": "rte",
    "extension": "ext", "gardens": "gdns", "grove": "grv", "valley": "vly", "ridge": "rdg", "1st": "first", "2nd": "second",
    "3rd": "third", "4th": "fourth", "5th": "fifth", "6th": "sixth", "7th": "seventh", "8th": "eighth", "9th": "ninth",
    "10th": "tenth",
}  # fmt: skip

#: Words behind which the number of a room stands.
UNIT_WORDS = _words("ste unit apt fl rm bldg no dept stop mailstop ms lot bay hangar")

#: Country names as they are written, by ISO code. For the region of a national phone number.
COUNTRY_CODES: Mapping[str, str] = {
    name: code
    for code, names in {
        "US": "us|usa|united states|united states of america|america|u.s.|u.s.a.",
        "CA": "ca|can|canada",
        "GB": "gb|gbr|uk|u.k.|united kingdom|great britain|england|scotland|wales|northern ireland",
        "IE": "ie|irl|ireland",
        "DE": "de|deu|ger|germany|deutschland",
        "AT": "at|aut|austria|österreich",
        "CH": "ch|che|switzerland|schweiz|suisse",
        "FR": "fr|fra|france",
        "BE": "be|bel|belgium|belgique|belgië",
        "NL": "nl|nld|netherlands|the netherlands|nederland",
        "LU": "lu|lux|luxembourg",
        "ES": "es|esp|spain|españa",
        "PT": "pt|prt|portugal",
        "IT": "it|ita|italy|italia",
        "SE": "se|swe|sweden|sverige",
        "NO": "no|nor|norway|norge",
        "DK": "dk|dnk|denmark|danmark",
        "FI": "fi|fin|finland|suomi",
        "PL": "pl|pol|poland|polska",
        "CZ": "cz|cze|czech republic|czechia",
        "HU": "hu|hun|hungary",
        "RO": "ro|rou|romania",
        "GR": "gr|grc|greece",
        "TR": "tr|tur|turkey|türkiye",
        "IL": "il|isr|israel",
        "AE": "ae|are|united arab emirates|uae",
        "SA": "sa|sau|saudi arabia",
        "ZA": "za|zaf|south africa",
        "IN": "in|ind|india",
        "CN": "cn|chn|china",
        "HK": "hk|hkg|hong kong",
        "TW": "tw|twn|taiwan",
        "JP": "jp|jpn|japan",
        "KR": "kr|kor|korea|south korea|republic of korea",
        "SG": "sg|sgp|singapore",
        "MY": "my|mys|malaysia",
        "TH": "th|tha|thailand",
        "PH": "ph|phl|philippines",
        "ID": "id|idn|indonesia",
        "AU": "au|aus|australia",
        "NZ": "nz|nzl|new zealand",
        "MX": "mx|mex|mexico|méxico",
        "BR": "br|bra|brazil|brasil",
        "AR": "ar|arg|argentina",
        "CL": "cl|chl|chile",
        "CO": "co|col|colombia",
    }.items()
    for name in names.split("|")
}
