"""A tree with every kind of gate and scale, for tests of exchange with other programs."""

from __future__ import annotations

import numpy as np

from immunolab.events.transforms import Asinh, Biex, Hyperlog, Identity, Linear, Log, Logicle, ScaledAsinh, Transform
from immunolab.events.tube import Tube
from immunolab.gating.strategy import Boolean, Dimension, Ellipsoid, Polygon, Population, Rectangle, Strategy

LOGICLE, HYPERLOG, LOG = Logicle(262_144.0, 0.5, 4.5, 0.0), Hyperlog(262_144.0, 0.5, 4.5, 0.0), Log(262_144.0, 5.0)
LIFTED = ScaledAsinh(262_144.0, 4.0, 1.0)


def every_kind(events: Tube) -> Strategy:
    """A tree with every kind of gate, placed by quantiles so that every gate has events in and out.

    A border is halfway between two events: on an event, the last bit of the linear algebra library's sums
    (another on each family of processors) would decide whether FlowKit counts that event.
    """
    dyes = events.spillover.channels

    def at(channel: str, scale: Transform, *parts: float) -> list[float]:
        shown = scale.apply(events.compensated(channel))
        values = np.unique(shown[np.isfinite(shown)])
        before = (np.array(parts) * (len(values) - 1)).astype(np.intp)
        return [float(value) for value in (values[before] + values[before + 1]) / 2.0]

    def on(number: int, scale: Transform = LOGICLE) -> Dimension:
        return Dimension(dyes[number], scale)

    def triangle(x: Dimension, y: Dimension) -> Polygon:
        (x0, x1, x2), (y0, y1, y2) = at(x.name, x.transform, 0.2, 0.9, 0.7), at(y.name, y.transform, 0.2, 0.3, 0.95)
        return Polygon((x, y), ((x0, y0), (x1, y1), (x2, y2)))

    def above(axis: Dimension, part: float) -> Rectangle:
        return Rectangle((axis,), tuple(at(axis.name, axis.transform, part)), (None,))

    fsc, ssc = Dimension("FSC-A", Linear(262_144.0)), Dimension("SSC-A", Identity(), "none")
    mean = (at(dyes[0], LOGICLE, 0.5)[0], at(dyes[1], LOGICLE, 0.5)[0])
    box = Rectangle(
        (on(3), on(4), on(5)),
        (*at(dyes[3], LOGICLE, 0.1), None, *at(dyes[5], LOGICLE, 0.1)),
        (None, *at(dyes[4], LOGICLE, 0.9), *at(dyes[5], LOGICLE, 0.9)),
    )
    cofactor, biex = Asinh(150.0), Biex(0.0, -100.0, 4.418539922, 262_144.0)
    populations = (
        Population("/L", triangle(fsc, ssc)),
        Population("/L/E", Ellipsoid((on(0), on(1)), mean, ((0.01, 0.003), (0.003, 0.02)), 1.5)),
        Population("/L/T+", above(on(2), 0.3), "some_definition", "", "no_valley"),
        Population("/L/T+/box", box),
        Population("/L/T+/same", None),
        Population("/L/T+/a|b", above(on(6, cofactor), 0.2), "", "a/b"),
        Population("/L/T+/and", Boolean("and", ("/L/E", "/L/T+/box"), (True, False))),
        Population("/L/T+/or", Boolean("or", ("/L/E", "/L/T+/box"), (True, False))),
        Population("/L/T+/not", Boolean("not", ("/L/T+/box",), (False,))),
        Population("/L/T+/not/deep", above(on(10), 0.5)),
        Population("/asinh", triangle(on(6, cofactor), on(7, LIFTED))),
        Population("/log", triangle(on(8, LOG), on(9, LOG))),
        Population("/E", above(on(11, HYPERLOG), 0.7)),
        Population("/biex", triangle(on(12, biex), fsc)),
        Population("/biex/range", above(on(12, biex), 0.6)),
        Population("/low", Rectangle((on(8, LOG),), (None,), tuple(at(dyes[8], LOG, 0.5)))),
    )
    return Strategy("every kind", populations)
