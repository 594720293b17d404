//! An engine that is fed as data arrives: the orders that left, and what the exchange says of them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Problem, problem};
use crate::frames;
use crate::order::{self, OrderEntry};
use crate::protocols::ouch::EnterOrder;
use crate::run::Runner;

/// Bytes from which on other threads of Python may run meanwhile: letting go of the GIL costs more than a few messages do.
pub const LONG: usize = 1 << 16;

/// An order that left, as `hftlab.stages.order.Accepted` has it: index, ts_ns, instrument, side, qty, price, score, position,
/// UserRefNum, and the Enter Order. The orders that were kept are forgotten.
pub type Accepted<'py> = (u64, u64, u16, u8, u32, i64, f64, i64, u32, Bound<'py, PyBytes>);

/// Run whole framed messages; the orders that left on them, the bytes used, and why it stopped early.
pub fn react<'py>(
    py: Python<'py>,
    runner: &mut dyn Runner,
    data: &[u8],
) -> (Vec<Accepted<'py>>, usize, Option<Problem>) {
    let (used, stopped) = if data.len() < LONG {
        runner.run_bytes(data, usize::MAX)
    } else {
        py.detach(|| {
            runner.reserve(frames::count(data));
            runner.run_bytes(data, usize::MAX)
        })
    };
    let entry = runner.order_mut();
    let (kept, lot) = (std::mem::take(&mut entry.orders), entry.lot());
    let wires = entry.stream.chunks_exact(EnterOrder::BYTES).map(|wire| PyBytes::new(py, wire));
    let accepted = |(order, wire): (&order::Accepted, _)| {
        let &order::Accepted { index, ts_ns, instrument, side, number, price, score, position } = order;
        (index, ts_ns, instrument, side, lot, price, score, position, number, wire)
    };
    let orders = kept.iter().zip(wires).map(accepted).collect();
    entry.stream.clear();
    (orders, used, stopped.map(problem))
}

/// Instrument, position, shares that orders may still buy, and sell, why it is not traded.
pub type Standing = (u16, i64, u64, u64, u32);

/// Every instrument of which there is something to say.
pub fn instruments(entry: &OrderEntry) -> Vec<Standing> {
    let all = entry.instruments().into_iter();
    all.map(|one| (one.instrument, one.position, one.working[0], one.working[1], one.blocked)).collect()
}

/// (UserRefNum, instrument, side, shares left) of every open order, oldest first.
pub fn working(entry: &OrderEntry) -> Vec<(u32, u16, u8, u32)> {
    entry.open().into_iter().map(|(user_ref, one)| (user_ref, one.instrument, one.side, one.left)).collect()
}
