"""The pure-Python engine, one file per stage: tick, book, signal, order. Written to be read, then as quick as clear Python gets."""
