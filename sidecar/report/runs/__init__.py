"""The runs on the disk: reading a run's folder, and putting it together with what the ledger holds of its time."""
