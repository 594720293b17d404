"""The instrument: how a number is made honest. Clocks, paired rounds, percentiles, the fingerprint of the machine."""
