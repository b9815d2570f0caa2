"""Many nodes, one view: the monitor on the master's node collects the reports of the other nodes."""
