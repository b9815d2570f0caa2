"""Why a stack on a Swarm does not work: what its manager says, and what each node's own sidecar does."""
