"""The watching process: recorder, rounds, log followers, assembly of the Snapshot."""
