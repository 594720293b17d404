"""The engine as a process: feed handler, order gateway, risk, journal."""
