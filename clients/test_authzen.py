"""The decision point is as its description says: Schemathesis draws requests from the OpenAPI document."""

import json
import subprocess
import sys

import harness

SCHEMA = """
entity user { role?: String };
entity record;
action "read" appliesTo { principal: user, resource: record };
"""
POLICY = """
@id("admins")
permit (principal, action == Action::"read", resource)
when { principal has role && principal.role like "a*" };
"""
PEP = {"kind": "Pep", "name": "drawn", "owner": "tests@acme.example", "purpose": "Asks", "may": ["evaluate", "search"]}

# What a drawn request is held to. Whether a wrong one is refused is the tests' business that know what is wrong with it:
# unknown members are passed over, and a batch denies incomplete items.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
SECONDS = 100


def test_drawn_requests_are_answered_as_described(start):
    agents = {"drawn": harness.agent("drawn", limit="1 USD", per="total")}
    server = start(agents=agents, policies={"agents": harness.permit("drawn")})
    governance = server.directory / "governance"
    files = {
        "schemas/drawn.cedarschema": SCHEMA,
        "policies/drawn.cedar": POLICY,
        "rules/drawn.yaml": json.dumps(PEP),
    }
    for part, text in files.items():
        path = governance / part
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    server.run("apply")
    key = server.json("key", "issue", "--pep", "drawn")["key"]
    command = [sys.executable, "-m", "schemathesis.cli", "run", "--no-color", f"{server.agents_url}/.well-known/openapi.json"]
    command += ["--include-path-regex", "^/(access|[.]well-known)/", "--checks", CHECKS, "--max-examples", "25"]
    command += ["--phases", "examples,coverage,fuzzing", "--generation-deterministic", "--max-time", "40"]
    command += ["--header", f"Authorization: Bearer {key}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=server.directory)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
