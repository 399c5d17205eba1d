"""Slack: the token, its scopes, and the two channels. Nothing is posted."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache

from qbsf_pipeline.doctor.findings import Area, Finding, clock_finding, service_problem
from qbsf_pipeline.errors import AccessRefused, ServiceError
from qbsf_pipeline.progress import progress
from qbsf_pipeline.settings import Environment
from qbsf_pipeline.slack.client import BotIdentity, Channel, SlackClient

AREA = Area.SLACK

_SCOPES_MENU = "api.slack.com/apps: the app, OAuth & Permissions, Scopes, Bot Token Scopes: add {}, then Reinstall to Workspace"
#: Scopes that only single features need: (one of these, what is missed without it).
_FURTHER_SCOPES = (
    (("channels:history", "groups:history"), "a message whose answer was lost cannot be found again, and may be posted twice"),
    (("users:read.email",), "owners of deals cannot be found in Slack by their e-mail address"),
    (("im:write",), "owners of deals cannot be written to"),
)
_CHANNEL_ID = re.compile(r"[CG][A-Z0-9]{6,}")


def examine(client: SlackClient, environment: Environment, now: Callable[[], datetime]) -> list[Finding]:
    """Who the bot is, what it may do, and whether it can post where the settings say."""
    progress("Slack: looking at the bot and its channels")
    try:
        bot = client.identity()
    except ServiceError as error:
        return [service_problem(AREA, "token", error)]
    findings = [AREA.ok("token", f"workspace {bot.team or bot.url or 'without a name'}, bot {bot.user_id}")]
    findings += clock_finding(AREA, bot.server_time, now())
    findings += check_scopes(bot)
    wanted = {"SLACK_FINANCE_CHANNEL": environment.slack_finance_channel, "SLACK_ALERTS_CHANNEL": environment.alerts_channel}
    seen: dict[str, str] = {}
    for variable, name in wanted.items():
        if name not in seen.values():
            seen[variable] = name
    every = cache(lambda: _seen(client, bot))
    return findings + [found for variable, name in seen.items() for found in _channel(client, bot, every, variable, name)]


def check_scopes(bot: BotIdentity) -> list[Finding]:
    """What the token may do, as far as Slack tells (header ``x-oauth-scopes``)."""
    if not bot.scopes:
        return [AREA.ok("scopes", "Slack does not tell them")]
    findings = []
    if "chat:write" not in bot.scopes:
        findings.append(AREA.problem("scopes", "chat:write is missing: nothing can be posted", _SCOPES_MENU.format("chat:write")))
    for scopes, loss in _FURTHER_SCOPES:
        if not bot.scopes & set(scopes):
            findings.append(AREA.warning("scopes", f"{scopes[0]} is missing: {loss}", _SCOPES_MENU.format(scopes[0])))
    return findings or [AREA.ok("scopes", ", ".join(sorted(bot.scopes)))]


def _channel(
    client: SlackClient, bot: BotIdentity, every: Callable[[], list[Channel]], variable: str, name: str
) -> list[Finding]:
    check = f"{variable} {name}"
    try:
        channel = client.channel(name) if _CHANNEL_ID.fullmatch(name) else _named(every(), name)
    except AccessRefused as error:
        if error.code == "missing_scope":
            text = "Whether the channel is there cannot be seen without the scope channels:read"
            return [AREA.warning(check, text, _SCOPES_MENU.format("channels:read (and groups:read if it is private)"))]
        if error.code == "channel_not_found":
            return [_not_there(bot, check, variable)]
        return [service_problem(AREA, check, error)]
    except ServiceError as error:
        text = f"Whether the channel is there cannot be seen: {error.message} [{error.code}]"
        return [AREA.warning(check, text, "Look in Slack whether the channel is there and the bot is in it")]
    if channel is None:
        return [_not_there(bot, check, variable)]
    if channel.is_archived:
        mend = f"Slack: unarchive the channel, or name another one in {variable}"
        return [AREA.problem(check, "The channel is archived: nothing can be posted there", mend)]
    if not channel.is_member:
        mend = f"Slack: in #{channel.name} type /invite @ and the bot's name"
        if "chat:write.public" in bot.scopes and not channel.is_private:
            text = "The bot is not in the channel: it can post there, but not find a message again whose answer was lost"
            return [AREA.warning(check, text, mend)]
        return [AREA.problem(check, "The bot is not in the channel: nothing can be posted there", mend)]
    kind = "private" if channel.is_private else "public"
    return [AREA.ok(check, f"the bot is in the {kind} channel #{channel.name} ({channel.channel_id})")]


def _seen(client: SlackClient, bot: BotIdentity) -> list[Channel]:
    kinds = [kind for scope, kind in _KINDS if scope in bot.scopes]
    # Without any of the scopes Slack itself says which one it wants.
    return client.channels(kinds or ["public_channel"])


def _named(channels: list[Channel], name: str) -> Channel | None:
    plain = name.removeprefix("#").strip().casefold()
    return next((channel for channel in channels if channel.name.casefold() == plain), None)


_KINDS = (("channels:read", "public_channel"), ("groups:read", "private_channel"))


def _not_there(bot: BotIdentity, check: str, variable: str) -> Finding:
    text = "There is no such channel, or it is private and the bot is not in it"
    mend = f"Slack: make the channel, or type /invite @ and the bot's name in it, or correct {variable}"
    if bot.scopes and "groups:read" not in bot.scopes:
        text += " or may not see private channels (scope groups:read)"
    return AREA.problem(check, text, mend)
