"""The market model behind the synthetic feed, in plain Python; the Rust generator is its twin."""
