"""Pure functions from a Snapshot to lines of text, for a terminal or a pipe."""
