"""Push: the master sends failed requests in batches over HTTP, from a spool on the volume `runs`."""
