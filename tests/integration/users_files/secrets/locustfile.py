"""Users whose requests, names, errors, logs and contexts hold secrets. Each secret is `<place>-Zq81xY`."""

import logging

from locust import FastHttpUser, HttpUser, User, constant, events

MARK = "-Zq81xY"
logger = logging.getLogger("shop")


def secret(place: str) -> str:
    return place + MARK


def sign_in(password: str) -> None:
    raise ValueError(f"no such user: api_key={secret('raised')}, {len(password)}")


def buy(user: User) -> None:
    """Do what users of both clients do."""
    client, kind = user.client, type(user).__name__
    client.get("/fast?page=2")
    client.get(f"/fast?access_token={secret('query')}")
    client.get(f"/reset-password/{secret('path12345')}")
    client.get(f"/fast;jsessionid={secret('matrix')}/cart")
    client.get("/fast", name=f"cart?next=%2Fin%3Ftoken%3D{secret('encoded')}")
    client.get("/fast", name=f"GET https://ann:{secret('user')}@shop/cart")
    client.post(
        f"/status/401?sig={secret('failed')}",
        headers={"X-Api-Key": secret("sent"), "Cookie": f"a={secret('cookie')}"},
        json={"password": secret("body")},
        context={"token": secret("context")},
    )
    with client.get("/fast", name="checked", catch_response=True) as response:
        response.failure(f"refused: Authorization: Bearer {secret('failure')}")
    with client.get("/fast", name="raised", catch_response=True) as response:
        response.failure(KeyError(f"{{'clientSecret': '{secret('error')}'}}"))
    events.request.fire(
        request_type="SQL",
        name=f"connect password={secret('own_name')}",
        response_time=1.0,
        response_length=0,
        exception=OSError(f"postgres://ann:{secret('own_error')}@db:5432/shop is down"),
        context={},
    )
    logger.warning("token=%s of %s", secret("logged"), kind)
    try:
        sign_in(password="traced-Zq81xY")  # noqa: S106  its line is in the traceback
    except ValueError:
        logger.exception("signing in failed")
        raise


class SlowBuyer(HttpUser):
    fixed_count = 1
    wait_time = constant(1)
    tasks = (buy,)


class FastBuyer(FastHttpUser):
    fixed_count = 1
    wait_time = constant(1)
    tasks = (buy,)


@events.test_start.add_listener
def begin(**_: object) -> None:
    logging.getLogger("locust.runners").info("starting with {'passphrase': '%s'}", secret("begun"))
