"""Recurring revenue: which periods a deal is billed in, which are due, and what a change of the deal asks for. Pure.

For a deal that is won, in this order:

1. :func:`..line_sources.sold.sold_lines`: its lines; :func:`.terms.deal_terms`: what it says of its billing.
2. :func:`.building.billing_schedule`: the schedule that it wants. Without schedule and reasons it is one plain invoice.
3. The schedule that was agreed, from the state (:mod:`.kept`). Where there is none yet, the wanted one is agreed as a plain
   invoice would be. Else :func:`.amending.amend` says what has changed, and a person approves. Amendments of a contract are laid
   over the wanted schedule before that, oldest first (:func:`.amending.amended`).
4. What was billed: the ledger by :func:`.schedule.period_key`; without it, notes (:func:`.markers.placed_by_note`) and invoices
   of a template (:func:`.templates.recognise`). An invoice of the deal that fits no period makes the deal wait.
5. :func:`.due.due_periods`: what is billed now; :func:`.schedule.deal_lines`: the lines of its invoice.

A deal that is lost, deleted, opened again or on hold goes to :func:`.amending.stop` instead of 2.
"""
