"""What a verb does: up, down, run, scale, reload, capacity. Host only."""
