"""The engine: `Engine` (engine.py) runs a feed through tick, book, signal and order; python.py is the main path in Python."""
