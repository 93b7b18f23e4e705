"""Asks for tests."""

from __future__ import annotations

from storage.messages import Address, Ask, Photo, Turn

PRIVATE = Address("telegram", "1", "7")


def make_ask(
    id: str, person: str = "telegram:1", *, photos: tuple[Photo, ...] = (), conversation: str = "",
    outbox: str = "telegram", where: Address = PRIVATE,
) -> Ask:  # fmt: skip
    """An ask of a person in their private chat."""
    return Ask(
        id=id, person=person, conversation=conversation or f"{person}:chat", lane=person, outbox=outbox,
        where=where, question=Turn("user", f"question {id}", photos),
    )  # fmt: skip
