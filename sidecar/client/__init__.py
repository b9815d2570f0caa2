"""The clients of the monitor's HTTP API: for the host commands and for peers of a cluster."""
