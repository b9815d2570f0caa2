"""A Diagnosis as text, Markdown or JSON. Pure."""
