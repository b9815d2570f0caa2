"""`check` and `try` of the Locust image (see entrypoint.py), without the plugin's folder on the user's import path."""

import sys

sys.path.insert(0, "/opt/locust-kit/plugin")
from locust_kit import check, try_once

del sys.path[0]
sys.exit(check.main() if sys.argv[1:2] == ["check"] else try_once.main())
