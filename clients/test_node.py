"""The `openai` package for Node: `node/test.mjs` under Node's own test runner, and what the log says about it."""

import subprocess
from collections import Counter
from pathlib import Path

import harness

SCRIPT = Path(__file__).resolve().parent / "node" / "test.mjs"


def test_the_npm_package(server, keys, trail):
    metric = unauthenticated(server)
    environment = harness.clean_environment() | server.sdk_environment(keys["tester"])
    environment |= {"KEY_NARROW": keys["narrow"], "KEY_BROKE": keys["broke"]}
    done = subprocess.run(
        ["node", "--test", "--test-reporter=spec", SCRIPT],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=harness.PATIENCE_S,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    # Each refusal was asked for twice, once as a stream; a retry would show as one more.
    denials = Counter((denial["action"]["agent"], denial["reason"]) for denial in trail.denials())
    assert denials == {
        ("narrow", "policy_denied"): 2,
        ("broke", "budget_exhausted"): 2,
        ("tester", "unknown_endpoint"): 1,
    }
    assert unauthenticated(server) == metric + 2
    statuses = Counter(attempt.outcome["status"] for attempt in trail.attempts())
    assert statuses == {"ok": 5, "cut": 1}
    assert len(trail.calls()) == 6


def unauthenticated(server) -> int:
    """How many requests came without a valid credential: they are nobody's, so no log has them."""
    lines = server.metrics().splitlines()
    (value,) = (line.split()[-1] for line in lines if line.startswith("bailiwick_unauthenticated_total "))
    return int(value)
