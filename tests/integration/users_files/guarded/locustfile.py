"""A test that asks for its data while it is imported, and whose page has a login of Locust's documented kind."""

import os

import requests
from flask import Blueprint, redirect, request, session, url_for
from flask_login import UserMixin, login_user
from locust import HttpUser, constant, events, task

ANSWER = requests.get("http://mock-target:8080/api/health", timeout=5)
ANSWER.raise_for_status()


class Member(UserMixin):
    def __init__(self, name):
        self.name = name

    def get_id(self):
        return self.name


class Visitor(HttpUser):
    host = "http://mock-target:8080"
    wait_time = constant(0.2)

    @task
    def look(self):
        self.client.get("/api/health")


@events.init.add_listener
def set_login_up(environment, **_):
    if environment.web_ui is None:
        return
    pages = Blueprint("auth", "web_ui_auth")
    environment.web_ui.login_manager.user_loader(Member)
    environment.web_ui.app.config["SECRET_KEY"] = os.environ["FLASK_SECRET_KEY"]
    fields = [{"name": "name"}, {"name": "admin", "default_value": False}, {"name": "word", "is_secret": True}]
    environment.web_ui.auth_args = {"custom_form": {"inputs": fields, "callback_url": "/come_in"}}

    @pages.route("/come_in", methods=["POST"])
    def come_in():
        if (request.form.get("name"), request.form.get("word")) != ("ann", "sesame"):
            session["auth_error"] = "Who are you?"
            return redirect(url_for("locust.login"))
        login_user(Member("ann"))
        return redirect(url_for("locust.index"))

    environment.web_ui.app.register_blueprint(pages)
