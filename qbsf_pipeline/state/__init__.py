"""The state database: what was done and what people decided.

Everything else can be computed again from the two services; this cannot. Belongs here: the write ledger, links, rejections,
reviews, agreements and the journal of fields, approvals, dead letters, the outbox of notifications, tokens, the record of
passes and audits. Does not belong here: any decision about business, and any call to a service.
"""
