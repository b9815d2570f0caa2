"""One document of a run (run.json of its report) → what people and programs read. Pure."""
