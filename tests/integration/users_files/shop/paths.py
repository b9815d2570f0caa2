HEALTH = "/api/health"
