"""Asks for tests."""

from __future__ import annotations

from storage.messages import Address, Ask, Photo, Turn


def make_ask(id: str, person: str = "telegram:1", *, photos: tuple[Photo, ...] = (), conversation: str = "") -> Ask:
    """An ask of a person in their private chat."""
    return Ask(
        id=id, person=person, conversation=conversation or f"{person}:chat", lane=person, outbox="telegram",
        where=Address("telegram", "1", "7"), question=Turn("user", f"question {id}", photos),
    )  # fmt: skip
