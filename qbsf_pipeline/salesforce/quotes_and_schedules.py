"""Raw tables of what only some orgs have: quotes of Salesforce CPQ (managed package SBQQ), and schedules of deals' lines.

Field names are those of the package and of Salesforce; the rules ``salesforce.cpq_quote`` and ``salesforce.cpq_quote_line`` name
others. A field that an org does not show is null here, and each reader says what it then does.
"""

from __future__ import annotations

import polars as pl

from qbsf_pipeline.warehouse.tables import RATE, Column, raw_table

CPQ_QUOTE = raw_table(
    "salesforce",
    "cpq_quote",
    (
        Column("id", pl.String, "Salesforce id of the quote, 18 characters", "Id"),
        Column("name", pl.String, "Its number, such as Q-00042", "Name"),
        Column("opportunity_id", pl.String, "The deal", "SBQQ__Opportunity2__c"),
        Column("account_id", pl.String, "The account", "SBQQ__Account__c"),
        Column("is_primary", pl.Boolean, "The one quote of the deal that counts", "SBQQ__Primary__c"),
        Column("status", pl.String, "Such as Draft, Approved, Accepted", "SBQQ__Status__c"),
        Column("type", pl.String, "Quote, Amendment or Renewal", "SBQQ__Type__c"),
        Column("net_amount", RATE, "What its lines come to at net prices, quote's currency", "SBQQ__NetAmount__c"),
        Column("customer_amount", RATE, "The same at customer prices, before partner discounts", "SBQQ__CustomerAmount__c"),
        Column("additional_discount_amount", RATE, "Discount on the quote, an amount", "SBQQ__AdditionalDiscountAmount__c"),
        Column("start_date", pl.Date, "First day of its subscriptions", "SBQQ__StartDate__c"),
        Column("end_date", pl.Date, "Last day of its subscriptions", "SBQQ__EndDate__c"),
        Column("subscription_term", RATE, "Length, in the package's term unit", "SBQQ__SubscriptionTerm__c"),
        Column("billing_frequency", pl.String, "How often; by default nothing in CPQ uses it", "SBQQ__BillingFrequency__c"),
        Column("payment_terms", pl.String, "Payment terms", "SBQQ__PaymentTerms__c"),
        Column("primary_contact_id", pl.String, "Contact", "SBQQ__PrimaryContact__c"),
        Column("billing_name", pl.String, "Name that is billed", "SBQQ__BillingName__c"),
        Column("billing_street", pl.String, "Street that is billed", "SBQQ__BillingStreet__c"),
        Column("billing_city", pl.String, "City that is billed", "SBQQ__BillingCity__c"),
        Column("billing_state", pl.String, "State that is billed", "SBQQ__BillingState__c"),
        Column("billing_postal_code", pl.String, "Postal code that is billed", "SBQQ__BillingPostalCode__c"),
        Column("billing_country", pl.String, "Country that is billed", "SBQQ__BillingCountry__c"),
        Column("contract_id", pl.String, "Contract that an amendment or renewal changes", "SBQQ__MasterContract__c"),
        Column(
            "contract_opportunity_id",
            pl.String,
            "Deal that made this contract, where the contract tells it",
            "SBQQ__MasterContract__r.SBQQ__Opportunity__c",
        ),
        Column("currency", pl.String, "ISO code; null in an org with one currency", "CurrencyIsoCode"),
    ),
    "Quotes of Salesforce CPQ: one row per quote",
)

CPQ_QUOTE_LINE = raw_table(
    "salesforce",
    "cpq_quote_line",
    (
        Column("id", pl.String, "Salesforce id of the line, 18 characters", "Id"),
        Column("quote_id", pl.String, "The quote", "SBQQ__Quote__c"),
        Column("number", RATE, "Its place on the quote", "SBQQ__Number__c"),
        Column("product_id", pl.String, "The product", "SBQQ__Product__c"),
        Column("product_code", pl.String, "Its code", "SBQQ__ProductCode__c"),
        Column("product_name", pl.String, "Its name", "SBQQ__ProductName__c"),
        Column("description", pl.String, "What the seller wrote on the line", "SBQQ__Description__c"),
        Column("quantity", RATE, "Quantity", "SBQQ__Quantity__c"),
        Column(
            "effective_quantity", RATE, "Quantity that is priced: of an amendment the difference", "SBQQ__EffectiveQuantity__c"
        ),
        Column("net_price", RATE, "Price of one unit for the whole term, prorated", "SBQQ__NetPrice__c"),
        Column("net_total", RATE, "What the line comes to at its net price", "SBQQ__NetTotal__c"),
        Column("customer_total", RATE, "The same before partner discounts", "SBQQ__CustomerTotal__c"),
        Column("partner_total", RATE, "The same at the partner's price", "SBQQ__PartnerTotal__c"),
        Column("subscription_pricing", pl.String, "Fixed Price or Percent Of Total", "SBQQ__SubscriptionPricing__c"),
        Column("subscription_type", pl.String, "Renewable, One-time or Evergreen", "SBQQ__SubscriptionType__c"),
        Column("subscription_term", RATE, "Length, in the package's term unit", "SBQQ__SubscriptionTerm__c"),
        Column("default_subscription_term", RATE, "Length where the line has none", "SBQQ__DefaultSubscriptionTerm__c"),
        Column("charge_type", pl.String, "One-Time, Recurring or Usage", "SBQQ__ChargeType__c"),
        Column("billing_type", pl.String, "Advance or Arrears", "SBQQ__BillingType__c"),
        Column(
            "billing_frequency",
            pl.String,
            "Monthly, Quarterly, Semiannual, Annual, One-Time, Usage or Invoice Plan",
            "SBQQ__BillingFrequency__c",
        ),
        Column("start_date", pl.Date, "Its own first day, where it differs", "SBQQ__StartDate__c"),
        Column("end_date", pl.Date, "Its own last day, where it differs", "SBQQ__EndDate__c"),
        Column("effective_start_date", pl.Date, "First day it covers", "SBQQ__EffectiveStartDate__c"),
        Column("effective_end_date", pl.Date, "Last day it covers", "SBQQ__EffectiveEndDate__c"),
        Column("is_bundled", pl.Boolean, "Included in a bundle, at no price", "SBQQ__Bundled__c"),
        Column("required_by_id", pl.String, "Line of the bundle it belongs to", "SBQQ__RequiredBy__c"),
        Column("is_optional", pl.Boolean, "Offered and not sold", "SBQQ__Optional__c"),
    ),
    "Lines of the quotes of Salesforce CPQ: one row per line",
)

CPQ_SUBSCRIPTION = raw_table(
    "salesforce",
    "cpq_subscription",
    (
        Column("id", pl.String, "Salesforce id of the subscription, 18 characters", "Id"),
        Column("contract_id", pl.String, "The contract", "SBQQ__Contract__c"),
        Column("quote_line_id", pl.String, "Line of the quote that sold it", "SBQQ__QuoteLine__c"),
    ),
    "Subscriptions of contracts that quotes of Salesforce CPQ change, and that do not tell which deal made them",
)

REVENUE_SCHEDULE = raw_table(
    "salesforce",
    "opportunity_line_item_schedule",
    (
        Column("id", pl.String, "Salesforce id of the row, 18 characters", "Id"),
        Column("line_id", pl.String, "The deal's line", "OpportunityLineItemId"),
        Column("type", pl.String, "Revenue, Quantity or Both", "Type"),
        Column("schedule_date", pl.Date, "Its day", "ScheduleDate"),
        Column("quantity", RATE, "Its quantity, of the types Quantity and Both", "Quantity"),
        Column("revenue", RATE, "Its revenue, deal's currency, of the types Revenue and Both", "Revenue"),
        Column("description", pl.String, "What the seller wrote", "Description"),
        Column("currency", pl.String, "ISO code; null in an org with one currency", "CurrencyIsoCode"),
    ),
    "Revenue and quantity schedules of deals' lines: one row per line and day. Absent where the org has no schedules",
)
