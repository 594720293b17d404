"""The wire.

transports.py   how messages get from one thread or process to another, by name; which of them this machine has
"""
