"""A file server for imports: ranges or none, https, redirects, connections that break; it tells what it was asked."""
import contextlib
import http.server
import pathlib
import ssl
import subprocess
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        server = self.server.owner
        server.requests.append((self.path, self.headers.get("Range")))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path[3:])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        file = server.folder / self.path.lstrip("/").split("?")[0]
        if not file.is_file():
            self.send_error(404)
            return
        size, first, last = file.stat().st_size, 0, file.stat().st_size - 1
        wanted = self.headers.get("Range")
        ranged = server.ranges and wanted
        if ranged:
            a, _, b = wanted.removeprefix("bytes=").partition("-")
            first, last = int(a), min(int(b) if b else last, last)
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("ETag", f'"{file.stat().st_mtime_ns}"')
        self.end_headers()
        with open(file, "rb") as source:
            source.seek(first)
            left = last - first + 1
            while left > 0:
                block = source.read(min(left, 1 << 16))
                if server.break_after is not None and server.sent + len(block) > server.break_after:
                    server.break_after = None
                    self.wfile.flush()
                    self.connection.close()
                    return
                try:
                    self.wfile.write(block)
                except OSError:
                    return
                server.sent += len(block)
                left -= len(block)
                if server.slow:
                    server.slow.wait(server.pause)


class FileServer:
    def __init__(self, folder, tls=None):
        self.folder, self.ranges, self.break_after, self.sent, self.requests = pathlib.Path(folder), True, None, 0, []
        self.slow, self.pause = None, 0
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.owner = self
        scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@contextlib.contextmanager
def serving(folder, **kw):
    server = FileServer(folder, **kw)
    try:
        yield server
    finally:
        server.close()


def certificate(folder):
    """A self-signed certificate for 127.0.0.1: (certificate, key)."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return cert, key
