//! What a run gave, as Python values and NumPy arrays.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::{column, event_array};
use crate::clock::Clock;
use crate::order;
use crate::recording::taken;
use crate::run::{self, Runner};
use crate::signal;
use crate::timing::{self, Row, Stamps};

/// The totals so far.
pub fn counters<'py>(py: Python<'py>, runner: &mut dyn Runner) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let [live, pool, index, levels] = runner.memory();
    let memory = PyDict::new(py);
    memory.set_item("live_orders", live)?;
    memory.set_item("order_bytes", pool + index)?;
    memory.set_item("level_bytes", levels)?;
    out.set_item("memory", memory)?;
    out.set_item("rejects", runner.order().rejects)?;

    let tally = runner.tally();
    out.set_item("messages", tally.messages)?;
    out.set_item("elapsed_ns", tally.elapsed_ns)?;
    let mut counts = tally.counts[..crate::event::kind::COUNT].to_vec();
    counts[0] += tally.counts[crate::event::kind::COUNT..].iter().sum::<u64>();
    out.set_item("counts", counts)?;
    out.set_item("faults", tally.faults)?;
    Ok(out)
}

/// Everything the run produced, at its end. Columns are handed over, not copied: a second call would find none.
pub fn finish<'py>(py: Python<'py>, runner: &mut dyn Runner) -> PyResult<Bound<'py, PyDict>> {
    let out = counters(py, runner)?;
    out.set_item("orders", orders(py, runner.order())?)?;
    out.set_item("order_stream", PyBytes::new(py, &runner.order().stream))?;
    let tally = runner.tally();
    let unknown = PyDict::new(py);
    for (letter, &n) in tally.unknown.iter().enumerate().filter(|(_, n)| **n > 0) {
        unknown.set_item(letter, n)?;
    }
    out.set_item("unknown", unknown)?;
    out.set_item("fault_index", tally.first_faults.iter().map(|fault| fault.0).collect::<Vec<_>>())?;
    out.set_item(
        "fault_reason",
        tally.first_faults.iter().map(|fault| fault.1 as u8 as u64).collect::<Vec<_>>(),
    )?;
    let mut records = Vec::new();
    tally.first_faults.iter().for_each(|fault| fault.2.write_to(&mut records));
    out.set_item("fault_events", event_array(py, records)?)?;
    out.set_item("columns", columns(py, tally, false)?)?;
    let rows = tally.stamps.finish();
    out.set_item("latency", if rows.is_empty() { None } else { Some(latency(py, &rows)?) })?;
    out.set_item("histograms", histograms(py, &tally.stamps)?)?;
    out.set_item("slowest", slowest(py, &tally.stamps)?)?;
    Ok(out)
}

/// The rows kept so far, which are handed over, with room for `more`; without signals where the run ends at the book.
pub fn columns<'py>(py: Python<'py>, tally: &mut run::Tally, more: bool) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let rows = &mut tally.recorder;
    out.set_item("index", column(py, taken(&mut rows.index, more)))?;
    out.set_item("ts_ns", column(py, taken(&mut rows.ts_ns, more)))?;
    out.set_item("instrument", column(py, taken(&mut rows.instrument, more)))?;
    out.set_item("bid_price", column(py, taken(&mut rows.bid_price, more)))?;
    out.set_item("bid_qty", column(py, taken(&mut rows.bid_qty, more)))?;
    out.set_item("ask_price", column(py, taken(&mut rows.ask_price, more)))?;
    out.set_item("ask_qty", column(py, taken(&mut rows.ask_qty, more)))?;
    if rows.signals() {
        for (name, values) in signal::NAMES.iter().zip(&mut rows.values) {
            out.set_item(name, column(py, taken(values, more)))?;
        }
    }
    Ok(out)
}

fn orders<'py>(py: Python<'py>, entry: &order::OrderEntry) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let all = &entry.orders;
    out.set_item("index", column(py, all.iter().map(|order| order.index).collect()))?;
    out.set_item("ts_ns", column(py, all.iter().map(|order| order.ts_ns).collect()))?;
    out.set_item("instrument", column(py, all.iter().map(|order| order.instrument).collect()))?;
    out.set_item("side", column(py, all.iter().map(|order| order.side).collect()))?;
    out.set_item("qty", column(py, vec![entry.lot(); all.len()]))?;
    out.set_item("price", column(py, all.iter().map(|order| order.price).collect()))?;
    out.set_item("score", column(py, all.iter().map(|order| order.score).collect()))?;
    out.set_item("position", column(py, all.iter().map(|order| order.position).collect()))?;
    out.set_item("user_ref_num", column(py, all.iter().map(|order| order.number).collect()))?;
    Ok(out)
}

/// Ticks to ns, one column per stage.
fn latency<'py>(py: Python<'py>, rows: &[Row]) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    let ns = Clock::get().ns_per_tick;
    for (part, name) in timing::PARTS.iter().enumerate() {
        let values: Vec<f64> = rows.iter().map(|row| timing::length(row, part) as f64 * ns).collect();
        out.set_item(name, column(py, values))?;
    }
    Ok(out)
}

/// By stage the arguments of `hftlab.engine.timing.Histogram.counted`: buckets in use, counts, least, greatest, sum, saturated.
fn histograms<'py>(py: Python<'py>, stamps: &Stamps) -> PyResult<Bound<'py, PyDict>> {
    let out = PyDict::new(py);
    for (name, counted) in timing::PARTS.iter().zip(&stamps.histograms) {
        let (values, counts): (Vec<u64>, Vec<u64>) =
            counted.histogram.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).unzip();
        let (low, high) = counted.span;
        out.set_item(
            name,
            (column(py, values), column(py, counts), low, high, counted.total, counted.saturated),
        )?;
    }
    Ok(out)
}

/// Message number, number of the first row, rows.
type Capture<'py> = (u64, u64, Bound<'py, PyAny>);

/// The arguments of `hftlab.engine.timing.Capture`, slowest first; None if nobody asked.
fn slowest<'py>(py: Python<'py>, stamps: &Stamps) -> PyResult<Option<Vec<Capture<'py>>>> {
    let Some((captures, start)) = stamps.slowest() else { return Ok(None) };
    let ns = |ticks: u64| (ticks.saturating_sub(start) as f64 * Clock::get().ns_per_tick).round() as i64;
    let one = |capture: &timing::Capture| {
        let readings = column(py, capture.rows.iter().flatten().map(|&ticks| ns(ticks)).collect());
        Ok((capture.at, capture.first, readings.call_method1("reshape", (-1, timing::PARTS.len()))?))
    };
    captures.iter().map(one).collect::<PyResult<_>>().map(Some)
}
