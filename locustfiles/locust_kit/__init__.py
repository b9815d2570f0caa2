"""The kit's plugin inside Locust: loaded beside any locustfile, which does not change.

Its only interface is documented JSON: `GET /locust-kit/status` on the master, and one folder for each run on the volume
`runs`. The plugin does not import the sidecar, and the sidecar does not import the plugin.
"""

SCHEMA_VERSION = 1
