//! An engine that is fed as data arrives: the orders that left, and what the exchange says of them.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::{Problem, problem};
use crate::frames;
use crate::order::{self, OrderEntry};
use crate::protocols::ouch::EnterOrder;
use crate::run::Runner;

/// Bytes from which on other threads of Python may run meanwhile: letting go of the GIL costs more than a few messages do.
const LONG: usize = 1 << 16;

/// Run whole framed messages; the Enter Orders that left on them, the bytes used, and why it stopped early.
pub fn react<'py>(
    py: Python<'py>,
    runner: &mut dyn Runner,
    data: &[u8],
) -> PyResult<(Bound<'py, PyList>, usize, Option<Problem>)> {
    let (used, stopped) = if data.len() < LONG {
        runner.run_bytes(data, usize::MAX)
    } else {
        py.detach(|| {
            runner.reserve(frames::count(data));
            runner.run_bytes(data, usize::MAX)
        })
    };
    let entry = runner.order_mut();
    let orders =
        PyList::new(py, entry.stream.chunks_exact(EnterOrder::BYTES).map(|order| PyBytes::new(py, order)))?;
    entry.stream.clear();
    Ok((orders, used, stopped.map(problem)))
}

/// (instrument, position, shares that orders may still buy, and sell, why it is not traded).
pub fn instruments(entry: &OrderEntry) -> Vec<(u16, i64, u64, u64, u32)> {
    let all = entry.instruments().into_iter();
    all.map(|one| (one.instrument, one.position, one.working[0], one.working[1], one.blocked)).collect()
}

/// (UserRefNum, instrument, side, shares left) of every open order, oldest first.
pub fn working(entry: &OrderEntry) -> Vec<(u32, u16, u8, u32)> {
    entry.open().into_iter().map(|(user_ref, one)| (user_ref, one.instrument, one.side, one.left)).collect()
}

/// index, ts_ns, instrument, side, qty, price, score, position, UserRefNum
pub type Accepted = (u64, u64, u16, u8, u32, i64, f64, i64, u32);

/// The accepted orders that are kept, which are forgotten.
pub fn accepted(entry: &mut OrderEntry) -> Vec<Accepted> {
    let orders = std::mem::take(&mut entry.orders);
    let lot = entry.lot();
    let one = |order: &order::Accepted| {
        let &order::Accepted { index, ts_ns, instrument, side, number, price, score, position } = order;
        (index, ts_ns, instrument, side, lot, price, score, position, number)
    };
    orders.iter().map(one).collect()
}
