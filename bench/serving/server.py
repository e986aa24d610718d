"""Our server on core 0, with people, models and a key as a bank would have them."""
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse

from client import RELEASE, STATERA, pinned, wait_for

PASSWORD = "a long passphrase of the benchmarks 7"


class Server:
    """`statera serve` with a store: a folder, or postgres://… (then `folder` has the bundles). `settings` are lines of server.toml."""

    def __init__(self, folder, store=None, settings="", port=8420):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.store, self.port = folder, store or os.path.join(folder, "store"), port
        self.place = f"127.0.0.1:{port}"
        self.url = f"http://{self.place}"
        self.settings = os.path.join(folder, "server.toml")
        with open(self.settings, "w") as file:
            file.write(settings)
        self.key_file = os.path.join(folder, "load.key")
        self.process = self.ready_s = self.setup = None

    def start(self):
        """Starts and waits until it is ready; the seconds that took are `ready_s`."""
        began = time.perf_counter()
        command = [STATERA, "serve", "--json", "--settings", self.settings, "--store", self.store, "--listen", self.place]
        self.log = open(os.path.join(self.folder, "server.log"), "a")
        self.process = pinned(0, *command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the server did not start: {open(self.log.name).read()[-2000:]}")
        told = json.loads(line)
        self.setup = told["setup"]
        if not told["ready"]:
            # Without a model a server lives, but need not be ready.
            wait_for(self.url + ("/health/live" if self.setup else "/health/ready"), self.process)
        self.ready_s = time.perf_counter() - began
        return self

    def stop(self):
        """In order; the seconds that took."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        return time.perf_counter() - began

    def kill(self):
        self.process.kill()
        self.process.wait()

    def furnish(self, models):
        """Of a server that nobody has used: an admin, a maker, a checker, the models {name: bundle.zip} promoted, a key."""
        admin = Person(self.place)
        token = urllib.parse.parse_qs(urllib.parse.urlsplit(self.setup).query)["token"][0]
        admin.call("POST", "/api/v1/setup", {"token": token, "name": "admin", "password": PASSWORD})
        admin.sign_in("admin")
        for role in ("maker", "checker"):
            admin.call("POST", "/api/v1/people", {"name": role, "roles": [role], "password": PASSWORD})
        admin.call("PUT", "/api/v1/tiers/4", {"approvals": 1})
        maker, checker = Person(self.place).sign_in("maker"), Person(self.place).sign_in("checker")
        for name, bundle in models.items():
            maker.call("POST", "/api/v1/models", {"name": name, "tier": 4})
            maker.call("POST", f"/api/v1/models/{name}/versions?note=benchmark", open(bundle, "rb").read())
            change = {"change": {"change": "champion", "version": 1}, "note": "benchmark"}
            proposal = maker.call("POST", f"/api/v1/models/{name}/proposals", change)["proposal"]
            checker.call("POST", f"/api/v1/proposals/{proposal}/approve", {"note": "benchmark"})
        made = admin.call("POST", "/api/v1/keys", {"label": "benchmark", "roles": ["scorer", "viewer"], "days": 7})
        with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(made["key"])
        wait_for(self.url + "/health/ready", self.process)
        return self


class Person:
    """Somebody who is signed in, or is about to be."""

    def __init__(self, place):
        self.connection = http.client.HTTPConnection(place, timeout=120)
        # What a browser says of its own; without it whatever changes something is refused.
        self.headers = {"origin": f"http://{place}"}

    def sign_in(self, name):
        self.headers["x-csrf-token"] = self.call("POST", "/api/v1/sessions", {"name": name, "password": PASSWORD})["csrf"]
        return self

    def call(self, method, path, body=None):
        is_json = not isinstance(body, bytes)
        headers = {**self.headers, "content-type": "application/json" if is_json else "application/zip"}
        # A GET has no body: a server that answers it without having read one ends the connection.
        self.connection.request(method, path, json.dumps(body) if is_json and body is not None else body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if cookie := answer.getheader("set-cookie"):
            self.headers["cookie"] = cookie.split(";")[0]
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status} {text.decode()[:400]}")
        return json.loads(text) if text else None


def bundles(folder, n=1):
    """n bundles of boosting with 100 trees on taiwan that decline a fifth and say why: {model: path}."""
    paths = {f"taiwan-{i}": os.path.join(folder, f"taiwan-{i}.zip") for i in range(1, n + 1)}
    if not all(os.path.exists(path) for path in paths.values()):
        subprocess.run([os.path.join(RELEASE, "serving_model"), "--out", folder, "--models", str(n)], check=True, stdout=sys.stderr)
    return paths
