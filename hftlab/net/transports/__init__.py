"""How messages get from one thread or process to another, and what each way costs."""
