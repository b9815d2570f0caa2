"""Two load shapes: three seconds of two users, and as many users and seconds as were asked for; classes by count."""

from locust import HttpUser, LoadTestShape, constant, task


class Walker(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.2)

    @task
    def health(self):
        self.client.get("/api/health")


class Rare(Walker):
    weight = 0.1


class Admin(Walker):
    fixed_count = 2


class Short(LoadTestShape):
    def tick(self):
        return (2, 2) if self.get_run_time() < 3 else None


class Asked(LoadTestShape):
    use_common_options = True

    def tick(self):
        options = self.runner.environment.parsed_options
        return (options.num_users, options.spawn_rate) if self.get_run_time() < options.run_time else None
