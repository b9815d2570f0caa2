"""Pure functions from a Snapshot to lines of text: the frame, its table, and how it goes to a terminal or a pipe."""
