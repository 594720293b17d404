"""The pure-Python engine, one file per stage: tick, book, signal, order."""
