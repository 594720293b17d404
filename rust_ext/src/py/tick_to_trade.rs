//! Tick to trade, for Python.

use std::time::Duration;

use numpy::PyReadonlyArray1;

use super::transports::{address, placement, seconds};
use super::*;
use crate::net::tick_to_trade::{self, Faults, Measurement, Scenario};
use crate::net::transport::Options;

/// `hftlab.net.tick_to_trade.scenario.Scenario` with how it is to be run, read attribute by attribute.
#[derive(FromPyObject)]
pub struct Round {
    feed: (String, Option<String>),
    orders: Option<(String, Option<String>)>,
    first: u32,
    floor: usize,
    limit: f64,
    patience: f64,
    cores: (Option<usize>, Option<usize>),
    fifo: bool,
    stamps: bool,
    probe: f64,
    settle: u64,
    /// drop_every, deaf, delay_ns, dies_after
    faults: (usize, bool, u64, usize),
}

/// One round, tick to trade. `packets` is (n, 3) int64 in one piece: where each ends in `data`, when it is due (ns, below 0: as soon
/// as the orders before it have come), orders caused up to and with it. Times are ns from the first packet, NaN where there is none.
#[pyfunction]
pub fn wire_run<'py>(
    py: Python<'py>,
    settings: &Bound<'py, PyAny>,
    warm: PyBuffer<u8>,
    data: PyBuffer<u8>,
    packets: [PyReadonlyArray1<'py, i64>; 3],
    round: Round,
) -> PyResult<Bound<'py, PyDict>> {
    let settings: settings::Settings = settings.extract()?;
    let mut runner = settings.open()?;
    let (warm, data) = (bytes(py, &warm)?, bytes(py, &data)?);
    let [ends, due_ns, orders] = [packets[0].as_slice()?, packets[1].as_slice()?, packets[2].as_slice()?];
    if due_ns.len() != ends.len() || orders.len() != ends.len() || !orders.is_sorted() {
        return Err(PyValueError::new_err(
            "packets need an end, a time and orders each, and orders must not descend",
        ));
    }
    let (drop_every, deaf, delay_ns, dies_after) = round.faults;
    let scenario = Scenario {
        warm: &warm,
        data: &data,
        ends,
        due_ns,
        orders,
        first: round.first,
        floor: round.floor,
        limit: seconds(round.limit)?,
        patience: seconds(round.patience)?,
        placements: [placement(round.cores.0, round.fifo), placement(round.cores.1, round.fifo)],
        rests: round.fifo,
        stamps: round.stamps,
        probe: seconds(round.probe)?,
        settle: round.settle,
        asked: || crate::py::allocations::asked().0,
        faults: Faults { drop_every, deaf, delay_ns, dies_after },
    };
    let there = address(round.feed.1.as_deref())?;
    let back = round.orders.as_ref().map(|orders| address(orders.1.as_deref())).transpose()?.flatten();
    let found = py.detach(|| {
        let options =
            Options { patience: scenario.patience.max(Duration::from_secs(1)), ..Options::default() };
        let orders = round.orders.as_ref().map(|orders| (orders.0.as_str(), back.as_ref()));
        let mut ends = tick_to_trade::ends((&round.feed.0, there.as_ref()), orders, &options)?;
        let [exchange, trader] = &mut ends;
        tick_to_trade::run([exchange, trader], &scenario, &mut *runner)
    })?;
    measurement(py, found)
}

fn measurement<'py>(py: Python<'py>, found: Measurement) -> PyResult<Bound<'py, PyDict>> {
    let ns_per_tick = Clock::get().ns_per_tick;
    let begin = found.sent.first().copied().unwrap_or(0);
    let one = |&tick: &u64| match tick {
        u64::MAX => f64::NAN,
        tick => (tick as i64).wrapping_sub(begin as i64) as f64 * ns_per_tick,
    };
    let times = |ticks: &[u64]| column(py, ticks.iter().map(one).collect());
    let out = PyDict::new(py);
    out.set_item("floor_ns", column(py, found.floor.iter().map(|&n| n as f64 * ns_per_tick).collect()))?;
    out.set_item("due_ns", times(&found.due))?;
    out.set_item("sent_ns", times(&found.sent))?;
    out.set_item("arrived_ns", times(&found.arrived))?;
    out.set_item("received_ns", times(&found.received))?;
    out.set_item("ready_ns", times(&found.ready))?;
    out.set_item("stream", PyBytes::new(py, &found.stream))?;
    let counts = PyDict::new(py);
    for (name, count) in found.counts.each() {
        counts.set_item(name, count)?;
    }
    out.set_item("counts", counts)?;
    out.set_item("duplicates", found.duplicates)?;
    out.set_item("foreign", found.foreign)?;
    out.set_item("resent", found.resent)?;
    out.set_item("answers", found.answers)?;
    out.set_item("stopped", found.stopped)?;
    out.set_item("allocations", found.allocations)?;
    out.set_item("quiet", found.quiet.map(|quiet| (quiet.lost_share, quiet.max_ns)))?;
    out.set_item("refused", found.refused)?;
    Ok(out)
}
