"""Loaded by Locust beside the user's locustfile, as the last of its locustfiles: it holds no User class."""

from locust import events
from locust_kit import plugin

plugin.install(events)
