"""What differs between the plan that was seen and the one that a job met."""

from dbops.plan_change import difference

THEN = {"shop.0002": "a", "shop.0003": "b", "shop.0004": "c"}


def test_nothing_differs() -> None:
    assert difference(THEN, THEN, set()).sentence == ""


def test_each_kind_of_difference_is_told_apart() -> None:
    now = {"shop.0003": "edited", "shop.0005": "d"}
    change = difference(THEN, now, {"shop.0002"})
    assert (change.added, change.gone) == (["shop.0005"], ["shop.0004"])
    assert (change.edited, change.applied) == (["shop.0003"], ["shop.0002"])
    assert change.sentence == (
        "Since the plan was read: new in it: shop.0005; not in it any more: shop.0004; "
        "with another source: shop.0003; applied meanwhile: shop.0002."
    )


def test_of_many_only_some_are_named() -> None:
    many = {f"shop.{n:04}": "x" for n in range(9)}
    assert "shop.0004 and 4 more" in difference({}, many, set()).sentence
