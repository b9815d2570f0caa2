"""Exit 0 when the sidecar's own server says that it is alive."""

import http.client

connection = http.client.HTTPConnection("127.0.0.1", 8090, timeout=4)
connection.request("GET", "/healthz")
raise SystemExit(connection.getresponse().status != http.client.OK)
