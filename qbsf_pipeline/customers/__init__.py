"""Customers: which QuickBooks customer a Salesforce account is (``matching``), and both kept in step, field by field."""
