"""What is kept on disk: the journal of raw observations, the incidents, and the history of figures and log lines.

Two SQLite files in one folder, both in WAL mode. `ledger.db` holds what must never be lost (each commit is on the disk
when it returns) and is written by the recorder's thread alone; `history.db` holds what is many and may lose its last
second with the machine's power, and has a writer thread of its own, so that a flood of log lines delays no incident.
"""
