"""The wire: the protocols of a market data feed and of order entry, and the processes that speak them."""
