"""The kit's plugin inside Locust: loaded beside any locustfile, which it leaves as it is.

What it gives to the outside is documented JSON only: `GET /locust-kit/status` on the master, and a folder a run on the
volume `runs`. Nothing here imports the sidecar, and nothing in the sidecar imports this.
"""

SCHEMA_VERSION = 1
