"""What of a conversation is kept, for any conversation, by counts alone."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from inference.budget import answer_reserve, fit, least_context, low_mark
from storage.messages import Refused, Turn

BASE = 10
Counted = tuple[list[Turn], list[int]]

contexts = st.integers(100, 2000)
sizes = st.integers(1, 400)


@st.composite
def conversations(draw: st.DrawFn) -> Counted:
    """Questions with their answers, then a question; each turn's text is its number, each has its tokens."""
    counts = draw(st.lists(sizes, min_size=1, max_size=31).filter(lambda found: len(found) % 2 == 1))
    return [Turn("assistant" if index % 2 else "user", str(index)) for index in range(len(counts))], counts


def room(context: int) -> int:
    return context - answer_reserve(context) - BASE


@given(conversations(), contexts)
def test_a_question_that_alone_is_too_long_is_refused_by_how_much(conversation: Counted, context: int):
    turns, counts = conversation
    over = counts[-1] - room(context)
    if over <= 0:
        assert fit(turns, counts, BASE, context)[0][-1] is turns[-1]
        return
    with pytest.raises(Refused) as caught:
        fit(turns, counts, BASE, context)
    assert (caught.value.code, caught.value.details) == ("too_long", {"over": over})
    shorter = [*counts[:-1], counts[-1] - over]
    assert fit(turns, shorter, BASE, context)[0][-1] is turns[-1]


@given(conversations(), contexts)
def test_the_newest_turns_stay_whole_and_the_size_is_exact(conversation: Counted, context: int):
    turns, counts = conversation
    assume(counts[-1] <= room(context))
    kept, size = fit(turns, counts, BASE, context)
    assert kept == turns[len(turns) - len(kept) :]
    assert kept[0].role == "user" and kept[-1] is turns[-1]
    assert size == BASE + sum(counts[len(turns) - len(kept) :])
    assert size <= context - answer_reserve(context) < context


@given(conversations(), contexts)
def test_a_conversation_that_fits_is_kept_whole(conversation: Counted, context: int):
    turns, counts = conversation
    assume(sum(counts) <= room(context))
    assert fit(turns, counts, BASE, context) == (turns, BASE + sum(counts))


@given(conversations(), contexts)
def test_as_a_conversation_grows_it_is_trimmed_seldom_and_far(conversation: Counted, context: int):
    turns, counts = conversation
    assume(max(counts) <= room(context))
    before = 0
    for end in range(1, len(turns) + 1, 2):
        kept, size = fit(turns[before:end], counts[before:end], BASE, context)  # what went is never given again
        first = end - len(kept)
        assert (first > before) == (sum(counts[before:end]) > room(context))
        if first > before:
            assert size - BASE <= low_mark(room(context)) or len(kept) == 1
            # No exchange too many: with the last one that went it was still over the mark.
            assert size - BASE + sum(counts[first - 2 : first]) > low_mark(room(context))
        before = first


@given(conversations(), contexts)
def test_an_answer_without_its_question_is_never_kept(conversation: Counted, context: int):
    turns, counts = [Turn("assistant", "stray"), *conversation[0]], [1, *conversation[1]]
    assume(counts[-1] <= room(context))
    kept, size = fit(turns, counts, BASE, context)
    assert kept[0].role == "user"
    assert size == BASE + sum(counts[len(turns) - len(kept) :])


@given(st.integers(4, 1_000_000))
def test_room_for_an_answer_is_left_but_never_most_of_the_context(context: int):
    assert 1 <= answer_reserve(context) <= min(context // 4, 4096)


@given(st.integers(1, 20_000))
def test_the_least_context_holds_one_token_of_a_question_and_less_holds_none(base: int):
    least = least_context(base)
    assert fit([Turn()], [1], base, least) == ([Turn()], base + 1)
    with pytest.raises(Refused):
        fit([Turn()], [1], base, least - 1)
