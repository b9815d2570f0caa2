"""The one client of a Locust master: its web API, its answers as frozen data, its greeting on port 5557."""
