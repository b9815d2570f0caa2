"""The runs on disk: read a run's folder, and join it with the ledger's data of that time."""
