"""From a tick's bytes to an order's over transports, in interleaved rounds."""
