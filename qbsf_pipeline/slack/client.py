"""The one door to Slack's Web API.

Slack answers a logical error with HTTP 200 and ``ok: false``; its error codes are read here into the four kinds of
:mod:`qbsf_pipeline.errors`. Nothing is tried again here: Slack has no idempotency key, so a repeated post is a second
message, and whether to repeat is decided by :mod:`qbsf_pipeline.slack.delivery`.

Belongs here: calls and what their answers mean. Does not belong here: what a message says.
"""

from __future__ import annotations

import http.client
import logging
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.web import SlackResponse

from qbsf_pipeline.api_meter import ApiMeter
from qbsf_pipeline.errors import AccessRefused, OutcomeUnknown, RecordRefused, ServiceError, ServiceUnavailable
from qbsf_pipeline.settings import Environment, is_loopback

SYSTEM = "slack"

_TIMEOUT_SECONDS = 30
_EVENT_TYPE = "qbsf_message"
_DEFAULT_RETRY_AFTER = 30.0

#: What stands in the way of one channel or person, and what to do about it.
CHANNEL_REMEDIES: Mapping[str, str] = {
    "channel_not_found": "check the channel's name in SLACK_FINANCE_CHANNEL or SLACK_ALERTS_CHANNEL; if it is private, "
    "type /invite @ and the bot's name in it",
    "not_in_channel": "type /invite @ and the bot's name in the channel",
    "is_archived": "the channel is archived: unarchive it, or name another one in SLACK_FINANCE_CHANNEL or SLACK_ALERTS_CHANNEL",
    "restricted_action": "a workspace setting forbids the bot to post there: ask a Slack administrator",
    "restricted_action_read_only_channel": "only some people may post in this channel: let the bot post, or name another channel",
    "restricted_action_thread_only_channel": "this channel takes answers in threads only: name another channel",
    "restricted_action_non_threadable_channel": "this channel takes no threads: name another channel",
    "user_not_found": "the person is not in this Slack workspace",
    "user_disabled": "the person's Slack account is deactivated",
    "cannot_dm_bot": "a message cannot be sent to a bot",
    "messages_tab_disabled": "turn on the Messages tab in the Slack app's App Home settings",
}

_TOKEN_REMEDIES: Mapping[str, str] = {
    "not_authed": "set SLACK_BOT_TOKEN to the bot token of the Slack app (xoxb-...)",
    "invalid_auth": "SLACK_BOT_TOKEN is not valid: copy the bot token (xoxb-...) from the Slack app's page OAuth & Permissions",
    "account_inactive": "the bot was removed from the workspace: install the Slack app again and set SLACK_BOT_TOKEN",
    "token_revoked": "the token was revoked: install the Slack app again and set SLACK_BOT_TOKEN",
    "token_expired": "the token has run out: turn token rotation off for the Slack app, or set a new SLACK_BOT_TOKEN",
    "missing_scope": "add the scope under OAuth & Permissions of the Slack app and install it again",
    "not_allowed_token_type": "SLACK_BOT_TOKEN must be a bot token (xoxb-...)",
    "no_permission": "the Slack app lacks the permission: install it again",
    "access_denied": "a Slack administrator has denied the app access",
    "ekm_access_denied": "a Slack administrator has suspended posting",
    "org_login_required": "the workspace is being moved to an organisation: try again when that is done",
    "team_access_not_granted": "the Slack app has no access to this workspace: install it there",
    "two_factor_setup_required": "the workspace asks for two-factor authentication of the installing user",
    "enterprise_is_restricted": "a Slack administrator has restricted this method",
}

_UNAVAILABLE = frozenset(
    {
        "fatal_error",
        "internal_error",
        "service_unavailable",
        "team_added_to_org",
        "request_timeout",
        "accesslimited",
    }
)
#: Slack's answers for an e-mail address that belongs to nobody whom the bot can see.
_NOBODY = frozenset({"users_not_found", "user_not_found", "user_not_visible", "invalid_arguments", "invalid_email"})
#: Where the app may not open conversations, Slack still takes a post to a person's id.
_CANNOT_OPEN = frozenset({"missing_scope", "unknown_method", "no_permission", "not_allowed_token_type"})
_USER_ID = re.compile(r"[UW][A-Z0-9]{5,}")
_RATE_LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_TOO_MANY_REQUESTS = 429
#: A gateway gave up waiting: what stands behind it may have carried the call out.
_GATEWAY_ANSWERS = frozenset({408, 502, 504})
_FIRST_SERVER_ERROR = 500
_OK = 200


class RateLimited(ServiceUnavailable):
    """Slack throttles; nothing was posted.

    Attributes:
        retry_after: seconds to wait.
    """

    def __init__(self, code: str, message: str, retry_after: float) -> None:
        super().__init__(SYSTEM, code, message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class Posted:
    """Where a message stands: the channel's id and its own ``ts``, which is a text and never a number."""

    channel: str
    ts: str


@dataclass(frozen=True)
class BotIdentity:
    """Who the token belongs to. ``scopes`` is empty when Slack does not tell them; ``server_time`` is Slack's clock (UTC)."""

    team: str
    user_id: str
    url: str
    scopes: frozenset[str]
    server_time: datetime | None = None


@dataclass(frozen=True)
class Channel:
    """A channel as the bot sees it."""

    channel_id: str
    name: str
    is_private: bool
    is_archived: bool
    is_member: bool


class SlackClient:
    """Slack's Web API with the bot token of ``environment``; every call is counted in ``meter``."""

    def __init__(self, environment: Environment, meter: ApiMeter) -> None:
        token = environment.slack_bot_token
        self._has_token = token is not None
        self._conversations: dict[str, str] = {}
        self._meter = meter
        # The SDK would log whole messages at DEBUG, and repeat posts whose answer was lost.
        sdk_logger = logging.getLogger(f"{__name__}.sdk")
        sdk_logger.setLevel(logging.CRITICAL)
        self._web = WebClient(
            token=token.get_secret_value() if token else None,
            base_url=environment.slack_api_url,
            timeout=_TIMEOUT_SECONDS,
            retry_handlers=[],
            logger=sdk_logger,
        )
        if is_loopback(urlsplit(environment.slack_api_url).hostname or ""):
            # A proxy of the environment does not know this machine's own servers.
            self._web.proxy = None

    def post(
        self,
        channel: str,
        text: str,
        blocks: Sequence[Mapping[str, Any]] = (),
        thread_ts: str | None = None,
        *,
        key: str | None = None,
    ) -> Posted:
        """Post one message to a channel (its name or id) or to a person (the user's id: a direct message). ``key`` goes
        with it unseen, so that :meth:`find` can tell it again.

        Raises:
            ServiceUnavailable: Slack does not have it (:class:`RateLimited`: and says how long to wait).
            OutcomeUnknown: the answer was lost.
            AccessRefused: the token (or, when ``code`` is one of :data:`CHANNEL_REMEDIES`, the channel) needs a person.
            RecordRefused: Slack does not take this message.
        """
        arguments: dict[str, Any] = {"channel": self._place(channel), "text": text, "unfurl_links": False, "unfurl_media": False}
        if blocks:
            arguments["blocks"] = [dict(block) for block in blocks]
        if thread_ts:
            arguments["thread_ts"] = thread_ts
        if key:
            arguments["metadata"] = {"event_type": _EVENT_TYPE, "event_payload": {"key": key}}
        answer = self._call("chat.postMessage", arguments, writes=True)
        posted_channel, ts = answer.get("channel"), answer.get("ts")
        if not (isinstance(posted_channel, str) and isinstance(ts, str) and ts):
            raise OutcomeUnknown(SYSTEM, "unreadable", "the answer to the post names no channel or time stamp")
        return Posted(posted_channel, ts)

    def user_id(self, email: str) -> str | None:
        """The id of the person with this e-mail address (``users.lookupByEmail``); None when Slack knows nobody by it whose
        account is active. Needs the scope ``users:read.email``; Slack takes about fifty such questions a minute.

        Raises:
            ServiceUnavailable: Slack cannot be asked now.
            AccessRefused: the token is refused, or the scope is missing.
            RecordRefused: Slack refuses the question for another reason.
        """
        if "@" not in email:
            return None
        try:
            user = self._call("users.lookupByEmail", {"email": email.strip()}, writes=False).get("user")
        except (AccessRefused, RecordRefused) as error:
            if error.code in _NOBODY:
                return None
            raise
        if not isinstance(user, dict) or not user.get("id"):
            raise ServiceUnavailable(SYSTEM, "unreadable", "Slack named a person without an id")
        return None if user.get("deleted") is True else str(user["id"])

    def direct_channel(self, user_id: str) -> str:
        """The id of the conversation between the app and one person (``conversations.open``): opened where there is none
        yet, and the same one every time. Needs the scope ``im:write``.

        Raises:
            ServiceUnavailable: Slack cannot be asked now.
            AccessRefused: the person cannot be written to, or the scope is missing.
        """
        known = self._conversations.get(user_id)
        if known is not None:
            return known
        channel = self._call("conversations.open", {"users": user_id}, writes=False).get("channel")
        if not isinstance(channel, dict) or not channel.get("id"):
            raise ServiceUnavailable(SYSTEM, "unreadable", "Slack opened a conversation without saying which")
        self._conversations[user_id] = str(channel["id"])
        return self._conversations[user_id]

    def _place(self, channel: str) -> str:
        if not _USER_ID.fullmatch(channel):
            return channel
        try:
            return self.direct_channel(channel)
        except (AccessRefused, RecordRefused) as error:
            if error.code not in _CANNOT_OPEN:
                raise
            return channel

    def find(self, channel_id: str, key: str, since: datetime, thread_ts: str | None = None) -> Posted | None:
        """The message that was posted with ``key`` at or after ``since``, if it is there.

        Needs the scope ``channels:history`` (``groups:history`` in a private channel).

        Raises:
            ServiceUnavailable: Slack cannot be asked now.
            AccessRefused: the bot may not read the channel.
            RecordRefused: the channel or thread cannot be read.
        """
        arguments: dict[str, Any] = {
            "channel": channel_id,
            "oldest": f"{since.timestamp() - 1:.6f}",
            "include_all_metadata": True,
            "limit": 200,
        }
        method = "conversations.history"
        if thread_ts:
            method = "conversations.replies"
            arguments["ts"] = thread_ts
        while True:
            answer = self._call(method, arguments, writes=False)
            for message in answer.get("messages") or []:
                payload = ((message.get("metadata") or {}).get("event_payload")) or {}
                if payload.get("key") == key and isinstance(message.get("ts"), str):
                    return Posted(channel_id, message["ts"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not answer.get("has_more") or not cursor:
                return None
            arguments["cursor"] = cursor

    def identity(self) -> BotIdentity:
        """Whose token it is and what it may do (``auth.test``), for the set-up check.

        Raises:
            ServiceUnavailable: Slack cannot be reached.
            AccessRefused: the token is refused.
        """
        answer = self._call("auth.test", {}, writes=False)
        headers = {name.lower(): value for name, value in (answer.headers or {}).items()}
        scopes = str(headers.get("x-oauth-scopes") or "")
        return BotIdentity(
            team=str(answer.get("team") or ""),
            user_id=str(answer.get("user_id") or ""),
            url=str(answer.get("url") or ""),
            scopes=frozenset(scope.strip() for scope in scopes.split(",") if scope.strip()),
            server_time=_date(headers.get("date")),
        )

    def channel(self, channel_id: str) -> Channel:
        """One channel by its id (``conversations.info``). Needs ``channels:read`` (``groups:read`` for a private one).

        Raises:
            ServiceUnavailable: Slack cannot be asked now.
            AccessRefused: there is no such channel for the bot, or a scope is missing.
        """
        found = self._call("conversations.info", {"channel": channel_id}, writes=False).get("channel")
        if not isinstance(found, dict):
            raise ServiceUnavailable(SYSTEM, "unreadable", "Slack described a channel without saying anything of it")
        return _channel(found)

    def channels(self, kinds: Sequence[str] = ("public_channel",)) -> list[Channel]:
        """Every channel that the bot can see (``conversations.list``), archived ones too.

        Args:
            kinds: ``public_channel`` needs the scope ``channels:read``, ``private_channel`` the scope ``groups:read``.

        Raises:
            ServiceUnavailable: Slack cannot be asked now.
            AccessRefused: a scope is missing.
        """
        arguments: dict[str, Any] = {"types": ",".join(kinds), "exclude_archived": False, "limit": 200}
        channels: dict[str, Channel] = {}
        while True:
            answer = self._call("conversations.list", arguments, writes=False)
            before = len(channels)
            channels.update((str(one.get("id")), _channel(one)) for one in answer.get("channels") or [] if isinstance(one, dict))
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            # A page without anything new would go on for ever.
            if not cursor or len(channels) == before:
                return list(channels.values())
            arguments["cursor"] = cursor

    def _call(self, method: str, arguments: dict[str, Any], *, writes: bool) -> SlackResponse:
        if not self._has_token:
            raise AccessRefused(SYSTEM, "not_authed", _TOKEN_REMEDIES["not_authed"])
        self._meter.count(SYSTEM, method, metered=False)
        try:
            # Only posts are sent as JSON: not every method of Slack reads it.
            if writes:
                return self._web.api_call(method, json=arguments)
            return self._web.api_call(method, params=arguments)
        except SlackApiError as error:
            raise _refusal(error.response, arguments, writes) from error
        except URLError as error:
            raise _transport(error.reason if isinstance(error.reason, BaseException) else error, writes) from error
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error, writes) from error
        except (ValueError, LookupError, AttributeError) as error:
            # A body in no known character set, or JSON that is no object.
            raise _lost(error, writes) from error


def _channel(found: Mapping[str, Any]) -> Channel:
    return Channel(
        channel_id=str(found.get("id") or ""),
        name=str(found.get("name") or ""),
        is_private=found.get("is_private") is True,
        is_archived=found.get("is_archived") is True,
        is_member=found.get("is_member") is True,
    )


def _date(value: Any) -> datetime | None:
    try:
        return parsedate_to_datetime(str(value)).astimezone(UTC)
    except (TypeError, ValueError):
        return None


def _refusal(response: Any, arguments: Mapping[str, Any], writes: bool) -> ServiceError:
    """What an answer that is not ``ok`` means."""
    status = int(response.status_code or 0)
    data = response.data if isinstance(response.data, dict) else {}
    code = str(data.get("error") or "")
    if " " in code:
        # The SDK puts its own sentence where the body was no JSON.
        code = ""
    if status == _TOO_MANY_REQUESTS or code in _RATE_LIMITED:
        return RateLimited(code or "ratelimited", "Slack limits the rate of messages", _retry_after(response.headers))
    if not code:
        if status in _GATEWAY_ANSWERS or status == _OK:
            kind = OutcomeUnknown if writes else ServiceUnavailable
            return kind(SYSTEM, f"http_{status}", f"Slack's answer (HTTP {status}) could not be read")
        if status >= _FIRST_SERVER_ERROR:
            return ServiceUnavailable(SYSTEM, f"http_{status}", f"Slack answered HTTP {status}")
        return AccessRefused(
            SYSTEM,
            f"http_{status}",
            f"HTTP {status} with an answer that is not Slack's: check SLACK_API_URL and proxies on the way",
        )
    if status in _GATEWAY_ANSWERS and writes:
        return OutcomeUnknown(SYSTEM, code, f"Slack answered HTTP {status}")
    if code in _UNAVAILABLE or status >= _FIRST_SERVER_ERROR:
        return ServiceUnavailable(SYSTEM, code, f"Slack answered {code} (HTTP {status})")
    if code in CHANNEL_REMEDIES:
        place = arguments.get("channel") or arguments.get("users") or arguments.get("email") or ""
        return AccessRefused(SYSTEM, code, f"{place}: {code}: {CHANNEL_REMEDIES[code]}")
    if code in _TOKEN_REMEDIES:
        needed = str(data.get("needed") or "chat:write")
        detail = f" (needed: {needed}; granted: {data.get('provided') or 'none'})" if code == "missing_scope" else ""
        return AccessRefused(SYSTEM, code, f"{code}{detail}: {_TOKEN_REMEDIES[code]}")
    return RecordRefused(SYSTEM, code, _messages(data) or code)


def _messages(data: Mapping[str, Any]) -> str:
    found = data.get("errors")
    if not found:
        metadata = data.get("response_metadata")
        found = metadata.get("messages") if isinstance(metadata, dict) else None
    return "; ".join(str(message) for message in found[:5]) if isinstance(found, list) else ""


def _retry_after(headers: Mapping[str, Any] | None) -> float:
    for name, value in (headers or {}).items():
        if name.lower() == "retry-after":
            try:
                return max(0.0, float(str(value)))
            except ValueError:
                return _DEFAULT_RETRY_AFTER
    return _DEFAULT_RETRY_AFTER


def _transport(reason: BaseException, writes: bool) -> ServiceError:
    """urllib wraps what happens while it connects and sends; what happens later comes as it is."""
    before_sending = (ConnectionRefusedError, socket.gaierror, ssl.SSLError, TimeoutError)
    if isinstance(reason, before_sending) or not isinstance(reason, ConnectionError):
        return ServiceUnavailable(SYSTEM, "connection", f"Slack cannot be reached: {reason}")
    return _lost(reason, writes)


def _lost(error: BaseException, writes: bool) -> ServiceError:
    kind = OutcomeUnknown if writes else ServiceUnavailable
    return kind(SYSTEM, "connection", f"the answer was lost: {type(error).__name__}: {error}")
