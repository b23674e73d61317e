import datetime as dt
import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyc_taxi.errors import SettingsError
from nyc_taxi.model.months import Month, Service, expected_last, month_range

months = st.builds(Month, st.integers(2000, 2900), st.integers(1, 12))
few = st.integers(-120, 120)


@given(months)
def test_text_and_back(month: Month) -> None:
    assert Month.parse(str(month)) == month
    assert Month.parse(f" {month}-17 ") == month
    assert Month.parse(month) is month
    assert pickle.loads(pickle.dumps(month)) == month


@given(months.filter(lambda month: month.year > 2010), few, few)
def test_arithmetic(month: Month, one: int, other: int) -> None:
    assert month + 0 == month
    assert month + one - one == month
    assert (month + one) + other == month + (one + other)
    assert (month + one > month) == (one > 0)


@given(months)
def test_a_month_ends_where_the_next_begins(month: Month) -> None:
    assert month.end == (month + 1).start
    assert Month.of(month.start.date()) == Month.of((month.end - dt.timedelta(days=1)).date()) == month
    assert 28 <= (month.end - month.start).days <= 31
    assert month.first_day == dt.date(month.year, month.number, 1)


@given(months, st.integers(0, 40))
def test_a_range_has_every_month_once_in_order(first: Month, count: int) -> None:
    run = list(month_range(first, first + count))
    assert run[0] == first
    assert len(run) == count + 1
    assert all(after - 1 == before for before, after in pairwise(run))
    assert list(month_range(first + 1, first)) == []


@pytest.mark.parametrize(
    "text",
    ["", "2020", "2020-4", "2020/04", "2020-04-1", "April 2020", "20200401", "2020-04 x", None, 202004],
)
def test_what_is_no_month_is_refused(text: object) -> None:
    with pytest.raises(SettingsError, match=r"is not a month: write it as 2020-04\.$"):
        Month.parse(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["2020-00", "2020-13", "1999-12", "3000-01"])
def test_a_month_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"of taxi trips: write it as 2020-04\.$"):
        Month.parse(text)


@pytest.mark.parametrize("service", Service)
def test_services_are_read_as_people_write_them(service: Service) -> None:
    assert Service.parse(f" {service.upper()} ") is service
    assert service.first_month >= Month(2009, 1)


def test_an_unknown_service_is_refused_with_the_names() -> None:
    with pytest.raises(SettingsError, match=r"^service 'uber' .*: use one of yellow, green, "):
        Service.parse("uber")


@pytest.mark.parametrize(
    ("today", "last"), [("2020-06-30", "2020-04"), ("2020-07-01", "2020-05"), ("2021-01-31", "2020-11")]
)
def test_the_newest_month_is_two_months_old(today: str, last: str) -> None:
    assert str(expected_last(dt.date.fromisoformat(today))) == last
