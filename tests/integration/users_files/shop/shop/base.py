from locust import HttpUser, constant


class Base(HttpUser):
    abstract = True
    host = "http://mock-target:8080"
    wait_time = constant(0.2)
