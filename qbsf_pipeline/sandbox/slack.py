"""A local Slack: the Web API methods that a finance bot uses, with Slack's limits and error answers.

Emulated: auth.test, chat.postMessage, chat.update, chat.getPermalink, conversations.open / info / list / history /
replies, users.lookupByEmail; JSON and form bodies; the bot token; scopes; block limits; one message a second for each
channel. Not emulated: ephemeral and scheduled messages, files, events, interactive answers, workspaces.

Slack answers a logical error with HTTP 200 and `ok: false`; only throttling (429) and breakdowns use the status.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from qbsf_pipeline.sandbox.clock import Clock
from qbsf_pipeline.sandbox.store import Store, decode

BOT_TOKEN = "xoxb-000000000000-sandbox"
FINANCE_CHANNEL = "C0FINANCE01"
ALERTS_CHANNEL = "C0ALERTS001"

_CHANNELS = {FINANCE_CHANNEL: "finance", ALERTS_CHANNEL: "finance-alerts"}
_TEAM = "T0NORTHWIND"
_BOT_USER = "U0QBSFBOT01"
_BOT = "B0QBSFBOT01"

_SCOPES = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "conversations.open": "im:write",
    "conversations.info": "channels:read",
    "conversations.list": "channels:read",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
    "users.lookupByEmail": "users:read.email",
}
_LONGEST_TEXT = 40_000
_MOST_BLOCKS = 50
_LONGEST_BLOCKS = 10_000
_LONGEST_MARKDOWN = 12_000
_BLOCK_TYPES = {
    "actions", "context", "divider", "file", "header", "image", "input", "markdown", "rich_text", "section", "table",
    "video",
}  # fmt: skip


@dataclass(frozen=True)
class SlackOptions:
    """How this Slack behaves.

    Channels are named by id or by name, with or without `#`. `left_channels`: the bot was removed from them.
    `burst`: how many messages a channel takes at once before it is held to one a second.
    """

    bot_token: str = BOT_TOKEN
    rate_limit: bool = True
    burst: int = 4
    archived_channels: tuple[str, ...] = ()
    left_channels: tuple[str, ...] = ()
    missing_channels: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    team: str = "Northwind Signal"
    url: str = "https://northwind-signal.slack.com/"


class _Refused(Exception):
    """Slack says no: the error's name and what else its answer holds."""

    def __init__(self, error: str, messages: Iterable[str] = (), **more: Any) -> None:
        self.answer: dict[str, Any] = {"ok": False, "error": error, **more}
        found = list(messages)
        if found:
            self.answer["errors"] = found
            self.answer["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in found]}
        super().__init__(error)


def throttled(seconds: int = 1) -> Response:
    """HTTP 429, as Slack answers above its rate limits."""
    return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": str(seconds)})


def token_expired() -> Response:
    """The answer to a rotated token that has run out: HTTP 200, ok false."""
    return JSONResponse({"ok": False, "error": "token_expired"})


def server_error() -> Response:
    """HTTP 500, as when Slack is unwell."""
    return JSONResponse({"ok": False, "error": "internal_error"}, 500)


def seed_slack(store: Store, users: Iterable[Mapping[str, Any]]) -> None:
    """Take in people: {"email", "name", "id"?, "deleted"?}. Whoever has the same e-mail already is replaced."""
    people = store.documents("slack.users")
    for user in users:
        email = str(user["email"])
        known = _user_by_email(store, email)
        key = str(user.get("id") or (known and known["id"]) or f"U0{store.next_number('slack.user', 1):09d}")
        people[key] = {"id": key, "name": str(user["name"]), "email": email, "deleted": bool(user.get("deleted"))}


def messages(store: Store) -> list[dict[str, Any]]:
    """Every message in the order they were posted: {"channel", "channel_name", "ts", "thread_ts", "text", "blocks",
    "edited"}; `channel_name` begins with # for a channel and with @ for a direct message."""
    names = {key: "#" + name for key, name in _CHANNELS.items()}
    for key, conversation in store.documents("slack.conversations").items():
        user = store.documents("slack.users").get(conversation["user"])
        names[key] = "@" + (user["name"] if user else conversation["user"])
    return [
        {**message, "channel_name": names.get(message["channel"], message["channel"])}
        for message in store.documents("slack.messages").values()
    ]


def routes(store: Store, clock: Clock, options: SlackOptions) -> list[Route]:
    """The routes of `/api/{method}`."""
    workspace = _Workspace(store, clock, options)

    async def call(request: Request) -> Response:
        method = request.path_params["method"]
        handler = workspace.methods.get(method)
        if handler is None:
            return JSONResponse({"ok": False, "error": "unknown_method", "req_method": method})
        try:
            arguments = await _arguments(request)
            workspace.authorize(method, request, arguments)
            return await handler(arguments)
        except _Refused as refusal:
            return JSONResponse(refusal.answer)

    return [Route("/api/{method}", call, methods=["GET", "POST"])]


async def _arguments(request: Request) -> dict[str, Any]:
    """Query, form or JSON arguments; a form writes lists and objects as JSON texts."""
    arguments: dict[str, Any] = dict(request.query_params)
    body = await request.body()
    if "json" in request.headers.get("content-type", ""):
        try:
            found = decode(body) if body else {}
        except ValueError as error:
            raise _Refused("invalid_json") from error
        if not isinstance(found, dict):
            raise _Refused("json_not_object")
        arguments.update(found)
    elif body:
        arguments.update(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    for name in ("blocks", "attachments", "metadata"):
        if isinstance(arguments.get(name), str):
            try:
                arguments[name] = decode(arguments[name]) if arguments[name] else None
            except ValueError as error:
                raise _Refused(f"invalid_{name}_format") from error
    return arguments


class _Workspace:
    """The methods, over one store."""

    def __init__(self, store: Store, clock: Clock, options: SlackOptions) -> None:
        self._store = store
        self._clock = clock
        self._options = options
        self._messages = store.documents("slack.messages")
        self._users = store.documents("slack.users")
        self._conversations = store.documents("slack.conversations")
        self._pace = store.documents("slack.pace")
        self._archived = {_plain(name) for name in options.archived_channels}
        self._left = {_plain(name) for name in options.left_channels}
        self._missing = {_plain(name) for name in options.missing_channels}
        self.methods: dict[str, Callable[[dict[str, Any]], Awaitable[Response]]] = {
            "auth.test": self._auth_test,
            "api.test": self._api_test,
            "chat.postMessage": self._post,
            "chat.update": self._update,
            "chat.getPermalink": self._permalink,
            "conversations.open": self._open,
            "conversations.info": self._info,
            "conversations.list": self._list,
            "conversations.history": self._history,
            "conversations.replies": self._replies,
            "users.lookupByEmail": self._lookup,
        }

    def authorize(self, method: str, request: Request, arguments: dict[str, Any]) -> None:
        if method == "api.test":
            return
        header = request.headers.get("authorization", "")
        token = header[7:].strip() if header[:7].lower() == "bearer " else str(arguments.get("token") or "")
        if not token:
            raise _Refused("not_authed")
        if token != self._options.bot_token:
            raise _Refused("invalid_auth")
        needed = _SCOPES.get(method)
        if needed in self._options.missing_scopes:
            provided = sorted(set(_SCOPES.values()) - set(self._options.missing_scopes))
            raise _Refused("missing_scope", needed=needed, provided=",".join(provided))

    async def _auth_test(self, arguments: dict[str, Any]) -> Response:
        return JSONResponse(
            {
                "ok": True,
                "url": self._options.url,
                "team": self._options.team,
                "user": "qbsf",
                "team_id": _TEAM,
                "user_id": _BOT_USER,
                "bot_id": _BOT,
                "is_enterprise_install": False,
            },
            headers={"x-oauth-scopes": ",".join(sorted(set(_SCOPES.values()) - set(self._options.missing_scopes)))},
        )

    async def _api_test(self, arguments: dict[str, Any]) -> Response:
        return JSONResponse({"ok": True, "args": {key: str(value) for key, value in arguments.items()}})

    async def _post(self, arguments: dict[str, Any]) -> Response:
        channel = self._writable_channel(arguments, by_name=True)
        wait = self._wait(channel)
        if wait:
            return throttled(wait)
        message, warning = self._content(arguments)
        thread = arguments.get("thread_ts")
        if thread not in (None, ""):
            parent = self._messages.get(f"{channel}:{thread}")
            if parent is None or parent["thread_ts"] not in (None, parent["ts"]):
                raise _Refused("thread_not_found")
            if parent["thread_ts"] is None:
                parent["thread_ts"] = parent["ts"]
                self._messages[f"{channel}:{thread}"] = parent
        ts = self._next_ts()
        kept = {"channel": channel, "ts": ts, "thread_ts": thread or None, "edited": None, **message}
        if arguments.get("metadata"):
            kept["metadata"] = arguments["metadata"]
        self._messages[f"{channel}:{ts}"] = kept
        return _answer({"ok": True, "channel": channel, "ts": ts, "message": _shown(kept), **warning})

    async def _update(self, arguments: dict[str, Any]) -> Response:
        channel = self._writable_channel(arguments, by_name=False)
        key = f"{channel}:{arguments.get('ts')}"
        kept = self._messages.get(key)
        if kept is None:
            raise _Refused("message_not_found")
        message, warning = self._content(arguments)
        kept = {**kept, **message, "edited": self._next_ts()}
        if arguments.get("metadata"):
            kept["metadata"] = arguments["metadata"]
        self._messages[key] = kept
        body = {"ok": True, "channel": channel, "ts": kept["ts"], "text": kept["text"], "message": _shown(kept)}
        return _answer({**body, **warning})

    async def _permalink(self, arguments: dict[str, Any]) -> Response:
        channel = self._channel(arguments, by_name=False)
        ts = str(arguments.get("message_ts"))
        if f"{channel}:{ts}" not in self._messages:
            raise _Refused("message_not_found")
        link = f"{self._options.url}archives/{channel}/p{ts.replace('.', '')}"
        return JSONResponse({"ok": True, "channel": channel, "permalink": link})

    async def _open(self, arguments: dict[str, Any]) -> Response:
        if arguments.get("channel"):
            return JSONResponse({"ok": True, "channel": {"id": self._channel(arguments, by_name=False)}})
        users = arguments.get("users") or ""
        wanted = users if isinstance(users, list) else [user for user in str(users).split(",") if user]
        if not wanted:
            raise _Refused("users_list_not_supplied")
        if len(wanted) != 1:
            raise _Refused("method_not_supported_for_channel_type")
        return JSONResponse({"ok": True, "channel": {"id": self._conversation(str(wanted[0]))}})

    async def _info(self, arguments: dict[str, Any]) -> Response:
        return JSONResponse({"ok": True, "channel": self._described(self._channel(arguments, by_name=False))})

    async def _list(self, arguments: dict[str, Any]) -> Response:
        shown = [self._described(key) for key, name in _CHANNELS.items() if not {key, name} & self._missing]
        if str(arguments.get("exclude_archived", "")).lower() in ("true", "1"):
            shown = [channel for channel in shown if not channel["is_archived"]]
        return JSONResponse({"ok": True, "channels": shown, "response_metadata": {"next_cursor": ""}})

    async def _history(self, arguments: dict[str, Any]) -> Response:
        channel = self._channel(arguments, by_name=False)
        self._refuse_outsider(channel)
        found = [m for m in self._of(channel) if m["thread_ts"] in (None, m["ts"])]
        return self._page(found[::-1], arguments)

    async def _replies(self, arguments: dict[str, Any]) -> Response:
        channel = self._channel(arguments, by_name=False)
        self._refuse_outsider(channel)
        ts = str(arguments.get("ts"))
        found = [m for m in self._of(channel) if ts in (m["ts"], m["thread_ts"])]
        if not found:
            raise _Refused("thread_not_found")
        return self._page(found, arguments)

    async def _lookup(self, arguments: dict[str, Any]) -> Response:
        user = _user_by_email(self._store, str(arguments.get("email") or ""))
        if user is None:
            raise _Refused("users_not_found")
        profile = {"real_name": user["name"], "display_name": user["name"], "email": user["email"]}
        shown = {"id": user["id"], "team_id": _TEAM, "name": user["email"].split("@")[0], "deleted": user["deleted"]}
        return JSONResponse({"ok": True, "user": {**shown, "is_bot": False, "profile": profile}})

    def _of(self, channel: str) -> list[dict[str, Any]]:
        return [message for message in self._messages.values() if message["channel"] == channel]

    def _page(self, found: list[dict[str, Any]], arguments: dict[str, Any]) -> Response:
        oldest, latest = str(arguments.get("oldest") or "0"), str(arguments.get("latest") or "9")
        try:
            start, most = int(arguments.get("cursor") or 0), min(int(arguments.get("limit") or 100), 999)
        except ValueError as error:
            raise _Refused("invalid_limit") from error
        inside = [m for m in found if oldest < m["ts"] < latest]
        more = len(inside) > start + most
        body: dict[str, Any] = {"ok": True, "messages": [_shown(m) for m in inside[start : start + most]]}
        body["has_more"] = more
        if more:
            body["response_metadata"] = {"next_cursor": str(start + most)}
        return _answer(body)

    def _described(self, channel: str) -> dict[str, Any]:
        if channel not in _CHANNELS:
            return {"id": channel, "is_im": True, "user": self._conversations[channel]["user"], "is_archived": False}
        names = {channel, _CHANNELS[channel]}
        return {
            "id": channel,
            "name": _CHANNELS[channel],
            "is_channel": True,
            "is_private": False,
            "is_archived": bool(names & self._archived),
            "is_member": not names & self._left,
        }

    def _channel(self, arguments: dict[str, Any], *, by_name: bool) -> str:
        wanted = arguments.get("channel")
        if not wanted:
            raise _Refused("invalid_arguments", ["missing required field: channel"])
        wanted = str(wanted)
        for key, name in _CHANNELS.items():
            if (wanted == key or (by_name and wanted.removeprefix("#") == name)) and not {key, name} & self._missing:
                return key
        if wanted in self._conversations:
            return wanted
        if by_name and wanted in self._users:
            return self._conversation(wanted)
        raise _Refused("channel_not_found")

    def _refuse_outsider(self, channel: str) -> None:
        if {channel, _CHANNELS.get(channel, channel)} & self._left:
            raise _Refused("not_in_channel")

    def _writable_channel(self, arguments: dict[str, Any], *, by_name: bool) -> str:
        channel = self._channel(arguments, by_name=by_name)
        if {channel, _CHANNELS.get(channel, channel)} & self._archived:
            raise _Refused("is_archived")
        self._refuse_outsider(channel)
        return channel

    def _conversation(self, user: str) -> str:
        if user not in self._users:
            raise _Refused("user_not_found")
        if self._users[user]["deleted"]:
            raise _Refused("user_disabled")
        for key, conversation in self._conversations.items():
            if conversation["user"] == user:
                return key
        key = f"D0{self._store.next_number('slack.conversation'):09d}"
        self._conversations[key] = {"user": user}
        return key

    def _wait(self, channel: str) -> int:
        """Seconds to wait before the channel takes a message (0: it takes it now): a bucket that fills one a second."""
        if not self._options.rate_limit:
            return 0
        now = self._clock.now()
        full = float(self._options.burst)
        tokens = full
        if channel in self._pace:
            before = self._pace[channel]
            passed = (now - datetime.fromisoformat(before["at"])).total_seconds()
            tokens = min(full, float(before["tokens"]) + max(0.0, passed))
        if tokens < 1:
            return 1
        self._pace[channel] = {"tokens": str(tokens - 1), "at": now.isoformat()}
        return 0

    def _next_ts(self) -> str:
        """The next message's time stamp: its name in the channel, always later than the one before."""
        state = self._store.documents("slack.state")
        now = int(self._clock.now().timestamp() * 1_000_000)
        last = int(state["ts"]["microseconds"]) if "ts" in state else 0
        value = max(now, last + 1)
        state["ts"] = {"microseconds": value}
        return f"{value // 1_000_000}.{value % 1_000_000:06d}"

    def _content(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The text and blocks of a message, checked, and the warning to answer with."""
        text, blocks = arguments.get("text"), arguments.get("blocks")
        text = "" if text is None else str(text)
        if not text and not blocks and not arguments.get("attachments"):
            raise _Refused("no_text")
        if blocks is not None:
            _check_blocks(blocks)
        warning: dict[str, Any] = {}
        if len(text) > _LONGEST_TEXT:
            text = text[:_LONGEST_TEXT]
            named = {"warnings": ["message_truncated"]}
            warning = {"warning": "message_truncated", "response_metadata": named}
        return {"text": text, "blocks": blocks or []}, warning


def _plain(channel: str) -> str:
    return channel.removeprefix("#")


def _user_by_email(store: Store, email: str) -> dict[str, Any] | None:
    wanted = email.strip().lower()
    for user in store.documents("slack.users").values():
        if user["email"].lower() == wanted:
            return user
    return None


def _answer(body: dict[str, Any]) -> Response:
    # Blocks may hold numbers that the store keeps as Decimal.
    return Response(json.dumps(body, ensure_ascii=False, default=float), media_type="application/json")


def _shown(message: dict[str, Any]) -> dict[str, Any]:
    """A message as Slack's answers show it."""
    shown: dict[str, Any] = {
        "type": "message",
        "user": _BOT_USER,
        "bot_id": _BOT,
        "team": _TEAM,
        "text": message["text"],
        "ts": message["ts"],
        "blocks": message["blocks"],
    }
    if message["thread_ts"]:
        shown["thread_ts"] = message["thread_ts"]
    if message["edited"]:
        shown["edited"] = {"user": _BOT_USER, "ts": message["edited"]}
    if "metadata" in message:
        shown["metadata"] = message["metadata"]
    return shown


def _check_blocks(blocks: Any) -> None:
    """Refuse blocks as Slack does: every fault that is found, each with its place."""
    if not isinstance(blocks, list):
        raise _Refused("invalid_blocks_format")
    check = _BlockCheck()
    check.blocks(blocks)
    if check.errors:
        raise _Refused("invalid_blocks", check.errors)
    if check.characters > _LONGEST_BLOCKS:
        raise _Refused("msg_blocks_too_long")


class _BlockCheck:
    """Goes through the blocks of one message, collecting what is wrong and counting the characters."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.characters = 0
        self._markdown = 0
        self._ids: set[str] = set()

    def blocks(self, blocks: list[Any]) -> None:
        if len(blocks) > _MOST_BLOCKS:
            self._wrong(f"no more than {_MOST_BLOCKS} items allowed", "/blocks")
        for number, block in enumerate(blocks):
            self._block(block, f"/blocks/{number}")

    def _wrong(self, what: str, where: str) -> None:
        self.errors.append(f"{what} [json-pointer:{where}]")

    def _block(self, block: Any, where: str) -> None:
        if not isinstance(block, dict):
            self._wrong("must be an object", where)
            return
        kind = block.get("type")
        if kind is None:
            self._wrong("missing required field: type", where)
            return
        if kind not in _BLOCK_TYPES:
            self._wrong(f"unsupported type: {kind}", f"{where}/type")
            return
        if "block_id" in block:
            self._string(block["block_id"], 255, f"{where}/block_id", counted=False)
            if str(block["block_id"]) in self._ids:
                self._wrong("`block_id` already exists", f"{where}/block_id")
            self._ids.add(str(block["block_id"]))
        if kind == "section":
            self._section(block, where)
        elif kind == "header":
            self._text(block.get("text"), 150, f"{where}/text", ("plain_text",), where)
        elif kind == "context":
            self._elements(block, 10, where, self._context_element)
        elif kind == "actions":
            self._elements(block, 25, where, self._element)
        elif kind == "image":
            self._image(block, where)
        elif kind == "markdown":
            self._string(block.get("text"), _LONGEST_MARKDOWN, f"{where}/text")
            self._markdown += len(str(block.get("text") or ""))
            if self._markdown > _LONGEST_MARKDOWN:
                self._wrong(f"must be less than {_LONGEST_MARKDOWN + 1} characters", f"{where}/text")
        elif kind == "rich_text":
            self._count_texts(block.get("elements"))

    def _section(self, block: dict[str, Any], where: str) -> None:
        if block.get("text") is None and not block.get("fields"):
            self._wrong("missing required field: text", where)
        if block.get("text") is not None:
            self._text(block["text"], 3_000, f"{where}/text", ("mrkdwn", "plain_text"), where)
        fields = block.get("fields")
        if fields is not None:
            if not isinstance(fields, list):
                self._wrong("must be an array", f"{where}/fields")
                return
            if len(fields) > 10:
                self._wrong("no more than 10 items allowed", f"{where}/fields")
            for number, field in enumerate(fields):
                self._text(field, 2_000, f"{where}/fields/{number}", ("mrkdwn", "plain_text"), where)
        if block.get("accessory") is not None:
            self._element(block["accessory"], f"{where}/accessory")

    def _elements(self, block: dict[str, Any], most: int, where: str, each: Callable[[dict[str, Any], str], None]) -> None:
        elements = block.get("elements")
        if not isinstance(elements, list) or not elements:
            self._wrong("missing required field: elements", where)
            return
        if len(elements) > most:
            self._wrong(f"no more than {most} items allowed", f"{where}/elements")
        for number, element in enumerate(elements):
            if isinstance(element, dict):
                each(element, f"{where}/elements/{number}")
            else:
                self._wrong("must be an object", f"{where}/elements/{number}")

    def _context_element(self, element: dict[str, Any], where: str) -> None:
        if element.get("type") == "image":
            self._image(element, where)
        else:
            self._text(element, 3_000, where, ("mrkdwn", "plain_text"), where)

    def _element(self, element: Any, where: str) -> None:
        if not isinstance(element, dict) or not element.get("type"):
            self._wrong("missing required field: type", where)
            return
        if element["type"] == "image":
            self._image(element, where)
        if element["type"] == "button":
            self._text(element.get("text"), 75, f"{where}/text", ("plain_text",), where)
            for name, most in (("url", 3_000), ("value", 2_000), ("action_id", 255)):
                if name in element:
                    self._string(element[name], most, f"{where}/{name}", counted=False)

    def _image(self, image: dict[str, Any], where: str) -> None:
        if not image.get("image_url") and not image.get("slack_file"):
            self._wrong("missing required field: image_url", where)
        if not image.get("alt_text"):
            self._wrong("missing required field: alt_text", where)

    def _text(self, text: Any, most: int, where: str, kinds: tuple[str, ...], parent: str) -> None:
        if text is None:
            self._wrong("missing required field: text", parent)
            return
        if not isinstance(text, dict):
            self._wrong("must be an object", where)
            return
        if text.get("type") not in kinds:
            self._wrong(f"must be one of: {', '.join(kinds)}", f"{where}/type")
        self._string(text.get("text"), most, f"{where}/text")

    def _string(self, value: Any, most: int, where: str, *, counted: bool = True) -> None:
        if not isinstance(value, str):
            self._wrong("must be a string", where)
            return
        if not value:
            self._wrong("must be more than 0 characters", where)
        if len(value) > most:
            self._wrong(f"must be less than {most + 1} characters", where)
        if counted:
            self.characters += len(value)

    def _count_texts(self, value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("text"), str):
                self.characters += len(value["text"])
            self._count_texts([part for part in value.values() if isinstance(part, list | dict)])
        elif isinstance(value, list):
            for part in value:
                self._count_texts(part)
