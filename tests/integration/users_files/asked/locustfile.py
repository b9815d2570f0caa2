"""A shop of several tenants, each with its own key, chosen by arguments of its own."""

from locust import HttpUser, constant_pacing, events, task


@events.init_command_line_parser.add_listener
def own_arguments(parser):
    parser.add_argument("--tenant", choices=["blue", "green"], default="blue", env_var="LOCUST_TENANT")
    parser.add_argument("--pace", type=float, default=0.5)
    parser.add_argument("--shop-key", default="", is_secret=True)
    parser.add_argument("--parts", choices=["front", "cart"], default=["front"], is_multiple=True)
    parser.add_argument("--careful", action="store_true")


class Shopper(HttpUser):
    wait_time = constant_pacing(0.3)

    @task
    def look(self):
        told = self.environment.parsed_options
        for part in told.parts:
            name = f"/{part} of {told.tenant} each {told.pace}{' carefully' if told.careful else ''}"
            self.client.get(f"/echo/{told.tenant}", headers={"X-Shop-Key": told.shop_key}, name=name)
