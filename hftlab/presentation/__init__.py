"""The one renderer of every result: terminal, HTML, Markdown, JSON. It knows nothing of what it draws."""
