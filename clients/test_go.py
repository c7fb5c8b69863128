"""Go's own implementation of transparency logs, as Debian packages it, reads the logs: `go/readlog`."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import harness

HERE = Path(__file__).resolve().parent
# Read now: tests run in a clean environment.
GROWN_LOG = Path(
    os.environ.get("BAILIWICK_GROWN_LOG")
    or Path(os.environ.get("CARGO_TARGET_DIR") or HERE.parent / "target") / "clients/grown-log"
)


@pytest.fixture(scope="session")
def readlog(tmp_path_factory):
    """The program: `readlog("-log", directory)` gives what it checked, and fails where it finds fault."""
    directory = tmp_path_factory.mktemp("go")
    program = directory / "readlog"
    # Debian's packages are a workspace of the kind that Go had before modules; nothing is downloaded.
    environment = harness.clean_environment() | {
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(directory / "cache"),
    }
    build = ["go", "build", "-o", program, "."]
    built = subprocess.run(build, cwd=HERE / "go/readlog", env=environment, capture_output=True, text=True, timeout=110)
    assert built.returncode == 0, built.stderr

    def run(*arguments, code=0):
        command = [str(program), *map(str, arguments)]
        done = subprocess.run(command, env=harness.clean_environment(), capture_output=True, text=True, timeout=100)
        assert done.returncode == code, f"{' '.join(command)} ended with {done.returncode}\n{done.stderr}"
        return json.loads(done.stdout) if code == 0 else done.stderr

    return run


def test_a_log_at_every_size(readlog):
    assert GROWN_LOG.is_dir(), f"{GROWN_LOG} is not there: `cargo xtask test` makes it"
    found = readlog("-log", GROWN_LOG, "-each")
    assert (found["checkpoints"], found["size"]) == (605, 65_538)
    assert found["entries"] == sum(range(1, 601)) + sum(range(65_534, 65_539))
    assert found["inclusions"] > 3_000 and found["extensions"] > 3_000


@pytest.fixture(scope="module")
def public(start):
    """A server whose logs are for everybody."""
    agents = {"worker": harness.agent("worker", limit="100 USD", per="total")}
    policies = {"worker": harness.permit("worker")}
    return start(agents=agents, policies=policies, configuration="[audit]\npublic_log = true\n")


def grow(server, count):
    """Grows the log of the tenant, and has all of it signed: a server does that when it stops."""
    for _ in range(count):
        server.key("worker")
    assert server.process.stop() == 0
    server.start()


def test_a_log_as_files_and_over_http(public, readlog, tmp_path):
    directory, old = tmp_path / "logs", tmp_path / "old"
    log = directory / "default"
    grow(public, 3)
    exported = export(public, directory)
    first = readlog("-log", log)
    assert first["size"] == first["entries"] == first["inclusions"] == exported["default"]["size"]
    readlog("-log", directory / "_system")
    shutil.copy(log / "checkpoint", old)

    grow(public, 3)
    url = f"{public.admin_url}/log/default"
    served = readlog("-log", url, "-vkey", log / "vkey", "-old", old)
    assert served["size"] == served["inclusions"] >= first["size"] + 3
    assert served["extensions"] == 1

    # The next export goes on from the first.
    export(public, directory)
    again = readlog("-log", log, "-old", old)
    assert again["size"] >= served["size"] and again["extensions"] == 1


def test_it_finds_fault(public, readlog, tmp_path):
    directory = tmp_path / "logs"
    grow(public, 1)
    export(public, directory)
    log = directory / "default"
    (bundle,) = (log / "tile/entries").rglob("000.p/*")
    (tile,) = (log / "tile/0").rglob("000.p/*")
    for file, told in [(bundle, "does not have the hash of its leaf"), (tile, "downloaded inconsistent tile")]:
        right = file.read_bytes()
        file.write_bytes(right[:40] + bytes([right[40] ^ 1]) + right[41:])
        assert told in readlog("-log", log, code=1)
        file.write_bytes(right)
    readlog("-log", log)
    checkpoint = log / "checkpoint"
    checkpoint.write_text((directory / "_system/checkpoint").read_text())
    assert "no verifiable signatures" in readlog("-log", log, code=1)


def export(server, directory) -> dict:
    """Exports all logs; what was written, by tenant."""
    report = json.loads(server.run("audit", "export", "--tiles", directory, "--json"))
    return {tenant["tenant"]: tenant for tenant in report["tenants"]}
