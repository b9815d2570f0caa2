"""The data on disk: the journal of raw observations, the incidents, and the history of figures and log lines.

Two SQLite files in one folder, both in WAL mode. `ledger.db` holds what must never be lost: each commit is on the disk
when it returns. Only the recorder's thread writes it. `history.db` holds the large data and may lose its last second if
the machine loses power. It has a writer thread of its own, so that a flood of log lines delays no incident.
"""
