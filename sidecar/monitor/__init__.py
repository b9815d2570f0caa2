"""The watching sidecar: its settings, the readings of each round, and the loop that makes the current Snapshot."""
