"""Which QuickBooks customer is billed for a Salesforce account."""
