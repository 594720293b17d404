"""The command line: `hftlab COMMAND ...`."""
