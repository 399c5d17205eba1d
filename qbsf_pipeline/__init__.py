"""qbsf: closed-won Salesforce deals become QuickBooks Online invoices, once and only once."""
