"""The stack on many machines: what `swarm-up` and its kin do with Docker Swarm. Acts; host only."""
