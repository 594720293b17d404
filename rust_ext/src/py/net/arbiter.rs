//! The arbiter of two lines.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::net::arbiter::{self, Arbiter};

/// The arbiter of `hftlab.protocols.arbiter`, with the same arguments and attributes.
#[pyclass]
pub struct MoldArbiter {
    arbiter: Arbiter,
}

/// Blocks, number of the first message, messages.
type Delivery<'py> = (Bound<'py, PyBytes>, u64, u64);

fn delivery<'py>(py: Python<'py>, given: arbiter::Delivery) -> Delivery<'py> {
    (PyBytes::new(py, given.blocks), given.sequence, given.count)
}

#[pymethods]
impl MoldArbiter {
    #[new]
    #[pyo3(signature = (session=None, expected=1, window=1024, patience_ns=2_000_000, retry_ns=50_000_000, give_up=10, *,
        window_bytes=1 << 20, doubt_ns=3_000_000_000))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        session: Option<[u8; 10]>,
        expected: u64,
        window: u16,
        patience_ns: i64,
        retry_ns: i64,
        give_up: u64,
        window_bytes: usize,
        doubt_ns: i64,
    ) -> Self {
        let config = arbiter::Config { window, window_bytes, patience_ns, retry_ns, give_up, doubt_ns };
        MoldArbiter { arbiter: Arbiter::new(session, expected, config) }
    }

    fn receive<'py>(&mut self, py: Python<'py>, line: u32, datagram: &[u8], now_ns: i64) -> Delivery<'py> {
        delivery(py, self.arbiter.receive(line, datagram, now_ns))
    }

    /// Receive (line, datagram, ns) one after the other without making anything for Python: messages and bytes delivered, and what
    /// that asked of this extension's heap, in allocations.
    fn receive_all(&mut self, datagrams: Vec<(u32, Vec<u8>, i64)>) -> (u64, u64, u64) {
        let (mut messages, mut bytes) = (0, 0);
        let before = crate::py::allocations::asked().0;
        for (line, datagram, now_ns) in &datagrams {
            let given = self.arbiter.receive(*line, datagram, *now_ns);
            messages += given.count;
            bytes += given.blocks.len() as u64;
            self.arbiter.due(*now_ns);
        }
        (messages, bytes, crate::py::allocations::asked().0 - before)
    }

    fn due(&mut self, now_ns: i64) -> Vec<([u8; 10], u64, u16)> {
        let request = self.arbiter.due(now_ns);
        request.iter().map(|header| (header.session, header.sequence, header.count)).collect()
    }

    fn abandon<'py>(&mut self, py: Python<'py>) -> Vec<Delivery<'py>> {
        std::iter::from_fn(|| self.arbiter.abandon().map(|given| delivery(py, given))).collect()
    }

    fn restart(&mut self, session: Option<[u8; 10]>, expected: u64) {
        self.arbiter.restart(session, expected);
    }

    #[getter]
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(py);
        for (name, count) in self.arbiter.counts.each() {
            out.set_item(name, count)?;
        }
        Ok(out)
    }

    #[getter]
    fn session(&self) -> Option<[u8; 10]> {
        self.arbiter.session
    }

    #[getter]
    fn changed(&self) -> Option<[u8; 10]> {
        self.arbiter.changed
    }

    #[getter]
    fn expected(&self) -> u64 {
        self.arbiter.expected
    }

    #[getter]
    fn gap(&self) -> Option<(u64, u64)> {
        self.arbiter.gap()
    }

    #[getter]
    fn stale(&self) -> bool {
        self.arbiter.stale()
    }

    #[getter]
    fn finished(&self) -> bool {
        self.arbiter.finished()
    }

    #[getter]
    fn held(&self) -> usize {
        self.arbiter.held()
    }

    #[getter]
    fn lost(&self) -> Vec<(u64, u64)> {
        self.arbiter.lost.iter().copied().collect()
    }

    #[getter]
    fn heard(&self) -> Vec<(u32, i64)> {
        self.arbiter.heard.clone()
    }
}
