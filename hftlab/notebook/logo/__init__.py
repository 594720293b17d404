"""The logo of the kernel, and the code that has drawn it."""
