"""`hftlab net exchange`: the exchange as a process of its own, until its session is over or a signal ends it."""

from __future__ import annotations

from hftlab.errors import ConfigError
from hftlab.feeds.feed import Feed
from hftlab.net.exchange.audit import SessionState
from hftlab.net.exchange.server import Exchange
from hftlab.net.exchange.settings import ExchangeSettings, load_accounts
from hftlab.net.process import Announce, ended_by_signals, print_json, print_text


def serve(
    feed: Feed, settings: ExchangeSettings, accounts: str | None = None, *, resume: bool = False, json: bool = False
) -> None:
    """Run one session; the addresses are printed before anything is published, the summary after everything.

    feed     : one of wire bytes
    accounts : file of USERNAME PASSWORD lines; None for HFTLAB_ACCOUNTS
    resume   : take up the latest session in the audit log again
    json     : print one JSON object a line, the addresses first, the summary last
    raises   : ConfigError for a setting, an address, an account; FeedError, after the summary, for a feed that broke off
    """
    announce: Announce = print_json if json else print_text
    state = _state(settings) if resume else None
    exchange = Exchange(feed, load_accounts(accounts), settings, state=state)
    with ended_by_signals() as asked:
        announce("listening", exchange.start())
        while exchange.poll():
            if asked.is_set():
                exchange.finish()
    announce("summary", exchange.summary())
    if exchange.publisher.error:
        raise exchange.publisher.error


def _state(settings: ExchangeSettings) -> SessionState:
    """The session to be taken up. raises : ConfigError"""
    if not settings.audit:
        raise ConfigError("--resume takes up the session in the audit log; name its file with --audit FILE")
    state = SessionState.read(settings.audit)
    if settings.session not in ("", state.session):
        raise ConfigError(f"session must be {state.session!r}, the latest in {settings.audit}, got {settings.session!r}")
    return state
