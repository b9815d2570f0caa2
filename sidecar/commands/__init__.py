"""The only room that acts: it builds, starts, scales, reloads, runs and removes. Host only."""
