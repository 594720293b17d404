"""Why the simulator may be believed: the exchange as oracle, orders left out and put back, planted bugs and values, limits."""
