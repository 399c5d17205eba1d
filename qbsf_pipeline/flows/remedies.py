"""What a service's refusal means for finance and sales, and what to do about it."""

from __future__ import annotations

from qbsf_pipeline.state.ledger import LedgerEntry

#: By error code of QuickBooks or Salesforce (codes: Intuit's list of faults; Salesforce's REST error codes).
_REMEDIES: dict[str, str] = {
    "610": "Something on it was deleted or made inactive in QuickBooks. Make it active again, or choose another one.",
    "620": "The transactions cannot be linked. Look at the customer's open transactions in QuickBooks.",
    "2050": "A text is longer than QuickBooks takes. Shorten it in Salesforce.",
    "2210": "QuickBooks does not take this e-mail address. Correct it in Salesforce.",
    "2220": "QuickBooks does not have this currency. Add it under Settings, Currencies, or change the deal's.",
    "2500": "Something it refers to is inactive or gone in QuickBooks (item, customer, term, tax code or class). Make it "
    "active again, or choose another one.",
    "5030": "This QuickBooks subscription does not have the feature that is needed.",
    "6000": "QuickBooks refuses it for a reason of its own, given above. Correct that in QuickBooks or in the deal.",
    "6070": "A line's amount is not quantity times rate. Check the line's prices in Salesforce.",
    "6140": "Invoice numbers are used by others at the same time. Try again.",
    "6190": "The QuickBooks subscription has ended or is suspended. Renew it.",
    "6200": "The books are closed for the invoice's date. Move the closing date in QuickBooks, or the deal's close date.",
    "6210": "The books are closed for the invoice's date. Move the closing date in QuickBooks, or the deal's close date.",
    "6240": "The name is taken in QuickBooks by another customer, vendor or employee. Link the account with qbsf review, or "
    "rename one of the two.",
    "6250": "The customer is missing or inactive in QuickBooks. Make it active again.",
    "6420": "The invoice has no e-mail address. Fill the account's billing e-mail.",
    "ENTITY_IS_DELETED": "The record was deleted in Salesforce. Restore it from the recycle bin, or dismiss this.",
    "NOT_FOUND": "The record is not in Salesforce, or the integration user may not see it.",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "A validation rule of the org refuses the change; its text is above. Correct the "
    "record, or exempt the integration user from the rule.",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "The integration user may not write this field. Grant it in the permission set.",
    "INVALID_FIELD": "A field is missing or not visible to the integration user. Create it, or grant access to it.",
    "INSUFFICIENT_ACCESS_OR_READONLY": "The integration user may not edit this record, or an approval locks it.",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "The picklist lacks this value. Add it in Salesforce's object manager.",
    "DUPLICATE_VALUE": "Another record holds this value already. Two accounts cannot be one QuickBooks customer: merge them, "
    "or link one of them elsewhere.",
    "REQUIRED_FIELD_MISSING": "The org requires a field that is empty; its name is above. Fill it, or give it a default.",
    "BAD_VALUE_FOR_RESTRICTED_PICKLIST": "The picklist lacks this value. Add it in Salesforce's object manager.",
    "INACTIVE_OWNER_OR_USER": "The owner may not log in any more. Give the record an active owner.",
    "INVALID_CROSS_REFERENCE_KEY": "A record that it refers to is gone, or the integration user may not see it.",
    "TRANSFER_REQUIRES_READ": "The owner may not see such records. Grant it, or give the account another owner.",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "Automation of the org (a flow or trigger) refuses the change; its text is above.",
}
_OTHERWISE = "Correct it at its source; it is tried again by itself once the record has changed, or with qbsf failures retry."

_WHAT: dict[str, str] = {
    "create_customer": "QuickBooks refused to create the customer",
    "create_item": "QuickBooks refused to create the item",
    "create_invoice": "QuickBooks refused the invoice",
    "create_credit_memo": "QuickBooks refused the credit memo",
    "create_recurring_template": "QuickBooks refused the recurring template",
    "delete_recurring_template": "QuickBooks refused to delete the recurring template. Delete it there by hand",
    "take_over_recurring_template": "QuickBooks refused to delete the recurring template. Delete it there by hand",
    "send_invoice": "The invoice stands in QuickBooks, but it could not be e-mailed",
    "change_schedule": "The billing schedule was changed by something else first",
    "write_back_account": "Salesforce refused to store the customer id on the account",
    "write_back_opportunity": "The invoice stands in QuickBooks, but Salesforce refused to store it on the deal",
    "update_customer": "QuickBooks refused the change of the customer",
    "update_account": "Salesforce refused the change of the account",
    "update_opportunity": "Salesforce refused the change of the deal",
    "send_reminder": "QuickBooks refused to mail the invoice once more",
    "create_task": "Salesforce refused to create the task",
    "close_task": "Salesforce refused to close the task",
}


def explain(entry: LedgerEntry, code: str, message: str) -> str:
    """A refusal in words: what was refused, the service's own reason, and its code."""
    reason = message.strip().rstrip(".") or "no reason given"
    return f"{_WHAT.get(entry.operation, 'It was refused')}: {reason} (code {code})."


def remedy(code: str) -> str:
    """What to do about a refusal with this code."""
    return _REMEDIES.get(code, _OTHERWISE)
