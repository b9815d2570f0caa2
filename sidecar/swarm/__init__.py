"""All of many nodes on Docker Swarm: its commands and its diagnosis."""
