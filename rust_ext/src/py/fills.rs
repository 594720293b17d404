//! `FillSimulator`: the simulator of fills, on arrays of records.

use numpy::PyReadonlyArray1;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::{bytes, column, event_dtype};
use crate::event::EVENT_BYTES;
use crate::fills::{REQUEST_BYTES, Request, Simulator};
use crate::run::CHUNK;

/// Orders of ours in the book of a feed; see `hftlab.fills.simulator.Simulator`, which says what is right.
#[pyclass]
#[derive(Default)]
pub struct FillSimulator {
    simulator: Simulator,
    elapsed_ns: u64,
}

/// Bytes of a NumPy array of records.
fn raw(array: &Bound<'_, PyAny>) -> PyResult<PyBuffer<u8>> {
    array.call_method1("view", ("u1",))?.extract()
}

#[pymethods]
impl FillSimulator {
    #[new]
    fn new() -> Self {
        FillSimulator::default()
    }

    /// Run events, (n,) EVENT_DTYPE, and requests, (m,) REQUEST_DTYPE, each before the message of its number in `at`, (m,) u64 ascending.
    /// `ends`, (n,) bool, says which messages end an exchange event; None: each does.
    fn run(
        &mut self,
        py: Python<'_>,
        events: &Bound<'_, PyAny>,
        ends: Option<&Bound<'_, PyAny>>,
        at: PyReadonlyArray1<'_, u64>,
        requests: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if !events.getattr("dtype")?.eq(event_dtype(py)?)? {
            return Err(PyValueError::new_err("events must have dtype EVENT_DTYPE"));
        }
        let (events, asked) = (raw(events)?, raw(requests)?);
        let ends = ends.map(raw).transpose()?;
        let (events, asked) = (bytes(py, &events)?, bytes(py, &asked)?);
        let ends = ends.as_ref().map(|ends| bytes(py, ends)).transpose()?;
        let (records, rows) = (events.as_chunks::<EVENT_BYTES>().0, asked.as_chunks::<REQUEST_BYTES>().0);
        if rows.len() != at.len()? || ends.as_ref().is_some_and(|ends| ends.len() != records.len()) {
            return Err(PyValueError::new_err("at must be as long as requests, and ends as events"));
        }
        let all: Vec<(u64, Request)> =
            at.as_slice()?.iter().zip(rows).map(|(&at, row)| (at, Request::from_bytes(row))).collect();
        let mut rest = &all[..];
        for (number, chunk) in records.chunks(CHUNK).enumerate() {
            let ends = ends.as_ref().map(|ends| &ends[number * CHUNK..number * CHUNK + chunk.len()]);
            let simulator = &mut self.simulator;
            let (done, ns) = py.detach(|| {
                let start = std::time::Instant::now();
                (simulator.run(chunk.iter(), ends, rest), start.elapsed().as_nanos() as u64)
            });
            rest = &rest[done..];
            self.elapsed_ns += ns;
            py.check_signals()?;
        }
        rest.iter().for_each(|(_, request)| self.simulator.request(request));
        Ok(())
    }

    /// The bytes of the fills (FILL_DTYPE) and of the outcomes (OUTCOME_DTYPE), and what the loop took, ns.
    #[allow(clippy::type_complexity)]
    fn finish<'py>(&mut self, py: Python<'py>) -> (Bound<'py, PyAny>, Bound<'py, PyAny>, u64) {
        let (fills, orders) = self.simulator.finish();
        let (mut filled, mut ended) = (Vec::new(), Vec::new());
        fills.iter().for_each(|fill| fill.write_to(&mut filled));
        orders.iter().for_each(|order| order.write_to(&mut ended));
        (column(py, filled).into_any(), column(py, ended).into_any(), self.elapsed_ns)
    }
}
