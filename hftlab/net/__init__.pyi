"""The public names of hftlab.net, once; `lazy_loader` reads this file, and so do type checkers."""

from .capture import capture_lines as capture_lines
from .capture import replay_capture as replay_capture
from .exchange.server import Exchange as Exchange
from .exchange.settings import ExchangeSettings as ExchangeSettings
from .tick_to_trade.measure import measure_tick_to_trade as measure_tick_to_trade
from .trader.journal import replay_journal as replay_journal
from .trader.settings import TraderSettings as TraderSettings
from .trader.trader import Trader as Trader
from .transports.round_trip import measure_round_trip as measure_round_trip
from .transports.transports import list_transports as list_transports
