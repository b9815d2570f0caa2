"""Many nodes, one view: how the sidecar beside the master gathers what those of the other nodes saw."""
