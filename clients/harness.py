"""Starts Bailiwick and its fake provider as processes, the way a user would, and stops them by their own ids.

Nothing here knows the inside of the product: it runs commands, edits what `init` wrote, and reads what is printed.
"""

import json
import os
import queue
import re
import signal
import sqlite3
import subprocess
import threading
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

# Long enough for a loaded machine with two cores; nobody waits for it when all is well.
PATIENCE_S = 60

# What the upstream must see in place of the agent's key, and what must never be seen anywhere else.
UPSTREAM_KEYS = {
    "OPENAI_API_KEY": "sk-upstream-openai-canary-5f2b7c",
    "ANTHROPIC_API_KEY": "sk-ant-upstream-canary-91d0e4",
}


class Process:
    """A started command: its lines of output as they come, its log in a file."""

    def __init__(self, arguments, log: Path, environment=None, cwd=None):
        self.arguments = [str(argument) for argument in arguments]
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                self.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=cwd,
                text=True,
            )
        self.pid = self._process.pid
        self._asked = False
        self._lines = queue.Queue()
        # Reading to the end keeps the process from blocking on a full pipe.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line)
        self._lines.put(None)

    def listening(self) -> dict:
        """Waits for the line that says where the process listens, and returns the addresses by name."""
        seen = []
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE_S)
            except queue.Empty:
                raise AssertionError(self._story("did not say where it listens", seen)) from None
            if line is None:
                raise AssertionError(self._story("ended before it listened", seen))
            seen.append(line)
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if isinstance(message, dict) and "listening" in message:
                return message["listening"]

    def stop(self) -> int:
        """Asks the process to end and returns its exit code. One that does not end is killed, and that is an error."""
        self.ask_to_end()
        try:
            code = self._process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(self._story("did not end after SIGTERM", [])) from None
        self._reader.join(timeout=PATIENCE_S)
        return code

    def ask_to_end(self):
        """As an operator would. Asked twice, a server stops at once, so this is done once."""
        if self.is_running() and not self._asked:
            self._asked = True
            self._process.send_signal(signal.SIGTERM)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self):
        """Ends the process at once, as a crash would."""
        self._process.kill()
        self._process.wait(timeout=PATIENCE_S)

    def _story(self, what, lines) -> str:
        log = self.log.read_text(errors="replace")[-4000:]
        return f"{' '.join(self.arguments)} {what}\nit printed:\n{''.join(lines)}\nits log ends:\n{log}"


class Fake:
    """The simulated provider. It speaks both dialects on one port, and remembers every call it saw."""

    def __init__(self, binary: Path, directory: Path, *arguments):
        command = [binary, "fake", "--listen", "127.0.0.1:0", *arguments]
        self.process = Process(command, directory / "fake.log", environment=clean_environment())
        try:
            self.url = f"http://{self.process.listening()['fake']}"
        except BaseException:
            self.process.kill()
            raise

    def calls(self, after=0) -> list:
        """The calls it saw behind number `after`, oldest first."""
        return json.loads(fetch(f"{self.url}/_fake/calls?after={after}"))

    def body(self, number: int) -> bytes:
        """The request body of a call, as it arrived."""
        return fetch(f"{self.url}/_fake/body/{number}")

    def count(self, **until) -> dict:
        """How many calls were `received` and `finished`. `count(finished=3)` waits until so many are."""
        return json.loads(fetch(f"{self.url}/_fake/count?{urllib.parse.urlencode(until)}"))

    def stop(self):
        code = self.process.stop()
        assert code == 0, f"the fake provider ended with {code}; see {self.process.log}"


class Server:
    """A server with its own data and governance directories, in front of one fake provider."""

    def __init__(
        self,
        binary: Path,
        directory: Path,
        fake: Fake,
        agents=None,
        policies=None,
        configuration="",
        upstreams="",
        **environment,
    ):
        """
        `agents`: manifests by agent name, see `agent`; `policies`: Cedar text by file name. Each replaces all that
        `init` wrote of its kind; None keeps it. `configuration` is appended to bailiwick.toml, and so are `upstreams`, in
        which the fake provider's URL stands for FAKE. `environment` is added to the server's.
        """
        self.binary = binary
        self.fake = fake
        self.directory = directory / "server"
        self.config = self.directory / "bailiwick.toml"
        self.data = self.directory / "data"
        self.environment = clean_environment() | UPSTREAM_KEYS | environment
        self.process = None
        self.log = directory / "server.log"
        self.run("init", self.directory, config=False)
        self._configure(fake.url, configuration + upstreams.replace("FAKE", fake.url))
        governance = self.directory / "governance"
        if agents is not None:
            replace_all(governance / "agents", ".yaml", {name: json.dumps(text) for name, text in agents.items()})
        if policies is not None:
            replace_all(governance / "policies", ".cedar", policies)
        self.start()

    def _configure(self, fake_url: str, more: str):
        text = self.config.read_text()
        text, upstreams = re.subn(r'(?m)^(\s*base_url\s*=\s*)"[^"]*"', rf'\g<1>"{fake_url}"', text)
        # The default addresses stand there as comments.
        text, listeners = re.subn(
            r'(?m)^(?:# )?((?:agents|admin)\s*=\s*)"127\.0\.0\.1:\d+"', r'\g<1>"127.0.0.1:0"', text
        )
        assert upstreams >= 2 and listeners == 2, f"`init` wrote a configuration that this does not know:\n{text}"
        self.config.write_text(f"{text}\n{more}")

    def start(self):
        """Starts the server. After a `kill` it starts again on the same data."""
        command = [self.binary, "serve", "-c", self.config]
        self.process = Process(command, self.log, environment=self.environment, cwd=self.directory)
        try:
            listening = self.process.listening()
        except BaseException:
            self.process.kill()
            raise
        self.agents_url = f"http://{listening['agents']}"
        self.admin_url = f"http://{listening['admin']}"

    def run(self, *arguments, config=True, code=0) -> str:
        """Runs a command of the product to its end and returns what it printed."""
        command = [str(self.binary), *map(str, arguments)]
        if config:
            command += ["-c", str(self.config)]
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S
        )
        story = f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, story
        return done.stdout

    def json(self, *arguments):
        """The same for a command with `--json`."""
        return json.loads(self.run(*arguments, "--json"))

    def key(self, agent: str, *arguments) -> str:
        """Issues a key to an agent. It is shown this once."""
        return self.issue(agent, *arguments)["key"]

    def issue(self, agent: str, *arguments) -> dict:
        """The same with all that the command says of the key, its public `id` too."""
        issued = self.json("key", "issue", agent, *arguments)
        assert issued["key"].startswith("bwk_"), "a key says what it is"
        return issued

    def sdk_environment(self, key: str) -> dict:
        """All that a developer sets to put an agent behind Bailiwick: where it is, and the key."""
        return {
            "OPENAI_BASE_URL": f"{self.agents_url}/openai/v1",
            "OPENAI_API_KEY": key,
            "ANTHROPIC_BASE_URL": f"{self.agents_url}/anthropic",
            "ANTHROPIC_API_KEY": key,
        }

    def owner_credential(self) -> str:
        return (self.data / "owner.credential").read_text().strip()

    def admin(self, path: str, **parameters) -> dict:
        """What the administration API says."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        headers = {"Authorization": f"Bearer {self.owner_credential()}"}
        return json.loads(fetch(f"{self.admin_url}/api/v1/{path}{query}", headers))

    def log_size(self) -> int:
        """How many entries the audit log has."""
        return self.admin("audit", limit=1)["size"]

    def entries(self, start=0) -> list:
        """The audit log from entry `start` on."""
        found = []
        while True:
            page = self.admin("audit", **{"from": start + len(found), "limit": 1000})
            found += [report["entry"] for report in page["entries"]]
            if start + len(found) >= page["size"] or not page["entries"]:
                return found

    def wait_for_entries(self, size: int):
        """Waits until the audit log is longer than `size`."""
        while self.admin("audit/wait", after=size, limit=1)["size"] <= size:
            assert self.process.is_running(), "the server has ended"

    def budget(self, agent: str) -> dict:
        """How an agent's budget stands, as `bailiwick budget list` tells it."""
        (found,) = (budget for budget in self.json("budget", "list")["budgets"] if budget["name"] == agent)
        return found

    def metrics(self) -> str:
        """What a Prometheus server would read."""
        return fetch(f"{self.admin_url}/metrics").decode()

    def stop(self):
        """
        Stops the server as an operator would, and has its log verified with no server running: it must fit together,
        and every hold must have ended.
        """
        code = self.process.stop()
        assert code == 0, f"the server ended with {code}; its log ends:\n{self.log.read_text()[-4000:]}"
        assert all(tenant["holds_open"] == 0 for tenant in self.verify()), self.verify()

    def verify(self) -> list:
        """Has the log verified from the files on disk, and returns what was found for each tenant."""
        verified = json.loads(self.run("audit", "verify", "--data", self.data, "--json", config=False))
        assert verified["ok"], verified
        return verified["tenants"]


def agent(name: str, limit="1 USD", per="day", **more) -> dict:
    """A complete manifest: everything that is mandatory, and a budget."""
    return {
        "kind": "Agent",
        "name": name,
        "owner": "clients@acme.example",
        "team": "tests",
        "product": "clients",
        "environment": "test",
        "purpose": f"Runs the client tests as {name}",
        "budget": {"limit": limit, "per": per},
    } | more


def permit(agent_name: str, *models: str) -> str:
    """A policy that lets an agent call these models, each as `upstream/model`; with none named, any model."""
    targets = [f'== Model::"{model}"' for model in models] or [""]
    rules = (
        f'@id("{agent_name}-{number}")\n'
        f'permit (principal == Agent::"{agent_name}", action == Action::"llm:generate", resource {target});\n'
        for number, target in enumerate(targets)
    )
    return "".join(rules)


def replace_all(directory: Path, suffix: str, texts: dict):
    """Puts these files in place of those that are there."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob(f"*{suffix}"):
        old.unlink()
    for name, text in texts.items():
        (directory / f"{name}{suffix}").write_text(text)


def fetch(url: str, headers=None) -> bytes:
    """Reads a URL of this machine. An answer that is no success is an error."""
    request = urllib.request.Request(url, headers=headers or {})
    with NO_PROXY.open(request, timeout=PATIENCE_S) as answer:
        return answer.read()


# Whatever proxy the machine names: nothing here leaves it.
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def tables(path: Path) -> dict:
    """The rows of each table of a database, as text. An index of words keeps its own rows in tables beside it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        listed = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
        return {name: repr(database.execute(f'SELECT * FROM "{name}"').fetchall()) for (name,) in listed.fetchall()}


def clean_environment() -> dict:
    """The environment without what would lead a client or the server elsewhere: proxies, keys, tracing services."""
    foreign = ("OPENAI_", "ANTHROPIC_", "LANGCHAIN_", "LANGSMITH_", "BAILIWICK_", "OTEL_")
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(foreign) and name.lower() not in proxies
    }
    return kept | {"NO_PROXY": "*", "no_proxy": "*", "NO_COLOR": "1"}


def scripted(*words: str) -> dict:
    """A request header that tells the fake provider how to behave; its crate documents the words."""
    return {"fake-script": "; ".join(words)}
