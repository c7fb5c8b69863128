"""Fixtures for tests that run unmodified clients against the built binary."""

import os
from pathlib import Path

import pytest

import harness
from trail import Trail

ROOT = Path(__file__).resolve().parent.parent

# The agents that most tests need: one that may do everything, one that its policy keeps to few models, and one whose
# budget is too small for any call.
AGENTS = {
    "tester": harness.agent("tester", limit="100 USD", per="total"),
    "narrow": harness.agent("narrow", limit="100 USD", per="total"),
    "broke": harness.agent("broke", limit="0.000001 USD", per="total"),
}
POLICIES = {
    "tester": harness.permit("tester"),
    "narrow": harness.permit("narrow", "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"),
    "broke": harness.permit("broke"),
}


@pytest.fixture(scope="session", autouse=True)
def environment():
    """Clients read proxies, keys and tracing settings from the environment: tests give them what they need."""
    patch = pytest.MonkeyPatch()
    clean = harness.clean_environment()
    for name in set(os.environ) - set(clean) - {"BAILIWICK_BIN"}:
        patch.delenv(name)
    for name in ("NO_PROXY", "no_proxy"):
        patch.setenv(name, clean[name])
    yield
    patch.undo()


@pytest.fixture(scope="session")
def bailiwick_bin() -> Path:
    """The binary under test: $BAILIWICK_BIN, or what cargo built last."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    binary = Path(os.environ.get("BAILIWICK_BIN") or target / "debug" / "bailiwick").resolve()
    assert binary.is_file(), f"{binary} is not there: `cargo xtask test` builds it and runs these tests"
    return binary


@pytest.fixture(scope="module")
def start(bailiwick_bin, tmp_path_factory):
    """
    Starts servers, each in front of a fake provider of its own: `start(agents={..}, policies={..})`. At the end each
    must stop with exit code 0 and leave a log that verifies.
    """
    directory = tmp_path_factory.mktemp("bailiwick")
    started = []

    def start(**settings) -> harness.Server:
        place = directory / str(len(started))
        place.mkdir()
        fake = harness.Fake(bailiwick_bin, place)
        started.append(fake)
        started.append(harness.Server(bailiwick_bin, place, fake, **settings))
        return started[-1]

    yield start
    failures = []
    # A server goes before its provider.
    for process in reversed(started):
        try:
            process.stop()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="module")
def server(start) -> harness.Server:
    """The server that the tests of a file share."""
    return start(agents=AGENTS, policies=POLICIES)


@pytest.fixture(scope="module")
def keys(server) -> dict:
    """A key for each of its agents."""
    return {agent: server.key(agent) for agent in AGENTS}


@pytest.fixture
def trail(server) -> Trail:
    """What happens on that server during one test."""
    return Trail(server)


@pytest.fixture
def act_as(server, keys, monkeypatch):
    """
    Makes every SDK in this process an agent's: `act_as("broke")`. As for a developer, this is environment variables and
    nothing else.
    """

    def act(agent: str):
        for name, value in server.sdk_environment(keys[agent]).items():
            monkeypatch.setenv(name, value)

    return act
