"""Locust loads this after the user's locustfiles, as the last one. It has no User class."""

from locust import events
from locust_kit import plugin

plugin.install(events)
