"""Alerts out: what is worth a message (`policy`, pure), who keeps it until it is taken (`notifier`), who sends it."""
