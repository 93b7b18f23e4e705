"""The law of bench/scale.py: what must be true of any engine, and what a card was measured to do."""

from dataclasses import replace

import pytest

from bench.scale import CARD, Load, check, engines_for, simulate


@pytest.mark.parametrize("row", check(), ids=lambda row: f"{row['people']} people")
def test_the_law_is_within_15_percent_of_what_the_card_did(row: dict[str, float]):
    assert abs(row["off_percent"]) <= 15
    assert abs(row["first_off_percent"]) <= 15


def test_one_person_alone_waits_for_reading_and_nothing_else():
    found = simulate(CARD, 1, Load(people=1), questions=200)
    assert found.p50 == pytest.approx(CARD.lag + CARD.photo)
    assert found.answers == pytest.approx(1 / (CARD.lag + CARD.photo + 128 * CARD.token))


def test_as_many_come_out_as_go_in_while_the_engine_bears_it():
    assert simulate(CARD, 1, Load(rate=5.0)).answers == pytest.approx(5.0, rel=0.05)


def test_two_engines_bear_twice_as_much():
    one, two = (simulate(CARD, engines, Load(people=32 * engines)) for engines in (1, 2))
    assert two.answers == pytest.approx(2 * one.answers, rel=0.05)


def test_more_users_need_more_engines_and_wait_no_longer_than_was_said():
    last = 0
    for rate in (1.0, 20.0, 60.0):
        engines, found = engines_for(CARD, Load(rate=rate), 2.0)
        assert engines >= last
        assert found.p95 <= 2.0
        last = engines
    assert last > 1


def test_a_cache_that_is_lost_costs():
    load = Load(rate=25.0, photos=0.3)
    assert simulate(CARD, 1, replace(load, kept=0.5)).p95 > simulate(CARD, 1, load).p95
