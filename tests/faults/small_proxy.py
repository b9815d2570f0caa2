"""An HTTP proxy that answers every request itself: what lies behind it exists only for those who ask it."""

import http.server


class Proxy(http.server.BaseHTTPRequestHandler):
    """Says 200 to any GET of an absolute URL."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")


http.server.ThreadingHTTPServer(("0.0.0.0", 3128), Proxy).serve_forever()
