"""The one door to Docker: a narrow protocol, one adapter, and the pure reading of what the engine answers."""
