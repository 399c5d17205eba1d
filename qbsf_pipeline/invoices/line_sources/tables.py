"""The raw tables that the sources of a deal's lines read, beside the deal's own products: CPQ's quotes, and schedules of lines.

They are Salesforce's (:mod:`qbsf_pipeline.salesforce.quotes_and_schedules`), and empty where the org has none. A field that
an org does not show is null, and each reader says what it then does.
"""

from __future__ import annotations

from qbsf_pipeline.salesforce.quotes_and_schedules import CPQ_QUOTE, CPQ_QUOTE_LINE, CPQ_SUBSCRIPTION, REVENUE_SCHEDULE

__all__ = ["CPQ_QUOTE", "CPQ_QUOTE_LINE", "CPQ_SUBSCRIPTION", "REVENUE_SCHEDULE"]
