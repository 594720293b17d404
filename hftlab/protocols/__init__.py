"""Wire protocols without sockets and clocks: bytes and nanoseconds in, bytes and events out."""
