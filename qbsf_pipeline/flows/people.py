"""Finds the Slack users of people who are told something themselves. Slack is asked once a day for each address."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from qbsf_pipeline.errors import AccessRefused, RecordRefused, ServiceUnavailable
from qbsf_pipeline.resources import Doors
from qbsf_pipeline.slack.client import RateLimited

logger = logging.getLogger(__name__)


def slack_ids(opened: Doors, addresses: Iterable[str]) -> dict[str, str] | None:
    """Slack user id by e-mail address in small letters. Whom Slack does not know is not in it.

    Where there is no Slack, or the app may not ask, everybody is unknown. ``None`` where Slack does not answer now: whoever
    would be told waits for the next pass, so that a message to one person does not go to everybody because of an outage.
    """
    state, now = opened.state, opened.now()
    wanted = dict.fromkeys(address.strip().lower() for address in addresses if address.strip())
    found: dict[str, str] = {}
    for address in wanted:
        known = state.slack_users.get(address, now)
        if known is not None:
            user_id = known.slack_user_id
        elif opened.slack is None:
            continue
        else:
            try:
                user_id = opened.slack.user_id(address)
            except ServiceUnavailable as error:
                logger.warning("Slack cannot be asked for people now: %s", error.message)
                if not isinstance(error, RateLimited):
                    state.services.went_down("slack", error.message, now)
                return None
            except (AccessRefused, RecordRefused) as error:
                # Not kept: the answer is another one as soon as the app has the scope.
                logger.warning("Slack does not tell who has an address: %s %s", error.code, error.message)
                continue
            state.slack_users.put(address, user_id, now)
            state.services.came_back("slack", now)
        if user_id is not None:
            found[address] = user_id
    return found


def reachable(opened: Doors) -> bool:
    """Whether people can be looked up now, as far as is known: what waits for that is no reason to start a push."""
    return "slack" not in opened.state.services.down()
