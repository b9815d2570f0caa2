"""The plugin's part of a worker's report to the master: the names of what is in it."""

REPORT_KEY = "locust_kit"
"""The plugin's place in Locust's own report; what follows are the names within."""
FILES_KEY, FAILURES_KEY, MEMORY_KEY, COST_KEY, RETRIES_KEY = "files", "failures", "memory", "cost", "retries"
METERS_KEY = "meters"
NUMBER_KEY = "number"
"""How many reports the worker has made so far: the master knows by it of one that never arrived."""
