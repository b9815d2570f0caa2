"""`check` and `try` of the Locust image, with the plugin's folder kept off the user's import path."""

import sys

sys.path.insert(0, "/opt/locust-kit/plugin")
from locust_kit.commands import main

del sys.path[0]
sys.exit(main(sys.argv[1:]))
