"""What the entities look like: names, paths, known properties, lengths, references.

From Intuit's API reference and XSD (`shared/api/quickbooks.md` section 10). Belongs here: declarations only.
"""

from __future__ import annotations

LIST_ENTITIES = (
    "Customer",
    "Vendor",
    "Employee",
    "Item",
    "Term",
    "Class",
    "Department",
    "TaxCode",
    "TaxRate",
    "Account",
    "CompanyCurrency",
    "PaymentMethod",
)
SALES_FORMS = ("Invoice", "CreditMemo", "SalesReceipt", "RefundReceipt")
TRANSACTIONS = (*SALES_FORMS, "Payment", "JournalEntry", "Deposit")
ENTITIES = (*LIST_ENTITIES, *TRANSACTIONS, "RecurringTransaction", "CompanyInfo", "Preferences")
BY_PATH = {entity.lower(): entity for entity in ENTITIES}

#: Lists that only Intuit's own programs write.
READ_ONLY_LISTS = frozenset({"TaxCode", "TaxRate"})
#: Change data capture does not know these.
NOT_IN_CHANGES = frozenset({"TaxCode", "TaxRate", "RecurringTransaction", "Preferences", "CompanyInfo"})

PEOPLE = ("Customer", "Vendor", "Employee")
#: Property that must be unique, per list.
NAME_OF = {
    "Customer": "DisplayName",
    "Vendor": "DisplayName",
    "Employee": "DisplayName",
    "Item": "Name",
    "Term": "Name",
    "Class": "Name",
    "Department": "Name",
    "TaxCode": "Name",
    "TaxRate": "Name",
    "Account": "Name",
    "CompanyCurrency": "Code",
    "PaymentMethod": "Name",
}


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_EVERY = frozenset({"Id", "SyncToken", "MetaData", "domain", "status", "sparse", "CustomField", "AttachableRef"})
_NAME = names(
    "IntuitId Organization Title GivenName MiddleName FamilyName Suffix FullyQualifiedName CompanyName DisplayName "
    "PrintOnCheckName UserId Active PrimaryPhone AlternatePhone Mobile Fax PrimaryEmailAddr WebAddr OtherContactInfo "
    "DefaultTaxCodeRef"
)
_CUSTOMER = names(
    "Taxable BillAddr ShipAddr OtherAddr ContactName AltContactName Notes Job BillWithParent RootCustomerRef ParentRef "
    "Level CustomerTypeRef SalesTermRef SalesRepRef TaxGroupCodeRef TaxRateRef PaymentMethodRef CCDetail PriceLevelRef "
    "Balance OpenBalanceDate BalanceWithJobs CreditLimit AcctNum CurrencyRef OverDueBalance TotalRevenue TotalExpense "
    "PreferredDeliveryMethod ResaleNum JobInfo TDSEnabled CustomerEx SecondaryTaxIdentifier ARAccountRef "
    "PrimaryTaxIdentifier TaxExemptionReasonId IsProject BusinessNumber GSTIN GSTRegistrationType IsCISContractor "
    "ClientCompanyId ClientEntityId Source V4IDPseudonym"
)
_TRANSACTION = names(
    "DocNumber TxnDate DepartmentRef CurrencyRef ExchangeRate PrivateNote TxnStatus LinkedTxn Line TxnTaxDetail "
    "TxnSource TaxFormType TaxFormNum TransactionLocationType Tag RecurDataRef RecurringInfo ProjectRef "
    "TxnApprovalInfo"
)
_SALES = names(
    "AutoDocNumber CustomerRef CustomerMemo BillAddr ShipAddr ShipFromAddr RemitToRef ClassRef SalesTermRef DueDate "
    "SalesRepRef PONumber FOB ShipMethodRef ShipDate TrackingNum GlobalTaxCalculation TotalAmt HomeTotalAmt "
    "ApplyTaxAfterDiscount TemplateRef PrintStatus EmailStatus BillEmail BillEmailCc BillEmailBcc ARAccountRef Balance "
    "HomeBalance FinanceCharge PaymentMethodRef PaymentRefNum PaymentType CheckPayment CreditCardPayment "
    "DepositToAccountRef DeliveryInfo DiscountRate DiscountAmt GovtTxnRefIdentifier TaxExemptionRef "
    "FreeFormAddress"
)
_INVOICE = names(
    "Deposit AllowIPNPayment AllowOnlinePayment AllowOnlineCreditCardPayment AllowOnlineACHPayment InvoiceStatus "
    "InvoiceStatusLog CallToAction InvoiceLink ECloudStatusTimeStamp EInvoiceStatus InvoiceLinkSecurityCode "
    "InvoiceLinkExpiryDate LessCIS"
)
_PAYMENT = names(
    "CustomerRef RemitToRef ARAccountRef DepositToAccountRef PaymentMethodRef PaymentRefNum CreditCardPayment "
    "CheckPayment PaymentType TotalAmt UnappliedAmt ProcessPayment TaxExemptionRef TxnStatus"
)

#: Every property an entity may carry; another one is refused with 2010. Entities that are not named take anything.
KNOWN: dict[str, frozenset[str]] = {
    "Customer": _EVERY | _NAME | _CUSTOMER,
    "Invoice": _EVERY | _TRANSACTION | _SALES | _INVOICE,
    "CreditMemo": _EVERY | _TRANSACTION | _SALES | {"RemainingCredit", "InvoiceRef"},
    "SalesReceipt": _EVERY | _TRANSACTION | _SALES,
    "RefundReceipt": _EVERY | _TRANSACTION | _SALES,
    "Payment": _EVERY | _TRANSACTION | _PAYMENT,
}
KNOWN_IN_LINE = names(
    "Id LineNum Description Amount Received LinkedTxn DetailType CustomField LineEx ProjectRef SalesItemLineDetail "
    "SubTotalLineDetail SubtotalLineDetail DiscountLineDetail DescriptionLineDetail GroupLineDetail"
)
KNOWN_IN_SALES_ITEM = names(
    "ItemRef ClassRef UnitPrice MarkupInfo RatePercent PriceLevelRef Qty UOMRef ItemAccountRef InventorySiteRef "
    "TaxCodeRef TaxClassificationRef ServiceDate TaxInclusiveAmt DiscountRate DiscountAmt DeferredRevenue "
    "SalesItemLineDetailEx"
)

_OWN = frozenset({"Id", "SyncToken", "MetaData", "domain", "status", "sparse"})
#: Set by QuickBooks; values sent are ignored without a word.
READ_ONLY: dict[str, frozenset[str]] = {
    "Customer": _OWN | {"FullyQualifiedName", "Level", "BalanceWithJobs", "Balance", "IsProject", "V4IDPseudonym"},
    "Vendor": _OWN | {"Balance"},
    "Employee": _OWN,
    "Item": _OWN | {"FullyQualifiedName", "Level"},
    "Account": _OWN | {"FullyQualifiedName", "CurrentBalance", "CurrentBalanceWithSubAccounts"},
    "Class": _OWN | {"FullyQualifiedName"},
    "Department": _OWN | {"FullyQualifiedName"},
    "Term": _OWN | {"Type"},
    "Invoice": _OWN
    | {"Balance", "TotalAmt", "HomeBalance", "HomeTotalAmt", "InvoiceLink", "DeliveryInfo", "RecurDataRef"}
    | {"LinkedTxn", "EInvoiceStatus"},
    "CreditMemo": _OWN
    | {"Balance", "TotalAmt", "HomeBalance", "HomeTotalAmt", "RemainingCredit", "DeliveryInfo"}
    # Links are made on the payment.
    | {"LinkedTxn", "RecurDataRef"},
    "SalesReceipt": _OWN | {"Balance", "TotalAmt", "HomeBalance", "HomeTotalAmt", "DeliveryInfo"} | {"LinkedTxn", "RecurDataRef"},
    "RefundReceipt": _OWN
    | {"Balance", "TotalAmt", "HomeBalance", "HomeTotalAmt", "DeliveryInfo"}
    | {"LinkedTxn", "RecurDataRef"},
    "Payment": _OWN | {"UnappliedAmt", "LinkedTxn", "HomeTotalAmt"},
    "JournalEntry": _OWN | {"TotalAmt", "HomeTotalAmt", "LinkedTxn"},
    "Deposit": _OWN | {"TotalAmt", "HomeTotalAmt"},
}


def read_only(entity: str) -> frozenset[str]:
    """Properties of an entity that a client cannot set."""
    return READ_ONLY.get(entity, _OWN)


#: Longest text, by property; inside an object by path.
LIMITS: dict[str, dict[str, int]] = {
    "Customer": {
        "DisplayName": 500,
        "Title": 16,
        "GivenName": 100,
        "MiddleName": 100,
        "FamilyName": 100,
        "Suffix": 16,
        "CompanyName": 100,
        "PrintOnCheckName": 110,
        "Notes": 2000,
        "ResaleNum": 16,
        "PrimaryEmailAddr.Address": 100,
        "PrimaryPhone.FreeFormNumber": 30,
        "AlternatePhone.FreeFormNumber": 30,
        "Mobile.FreeFormNumber": 30,
        "Fax.FreeFormNumber": 30,
        "WebAddr.URI": 1000,
    },
    "Item": {"Name": 100, "Sku": 100, "Description": 4000, "PurchaseDesc": 1000},
    "Term": {"Name": 31},
    "Class": {"Name": 100},
    "Department": {"Name": 100},
    "Account": {"Name": 100},
    "PaymentMethod": {"Name": 31},
    "Payment": {"PaymentRefNum": 21, "PrivateNote": 4000},
    "JournalEntry": {"DocNumber": 21, "PrivateNote": 4000},
    "Deposit": {"DocNumber": 21, "PrivateNote": 4000},
}
LIMITS["Vendor"] = {**LIMITS["Customer"]}
LIMITS["Employee"] = {**LIMITS["Customer"]}
for _form in SALES_FORMS:
    LIMITS[_form] = {
        "DocNumber": 21,
        "PrivateNote": 4000,
        "CustomerMemo.value": 1000,
        "BillEmail.Address": 100,
        "BillEmailCc.Address": 200,
        "BillEmailBcc.Address": 200,
        "TrackingNum": 31,
        "PaymentRefNum": 21,
    }
ADDRESS_LIMITS = {
    **{f"Line{number}": 500 for number in range(1, 6)},
    "City": 255,
    "Country": 255,
    "CountrySubDivisionCode": 255,
    "PostalCode": 30,
}
#: No colon, tab or new line in these.
PLAIN_NAMES = ("DisplayName", "Title", "GivenName", "MiddleName", "FamilyName", "Suffix", "PrintOnCheckName")
EMAILS = ("PrimaryEmailAddr", "BillEmail", "BillEmailCc", "BillEmailBcc")
ADDRESSES = ("BillAddr", "ShipAddr", "ShipFromAddr", "OtherAddr", "PrimaryAddr")
ENUMERATIONS: dict[str, tuple[str, ...]] = {
    "PreferredDeliveryMethod": ("Print", "Email", "None"),
    "EmailStatus": ("NotSet", "NeedToSend", "EmailSent"),
    "PrintStatus": ("NotSet", "NeedToPrint", "PrintComplete"),
    "GlobalTaxCalculation": ("TaxExcluded", "TaxInclusive", "NotApplicable"),
}
DATES = ("TxnDate", "DueDate", "ShipDate", "OpenBalanceDate", "InvStartDate")
#: Reference property -> list it points into.
REFERENCES = {
    "SalesTermRef": "Term",
    "DepartmentRef": "Department",
    "ClassRef": "Class",
    "ParentRef": "",
    "PaymentMethodRef": "PaymentMethod",
    "DepositToAccountRef": "Account",
    "ARAccountRef": "Account",
    "IncomeAccountRef": "Account",
    "ExpenseAccountRef": "Account",
    "AssetAccountRef": "Account",
}
#: What a message calls the objects of a list.
KIND = {"Customer": "Names", "Vendor": "Names", "Employee": "Names", "Class": "Classes"}
