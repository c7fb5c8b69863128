"""What every SDK must make of a refusal: one exception, our reason in it, no second try, nothing forwarded."""


def assert_denied_once(error, reason: str, trail, agent: str, recorded=True):
    """
    `error`: what the SDK raised. `recorded` is False for callers that are not known: they have no agent whose denial it
    would be.
    """
    head = error.response.headers
    assert head["bailiwick-decision"] == "deny"
    assert head["bailiwick-reason"] == reason
    assert head["x-should-retry"] == "false"
    # The SDKs number the tries of a request from 0.
    assert error.response.request.headers["x-stainless-retry-count"] == "0"
    assert trail.calls() == []
    denials = trail.denials()
    if not recorded:
        assert denials == []
        return
    (denial,) = denials
    assert denial["reason"] == reason
    assert denial["action"]["agent"] == agent
    assert denial["action"]["id"] == head["bailiwick-request-id"]
    assert trail.attempts() == []
