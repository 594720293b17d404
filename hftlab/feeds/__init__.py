"""Where messages come from. Each module ends in a Feed, which every engine can run."""
