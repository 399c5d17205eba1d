"""Customers: which QuickBooks customer is billed for a Salesforce account."""
