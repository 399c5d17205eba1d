"""One door to Salesforce: tokens, transport, the objects that are read, and the pull into raw tables.

No business decision belongs here: this package reads what is in the org and writes what it is given.
"""
