"""From containers' histories to incidents: OOM kills counted and placed, exits explained, gaps reported. Pure."""
