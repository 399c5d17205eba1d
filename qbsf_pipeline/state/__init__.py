"""The state database: what was done and what people decided.

Everything else can be computed again from the two services; this cannot. Belongs here: the write ledger, links, reviews,
approvals, dead letters, the outbox of notifications, tokens, and the record of passes. Does not belong here: any decision
about business, and any call to a service.
"""
