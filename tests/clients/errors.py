"""Causes every documented error through a client."""

import contextlib
import re

import adapters
import documented
import story

PLAIN = re.compile(r"[\w.-]*")


def cannot_send(client, request):
    """Why a client cannot send a request; empty when it can."""
    if request.needs in client.cannot:
        return client.cannot[request.needs]
    if request.action in client.unknown_actions:
        return "it has no call for it"
    values = adapters.flat(request.parameters).values()
    if client.plain_values_only and not all(PLAIN.fullmatch(str(value)) for value in values):
        return "it signs no such value"
    return ""


def cause_all(test, variant):
    """Sends every request that a client can send; gives the documented errors that it got."""
    caused = set()
    with adapters.opened(*variant) as client:
        # Whatever the client under test can, the scene is set by one that can do everything.
        setting = adapters.QcloudApiPython("qcloudapi-sdk-python", client.server)
        scene = documented.Scene(story.Storyteller(setting), client.server)
        teller = story.Storyteller(client)
        for (action, code), request in documented.requests_for(scene).items():
            if cannot_send(client, request):
                continue
            clock = client.at_another_time(-8 * 3600) if request.needs == "clock" else contextlib.nullcontext()
            with test.subTest(client=variant[1:], action=action, code=code), clock:
                answer = teller.answer(request.action, request.parameters, region=request.region, key=request.key)
                got = str(answer["code"]) if re.fullmatch(r"-?\d+", code) else answer["codeDesc"]
                test.assertEqual(got, code, answer)
                caused.add((action, code))
    return caused
