"""A stand-in of the mesh that machines join: the shapes of its protocol, and, with an Outside, a WireGuard server there."""
import http.server
import json
import os
import subprocess
import threading
import time

import netns

INTERFACE, PORT, ADDRESS = "hub0", 51820, "10.42.0.1"


class Mesh:
    """Gives every machine a place, but for when it is told to refuse. Listens on the loopback of this namespace."""

    def __init__(self, outside=None):
        self.joined, self.left, self.refuse, self.outside = [], [], False, outside
        self.places, self.given, self.wireguard, self.key = {}, 0, None, netns.run("wg", "genkey").strip()
        if outside:
            self.serve_wireguard()
        mesh = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                data = json.dumps(mesh.join(body) if self.path == "/join" else mesh.leave(body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve_wireguard(self):
        self.interface = f"{INTERFACE}{os.getpid() % 100000}"  # its control socket is the machine's, not the namespace's
        self.wireguard = subprocess.Popen(
            self.outside.command("wireguard-go", "-f", self.interface), env={**os.environ, "WG_PROCESS_FOREGROUND": "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.time() + 10
        while self.interface not in self.outside.run("ip", "-o", "link"):
            assert time.time() < deadline and self.wireguard.poll() is None, "wireguard-go does not run"
            time.sleep(0.05)
        self.set("listen-port", str(PORT), "private-key", "/dev/stdin", input=self.key)
        self.outside.run("ip", "addr", "add", f"{ADDRESS}/16", "dev", self.interface)
        self.outside.run("ip", "link", "set", self.interface, "up")

    def set(self, *what, **kwargs):
        return self.outside.run("wg", "set", self.interface, *what, **kwargs)

    @staticmethod
    def public(key):
        return netns.run("wg", "pubkey", input=key).strip()

    def join(self, body):
        vm = body["InstanceJoinRequest"]["vm_id"]
        self.joined.append(vm)
        if self.refuse:
            return {"Join": {"Failure": {"reason": "full"}}}
        key = netns.run("wg", "genkey").strip()
        _, address = self.places.get(vm, (None, f"10.42.0.{self.given + 7}"))
        self.given += vm not in self.places
        self.leave({"InstanceLeaveRequest": {"vm_id": vm}})
        self.places[vm] = (self.public(key), address)
        if self.wireguard:
            self.set("peer", self.public(key), "allowed-ips", f"{address}/32")
        return {"Join": {"Success": {
            "interface": {"network-name": "formnet", "address": f"{address}/16", "private-key": key},
            "server": {"public-key": self.public(self.key), "external-endpoint": f"{netns.OUTSIDE}:{PORT}",
                       "internal-endpoint": f"{ADDRESS}:{PORT}"}}}}

    def leave(self, body):
        vm = body["InstanceLeaveRequest"]["vm_id"]
        public, _ = self.places.pop(vm, (None, None))
        if public and self.wireguard:
            self.set("peer", public, "remove")
        self.left.append(vm)
        return {"Leave": {"Success": None}}

    def close(self):
        self.server.shutdown()
        if self.wireguard:
            self.wireguard.kill()
            self.wireguard.wait()
