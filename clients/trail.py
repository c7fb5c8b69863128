"""What happened during a test, told by both sides: by the audit log, and by the provider."""

from typing import NamedTuple

from harness import Server


class Attempt(NamedTuple):
    """One call that was let through: what was recorded before it left, and how it ended."""

    intent: dict
    outcome: dict


class Trail:
    """
    The part of the audit log and of the provider's calls that came after this was made. Tests share a server, one after
    the other, and each looks at its own part.
    """

    def __init__(self, server: Server):
        self._server = server
        self._first_entry = server.log_size()
        self._first_call = server.fake.count()["received"]

    def calls(self) -> list:
        """What the provider saw."""
        return self._server.fake.calls(after=self._first_call)

    def bodies(self) -> list:
        """The request bodies that the provider saw."""
        return [self._server.fake.body(call["number"]) for call in self.calls()]

    def wait_until_finished(self, calls=1) -> list:
        """Waits until so many calls are over for the provider, and returns them."""
        self._server.fake.count(finished=self._first_call + calls)
        return self.calls()

    def denials(self) -> list:
        """The refusals recorded. They are durable before the caller hears of them."""
        return of_kind("denial", self._entries())

    def attempts(self) -> list:
        """
        The calls that were let through. An outcome is recorded after the reply has been delivered: this waits for those
        that are not there yet.
        """
        while True:
            entries = self._entries()
            outcomes = {name(outcome): outcome for outcome in of_kind("outcome", entries)}
            intents = of_kind("intent", entries)
            ended = [Attempt(intent, outcomes[name(intent)]) for intent in intents if name(intent) in outcomes]
            if len(ended) == len(intents):
                return ended
            self._server.wait_for_entries(self._first_entry + len(entries))

    def attempt(self) -> Attempt:
        """The only one."""
        (attempt,) = self.attempts()
        return attempt

    def _entries(self) -> list:
        return self._server.entries(self._first_entry)


def of_kind(kind: str, entries: list) -> list:
    return [entry["event"][kind] for entry in entries if kind in entry["event"]]


def name(event: dict) -> tuple:
    """An attempt's name. An intent describes its action, an outcome has its id."""
    action = event["action"]
    return (action["id"] if isinstance(action, dict) else action, event["attempt"])
