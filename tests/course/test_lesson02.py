"""Do the exercises of lesson 02 pass what is right, and say what is wrong with what is not?"""

from course import check

from hftlab import Kind

BIG = ("ts", 5, 6), ("ref", 11, 8), ("qty", 20, 4), ("price", 32, 4)


def decode(message: bytes, order: str = "big", symbol=lambda raw: raw.decode().rstrip(), price=lambda units: units):  # type: ignore[no-untyped-def]
    ts, ref, qty, units = (int.from_bytes(message[at : at + width], order) for _, at, width in BIG)  # type: ignore[arg-type]
    return ts, ref, chr(message[19]), qty, symbol(message[24:32]), price(units)


def test_decoding() -> None:
    assert check("02.1", decode)
    wrong = {
        "most significant byte first": lambda m: decode(m, "little"),
        "pads a symbol with spaces": lambda m: decode(m, symbol=lambda raw: raw.decode()),
        "bytes are not text yet": lambda m: decode(m, symbol=lambda raw: raw.rstrip()),
        "a price stays an integer": lambda m: decode(m, price=lambda units: units / 10_000),
        "last 4 bytes were read": lambda m: (*decode(m)[:1], decode(m)[1] % 2**32, *decode(m)[2:]),
        "expected a tuple of six": lambda m: list(decode(m)),
    }
    for said, answer in wrong.items():
        found = check("02.1", answer)
        assert not found
        assert said in str(found)
    found = check("02.1", lambda m: decode(m)[99])
    assert (bool(found), "IndexError" in str(found)) == (False, True)


def ahead(changes, order_id, *, keeps_place=False, cancel_is_delete=False, sides=True):  # type: ignore[no-untyped-def]
    queues, where = {}, {}  # type: ignore[var-annotated]
    for kind, order, new_order, side, price, qty in changes:
        if kind == Kind.ADD:
            where[order] = (side if sides else 0, price)
            queues.setdefault(where[order], {})[order] = qty
            continue
        if order not in where:
            continue
        queue = queues[where[order]]
        if kind in (Kind.EXECUTE, Kind.CANCEL):
            queue[order] -= queue[order] if kind == Kind.CANCEL and cancel_is_delete else qty
        if kind in (Kind.DELETE, Kind.REPLACE) or not queue[order]:
            place = list(queue).index(order)
            del queue[order]
            side, _ = where.pop(order)
        if kind == Kind.REPLACE:
            where[new_order] = (side, price)
            into = queues.setdefault((side, price), {})
            into[new_order] = qty
            if keeps_place:
                rows = [row for row in into.items() if row[0] != new_order]
                rows.insert(place, (new_order, qty))
                queues[side, price] = dict(rows)
    if order_id not in where:
        return None
    queue = queues[where[order_id]]
    return sum(list(queue.values())[: list(queue).index(order_id)])


def test_what_stands_ahead() -> None:
    assert check("02.2", ahead)
    wrong = {
        "goes to the back under a new id": lambda *given: ahead(*given, keeps_place=True),
        "cancelled in part, and keeps its place": lambda *given: ahead(*given, cancel_is_delete=True),
        "the front is executed in part": lambda changes, order_id: 30,
        "three orders join": lambda changes, order_id: 0,
    }
    for said, answer in wrong.items():
        found = check("02.2", answer)
        assert not found
        assert said in str(found).splitlines()[-1]
    assert "KeyError: 3" in str(check("02.2", lambda changes, order_id: {}[order_id]))
