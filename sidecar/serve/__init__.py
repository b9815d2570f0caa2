"""HTTP: the page, the Snapshot as JSON and as a stream of server-sent events."""
