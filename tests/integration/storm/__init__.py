"""Real OOM kills on the real kernel, the truth about them, and the sidecar's account held against it."""
