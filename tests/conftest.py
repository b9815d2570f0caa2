"""Importing Locust patches the standard library for gevent, which no other test expects: not in this process."""

import os

os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
