"""One document of a run (report.json) → what people and programs read. Pure."""
