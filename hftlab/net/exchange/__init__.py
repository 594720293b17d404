"""The exchange as a process: feed lines, order sessions, matching in the replayed book."""
