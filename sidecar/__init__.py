"""Locust Kit beside Locust: the host command line, the watching sidecar and what they share."""
