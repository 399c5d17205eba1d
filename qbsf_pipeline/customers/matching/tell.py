"""Puts into the outbox what people are asked about customers, each question once. Sending is the outbox's business."""

from __future__ import annotations

from datetime import datetime

from qbsf_pipeline.customers.matching.messages import review_message
from qbsf_pipeline.settings import Settings
from qbsf_pipeline.state.database import State


def tell_reviews(state: State, settings: Settings, instance_url: str, now: datetime) -> int:
    """Ask people about the reviews that are open and were not told yet, in one message. Returns how many those are.

    Args:
        instance_url: base URL of the Salesforce org, for links to accounts.
    """
    page = f"{settings.rules.schedules.dagster_url.rstrip('/')}/assets/customers/reviews_page"
    with state.transaction():
        asked = state.reviews.unannounced()
        account = f"{instance_url}/lightning/r/Account/{{id}}/view"
        message = review_message(asked, settings.environment.alerts_channel, page, account)
        if message is not None:
            state.outbox.put([message], now)
            state.reviews.announce([one.review_id for one in asked], now)
    return len(asked)
