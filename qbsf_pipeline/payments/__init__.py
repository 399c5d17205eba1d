"""Payments: how far each deal is paid, told to Salesforce and to the people who sold it."""
