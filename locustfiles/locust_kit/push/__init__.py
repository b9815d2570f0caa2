"""Failed requests, sent on by the master: in batches, over HTTP, from a spool on the volume `runs`."""
