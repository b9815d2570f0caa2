"""The self-test: small containers of our own are OOM-killed, and the sidecar must have seen each kill."""
