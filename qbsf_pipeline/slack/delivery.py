"""Delivers the outbox: in order for each channel, at Slack's pace, losing nothing when Slack is down.

A message is marked as being sent before the call and as sent after it. One whose answer was lost is looked for in the
channel first; where the bot may not read the channel it is sent again, because a message twice is better than none.

Belongs here: order, pace and what to do about a refusal. Does not belong here: what a message says.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceError, ServiceUnavailable
from qbsf_pipeline.slack.blocks import as_text, escape, section
from qbsf_pipeline.slack.client import CHANNEL_REMEDIES, Posted, RateLimited, SlackClient
from qbsf_pipeline.state.outbox import Message, Outbox, OutboxEntry, channels
from qbsf_pipeline.state.transactions import StateBusy

logger = logging.getLogger(__name__)

#: Slack takes one message a second for each channel and tolerates short bursts.
PER_SECOND = 1.0
BURST = 3

LOCK = "slack delivery"

_FIRST_WAIT = timedelta(seconds=15)
_LONGEST_WAIT = timedelta(minutes=2)
_REFUSED_WAIT = timedelta(minutes=10)
_REFUSED_TOKEN_WAIT = timedelta(minutes=2)
_GIVE_UP_AFTER = timedelta(days=14)
_LONGEST_QUOTE = 500
_NO_THREAD = frozenset({"thread_not_found", "cannot_reply_to_message", "invalid_thread_ts"})

#: Refusals that are about the message itself and stay for ever. Any other refusal may be mended, so the message waits.
_BAD_MESSAGE = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_too_long",
        "msg_blocks_too_long",
        "no_text",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_too_large",
        "too_many_attachments",
        "too_many_contact_cards",
        "slack_connect_blocked_file_type",
        "block_mismatch",
    }
)
_UNDELIVERABLE = "undeliverable"


@dataclass(frozen=True)
class Delivered:
    """What a delivery did: messages ``sent``, still ``waiting``, that Slack will never take (``dead``), why Slack could
    not be used, if so (``unavailable``), and what it ``refused``, each with what to do. ``busy``: another process is
    delivering, and nothing was done here."""

    sent: int = 0
    waiting: int = 0
    dead: int = 0
    unavailable: str | None = None
    refused: tuple[str, ...] = ()
    busy: bool = False


def deliver(
    outbox: Outbox,
    client: SlackClient,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
    budget_seconds: float,
    exclusive: Callable[[str, float], AbstractContextManager[None]],
    alerts_channel: str,
) -> Delivered:
    """Send what is due, for at most about ``budget_seconds``; what is left waits for the next time.

    Args:
        now: the time, aware UTC.
        sleep: waits for so many seconds; ``now`` must go on meanwhile.
        exclusive: the lock of the state database (``state.exclusive``), so that one process delivers at a time.
        alerts_channel: where a channel that cannot be used is told.
    """
    try:
        with exclusive(LOCK, 0.0):
            return _Delivery(outbox, client, now, sleep, budget_seconds, alerts_channel).run()
    except StateBusy as error:
        if error.name != LOCK:
            raise
        return Delivered(waiting=len(outbox.pending()), busy=True)


class _ServiceStop(Exception):
    """Slack as a whole cannot be used now."""


@dataclass
class _Pace:
    """A bucket of tokens that fills with one a second: when a channel takes the next message."""

    tokens: float = float(BURST)
    filled_at: datetime | None = None
    not_before: datetime | None = None

    def free_at(self, now: datetime) -> datetime:
        self._fill(now)
        free = now if self.tokens >= 1 else now + timedelta(seconds=(1 - self.tokens) / PER_SECOND)
        return free if self.not_before is None else max(free, self.not_before)

    def take(self, now: datetime) -> None:
        self._fill(now)
        self.tokens -= 1

    def throttled(self, until: datetime) -> None:
        self.tokens = 1.0
        self.filled_at = until
        self.not_before = until

    def _fill(self, now: datetime) -> None:
        if self.filled_at is not None and now > self.filled_at:
            passed = (now - self.filled_at).total_seconds()
            self.tokens = min(float(BURST), self.tokens + passed * PER_SECOND)
        if self.filled_at is None or now > self.filled_at:
            self.filled_at = now


@dataclass
class _Delivery:
    outbox: Outbox
    client: SlackClient
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    budget_seconds: float
    alerts_channel: str
    counts: Counter[str] = field(default_factory=Counter)
    paces: dict[str, _Pace] = field(default_factory=dict)
    refused: dict[str, None] = field(default_factory=dict)

    def run(self) -> Delivered:
        deadline = self.now() + timedelta(seconds=self.budget_seconds)
        unavailable: str | None = None
        try:
            while self._one(deadline):
                pass
        except _ServiceStop as stop:
            unavailable = str(stop)
            logger.warning("slack cannot be used now, messages wait: %s", unavailable)
        waiting = len(self.outbox.pending())
        return Delivered(self.counts["sent"], waiting, self.counts["dead"], unavailable, tuple(self.refused))

    def _one(self, deadline: datetime) -> bool:
        """Send the message that may go first, or wait for one; False when none may go within the budget."""
        now = self.now()
        heads = [entries[0] for entries in channels(self.outbox.due(now)).values()]
        free = {head.entry_id: self._pace(head).free_at(now) for head in heads}
        entry = min(heads, key=lambda head: (free[head.entry_id], head.entry_id), default=None)
        if entry is None or free[entry.entry_id] > now:
            times = [entry.next_attempt_at for entry in self.outbox.pending()]
            later = [time for time in times if time is not None and time > now]
            until = min([*later, *free.values()], default=None)
            if until is None or until > deadline:
                return False
            self.sleep((until - now).total_seconds())
            return True
        if now > deadline:
            return False
        self._send(entry)
        return True

    def _pace(self, entry: OutboxEntry) -> _Pace:
        channel = entry.message.channel
        if channel not in self.paces:
            # A delivery that ended just now, here or in another process, has used up what Slack tolerates at once.
            last = self.outbox.last_sent_at(channel)
            self.paces[channel] = _Pace() if last is None else _Pace(tokens=0.0, filled_at=last)
        return self.paces[channel]

    def _send(self, entry: OutboxEntry) -> None:
        try:
            posted = self._find(entry) if entry.uncertain else None
        except ServiceUnavailable as error:
            # Whether it was posted is still not known.
            self._unavailable(entry, error, self.outbox.uncertain)
            return
        try:
            if posted is None:
                self._pace(entry).take(self.now())
                self.outbox.mark_sending(entry.entry_id, self.now())
                posted = self._post(entry)
        except ServiceUnavailable as error:
            self._unavailable(entry, error, self.outbox.failed)
        except OutcomeUnknown as error:
            self.outbox.uncertain(entry.entry_id, str(error), self.now() + _wait(entry.attempts))
            logger.warning("slack message %s may or may not have been posted: %s", entry.message.dedupe_key, error)
        except AccessRefused as error:
            self._refuse_access(entry, error)
        except RecordRefused as error:
            self._refuse_message(entry, error)
        else:
            self.outbox.sent(entry.entry_id, posted.channel, posted.ts, self.now())
            self.counts["sent"] += 1

    def _post(self, entry: OutboxEntry) -> Posted:
        """Post with blocks; what Slack refuses for its form or its thread, without them."""
        message, thread = entry.message, entry.parent_ts
        try:
            return self.client.post(message.channel, message.text, message.blocks, thread, key=message.dedupe_key)
        except RecordRefused as error:
            if error.code in _NO_THREAD and thread is not None:
                return self.client.post(message.channel, message.text, message.blocks, key=message.dedupe_key)
            if error.code not in _BAD_MESSAGE:
                raise
            logger.warning("slack refuses the form of message %s, sent as text: %s", message.dedupe_key, error)
            return self.client.post(message.channel, as_text(message.text, message.blocks), [], thread)

    def _find(self, entry: OutboxEntry) -> Posted | None:
        """The message itself, when it was posted although its answer was lost."""
        if entry.sending_at is None:
            return None
        try:
            channel_id = self.outbox.channel_id(entry.message.channel) or self._listed(entry.message.channel)
            if channel_id is None:
                return None
            # Slack's clock and ours may differ.
            since = entry.sending_at - timedelta(minutes=2)
            return self.client.find(channel_id, entry.message.dedupe_key, since, entry.parent_ts)
        except (AccessRefused, RecordRefused) as error:
            logger.info("slack channel %s cannot be read (%s): sending again", entry.message.channel, error.code)
            return None

    def _listed(self, channel: str) -> str | None:
        """The id of a channel that no answer has told yet: of the very first message to it."""
        name = channel.removeprefix("#")
        return next((one.channel_id for one in self.client.channels() if name in (one.name, one.channel_id)), None)

    def _unavailable(self, entry: OutboxEntry, error: ServiceUnavailable, mark: Callable[[int, str, datetime], None]) -> None:
        if isinstance(error, RateLimited):
            until = self.now() + timedelta(seconds=max(1.0, error.retry_after))
            self._pace(entry).throttled(until)
            mark(entry.entry_id, str(error), until)
            return
        mark(entry.entry_id, str(error), self.now() + _wait(entry.attempts))
        raise _ServiceStop(str(error)) from error

    def _refuse_access(self, entry: OutboxEntry, error: AccessRefused) -> None:
        now, message = self.now(), entry.message
        if error.code not in CHANNEL_REMEDIES:
            self.outbox.failed(entry.entry_id, str(error), now + _REFUSED_TOKEN_WAIT)
            raise _ServiceStop(str(error)) from error
        self.refused[str(error)] = None
        if now - entry.created_at > _GIVE_UP_AFTER:
            self._bury(entry, error)
            return
        self.outbox.failed(entry.entry_id, str(error), now + _REFUSED_WAIT)
        waiting = self.outbox.postpone(message.channel, str(error), now + _REFUSED_WAIT)
        logger.error("slack channel %s cannot be posted to, %d messages wait: %s", message.channel, waiting, error)
        if message.channel != self.alerts_channel:
            text = (
                f"Slack channel {escape(message.channel)} cannot be posted to, and its messages wait: {error.code}. "
                f"What to do: {CHANNEL_REMEDIES[error.code]}."
            )
            # Once a day.
            key = f"slack-channel-refused:{message.channel}:{error.code}:{now.date().isoformat()}"
            self.outbox.put([Message(key, self.alerts_channel, text, [section(text)], kind=_UNDELIVERABLE)], now)

    def _refuse_message(self, entry: OutboxEntry, error: RecordRefused) -> None:
        now = self.now()
        self.refused[str(error)] = None
        if error.code in _BAD_MESSAGE or now - entry.created_at > _GIVE_UP_AFTER:
            self._bury(entry, error)
            return
        self.outbox.failed(entry.entry_id, str(error), now + _REFUSED_WAIT)
        logger.error("slack refuses message %s, it waits: %s", entry.message.dedupe_key, error)

    def _bury(self, entry: OutboxEntry, error: ServiceError) -> None:
        """Give a message up, and say so on the alerts channel unless it was such a notice itself."""
        message = entry.message
        self.outbox.dead(entry.entry_id, str(error))
        self.counts["dead"] += 1
        logger.error("slack message %s is given up: %s", message.dedupe_key, error)
        if message.kind == _UNDELIVERABLE:
            return
        text = (
            f"A message for {escape(message.channel)} could not be delivered ({escape(error.code)}): "
            f"{message.text[:_LONGEST_QUOTE]}"
        )
        key = f"slack-undeliverable:{message.dedupe_key}"
        self.outbox.put([Message(key, self.alerts_channel, text, [section(text)], kind=_UNDELIVERABLE)], self.now())


def _wait(attempts: int) -> timedelta:
    wait: timedelta = min(_FIRST_WAIT * 2 ** min(attempts, 10), _LONGEST_WAIT)
    return wait
