"""From a run's record to its verdict: reasons, thresholds, comparison, capacity. Pure."""
