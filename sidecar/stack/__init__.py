"""What a stack is on this host: compose, images, state, ports, target, the locustfile's check."""
