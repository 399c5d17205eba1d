"""Invoices: a won deal becomes one QuickBooks invoice."""
