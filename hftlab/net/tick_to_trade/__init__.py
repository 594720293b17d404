"""From a tick's bytes to an order's bytes over transports, in interleaved rounds."""
