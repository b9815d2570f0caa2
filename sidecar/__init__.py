"""The host command line and the monitor of Locust Kit, and what they share."""
