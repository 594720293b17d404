//! The door to Python, and the only file that names it. Every binding is: borrow bytes, let go of the GIL, run, wrap the result.

use std::borrow::Cow;

use numpy::{IntoPyArray, PyArray1, PyArrayDescr, PyReadonlyArray1, PyReadwriteArray1};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};

mod allocations;
mod clocks;
mod feeds;
mod fills;
mod live;
mod result;
mod settings;
mod tick_to_trade;
mod transports;

use crate::clock::Clock;
use crate::dispatch::VARIANTS;
use crate::error::Error;
use crate::event::{EVENT_BYTES, Event, FIELDS};
use crate::frames::{self, Batch, Next};
use crate::order::Open;
use crate::pace::{Pace, Schedule};
use crate::run::Runner;

/// Messages between two looks at Ctrl-C.
const CHUNK: usize = 1 << 16;
/// Nanoseconds between two looks at Ctrl-C.
const SLICE_NS: f64 = 1e8;
const FINISHED: &str = "finish() was called already; what the run produced was handed over then";

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        PyValueError::new_err(error.to_string())
    }
}

type Problem = (&'static str, usize, u64, usize, u8);

fn problem(problem: frames::Problem) -> Problem {
    (problem.code, problem.at, problem.index, problem.size, problem.letter)
}

/// An error of hftlab's own kind.
fn hftlab_error(py: Python<'_>, text: &str) -> PyErr {
    let class = py.import("hftlab.errors").and_then(|errors| errors.getattr("HftlabError"));
    class.and_then(|class| class.call1((text,))).map_or_else(|error| error, PyErr::from_value)
}

/// The bytes of a buffer, for as long as the buffer is held: borrowed if it is read-only, else copied, since the engine reads
/// them without the GIL and whoever holds the original may write to it meanwhile.
fn bytes<'a>(py: Python<'_>, buffer: &'a PyBuffer<u8>) -> PyResult<Cow<'a, [u8]>> {
    if !buffer.is_c_contiguous() {
        return Err(PyValueError::new_err("the buffer is not contiguous"));
    }
    if !buffer.readonly() {
        return buffer.to_vec(py).map(Cow::Owned);
    }
    if buffer.len_bytes() == 0 {
        return Ok(Cow::Borrowed(&[]));
    }
    // SAFETY: the buffer is contiguous, not empty, held by the caller, and read-only.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.buf_ptr() as *const u8, buffer.len_bytes()) };
    Ok(Cow::Borrowed(bytes))
}

/// The dtype of the event record, from the same tokens as the struct.
fn event_dtype(py: Python<'_>) -> PyResult<&Bound<'_, PyArrayDescr>> {
    static DTYPE: PyOnceLock<Py<PyArrayDescr>> = PyOnceLock::new();
    let made = DTYPE.get_or_try_init(py, || {
        let fields: Vec<(&str, &str)> = FIELDS.iter().map(|&(name, format, _)| (name, format)).collect();
        PyArrayDescr::new(py, fields).map(Bound::unbind)
    });
    Ok(made?.bind(py))
}

fn event_array<'py>(py: Python<'py>, records: Vec<u8>) -> PyResult<Bound<'py, PyAny>> {
    records.into_pyarray(py).call_method1("view", (event_dtype(py)?,))
}

fn column<'py, T: numpy::Element>(py: Python<'py>, values: Vec<T>) -> Bound<'py, PyArray1<T>> {
    values.into_pyarray(py)
}

#[pymodule(name = "hftlab_rust", gil_used = true)]
mod hftlab_rust {
    use super::*;

    #[pymodule_export]
    use super::clocks::{clock_info, clock_stamps, jitter};
    #[pymodule_export]
    use super::feeds::{Orders, select};
    #[pymodule_export]
    use super::fills::FillSimulator;
    #[pymodule_export]
    use super::tick_to_trade::wire_run;
    #[pymodule_export]
    use super::transports::{
        Endpoint, transport_echo, transport_open, transport_pair, transport_ping, transport_pingpong,
        transport_probe, transports,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
        module.add("BUILD", crate::build_info::build())?;
        let (rustc, profile) = crate::build_info::COMPILER;
        module.add("RUSTC", rustc)?;
        module.add("PROFILE", profile)?;
        module.add("HYPERVISOR", crate::build_info::hypervisor())?;
        module.add("clock", Clock::get().name)
    }

    /// The event record this extension was built with: (field, NumPy format, offset).
    #[pyfunction]
    fn event_layout() -> Vec<(&'static str, &'static str, usize)> {
        FIELDS.to_vec()
    }

    /// Variant names by axis, naive to best.
    #[pyfunction]
    fn variants(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let out = PyDict::new(py);
        for (axis, names) in VARIANTS {
            out.set_item(axis, pyo3::types::PyTuple::new(py, names.iter())?)?;
        }
        Ok(out)
    }

    /// `n` back-to-back readings of the clock, in ns.
    #[pyfunction]
    fn clock_cost(py: Python<'_>, n: usize) -> Bound<'_, PyArray1<f64>> {
        column(py, Clock::get().cost_ns(n))
    }

    /// Nothing: what a call across the border costs.
    #[pyfunction]
    fn noop() {}

    /// Allocations this thread has asked of this extension's heap so far, and their bytes.
    #[pyfunction]
    fn allocations() -> (u64, u64) {
        crate::py::allocations::asked() // the attribute makes a module of the same name here
    }

    /// Open a run with `hftlab.settings.Settings`.
    #[pyfunction]
    fn session(settings: &Bound<'_, PyAny>) -> PyResult<Session> {
        let settings: settings::Settings = settings.extract()?;
        Ok(Session { runner: settings.open()?, finished: false })
    }

    /// Events of every whole framed message in `data`, the bytes used, and the problem that stopped it.
    #[pyfunction]
    fn decode<'py>(
        py: Python<'py>,
        data: PyBuffer<u8>,
    ) -> PyResult<(Bound<'py, PyAny>, usize, Option<Problem>)> {
        let data = bytes(py, &data)?;
        let (records, used, stopped) = py.detach(|| {
            let mut records = Vec::with_capacity(frames::count(&data) * EVENT_BYTES);
            let (mut batch, mut at) = (Batch::default(), 0);
            loop {
                let (end, bad) = batch.fill(&data, at, usize::MAX);
                batch.events().iter().for_each(|event| event.write_to(&mut records));
                at = end;
                if let Some(Next::Bad(code, size, letter)) = bad {
                    let index = (records.len() / EVENT_BYTES) as u64;
                    return (records, at, Some((code, at, index, size, letter)));
                }
                if batch.events().is_empty() {
                    return (records, at, None);
                }
            }
        });
        Ok((event_array(py, records)?, used, stopped))
    }

    /// Seeded synthetic ITCH bytes; see `hftlab.feeds.generate.synthetic`, which owns the regimes.
    #[pyclass]
    struct Generator {
        generator: crate::synthetic::Generator,
    }

    #[pymethods]
    impl Generator {
        #[new]
        fn new(seed: u64, messages: u64, symbols: u32, parameters: Vec<u64>) -> PyResult<Self> {
            let generator = crate::synthetic::Generator::new(seed, messages, symbols, &parameters);
            Ok(Generator { generator: generator.map_err(PyValueError::new_err)? })
        }

        /// The next whole messages, about `max_bytes` of them; b"" at the end.
        fn block<'py>(&mut self, py: Python<'py>, max_bytes: usize) -> Bound<'py, PyBytes> {
            let mut out = Vec::new();
            py.detach(|| self.generator.block(&mut out, max_bytes));
            PyBytes::new(py, &out)
        }
    }

    /// One run: state that lives from the first message to the last.
    #[pyclass]
    struct Session {
        runner: Box<dyn Runner>,
        finished: bool,
    }

    impl Session {
        fn chunks(
            &mut self,
            py: Python<'_>,
            mut chunk: impl FnMut(&mut dyn Runner) -> bool + Send,
        ) -> PyResult<()> {
            let runner = &mut *self.runner;
            while py.detach(|| chunk(runner)) {
                py.check_signals()?;
            }
            Ok(())
        }
    }

    // `&mut dyn Runner` crosses `detach` because Runner is Send.
    #[pymethods]
    impl Session {
        #[getter]
        fn messages(&mut self) -> u64 {
            self.runner.tally().messages
        }

        #[getter]
        fn elapsed_ns(&mut self) -> u64 {
            self.runner.tally().elapsed_ns
        }

        fn push(&mut self, py: Python<'_>, data: PyBuffer<u8>) -> PyResult<(usize, Option<Problem>)> {
            let data = bytes(py, &data)?;
            // Counting brings the pages of a mapped file in, too: the loop's time is not that of reading a file.
            py.detach(|| self.runner.reserve(frames::count(&data)));
            let (mut used, mut stopped) = (0, None);
            self.chunks(py, |runner| {
                let (n, problem) = runner.run_bytes(&data[used..], CHUNK);
                stopped = problem.map(|problem| frames::Problem { at: used + problem.at, ..problem });
                used += n;
                n > 0 && stopped.is_none()
            })?;
            Ok((used, stopped.map(problem)))
        }

        /// Push call i, `data[ends[i-1]:ends[i]]`, when `due_ns[i]` have passed since now, or as soon after as the engine is free; when
        /// each began and was done goes to `began` and `done`, ns. All four are (n,) int64.
        fn paced(
            &mut self,
            py: Python<'_>,
            data: PyBuffer<u8>,
            ends: PyReadonlyArray1<'_, i64>,
            due_ns: PyReadonlyArray1<'_, i64>,
            mut began: PyReadwriteArray1<'_, i64>,
            mut done: PyReadwriteArray1<'_, i64>,
        ) -> PyResult<Option<Problem>> {
            let data = bytes(py, &data)?;
            let schedule = Schedule { data: &data, ends: ends.as_slice()?, due_ns: due_ns.as_slice()? };
            let (began, done) = (began.as_slice_mut()?, done.as_slice_mut()?);
            if !schedule.is_sound() || began.len() != schedule.ends.len() || done.len() != began.len() {
                return Err(PyValueError::new_err(
                    "ends and due_ns must not descend, all be of one length, and end within data",
                ));
            }
            py.detach(|| self.runner.reserve(frames::count(schedule.data)));
            let (mut pace, mut stopped) = (Pace::new(schedule, Clock::get()), None);
            self.chunks(py, |runner| {
                let (more, problem) = pace.run(runner, SLICE_NS, began, done);
                stopped = problem.map(super::problem);
                more
            })?;
            Ok(stopped)
        }

        fn push_events(&mut self, py: Python<'_>, events: &Bound<'_, PyAny>) -> PyResult<Option<Problem>> {
            if !events.getattr("dtype")?.eq(event_dtype(py)?)? {
                return Err(PyValueError::new_err("events must have dtype EVENT_DTYPE"));
            }
            let buffer: PyBuffer<u8> = events.call_method1("view", ("u1",))?.extract()?;
            let data = bytes(py, &buffer)?;
            py.detach(|| self.runner.reserve(data.len() / EVENT_BYTES));
            let (mut rest, mut stopped) = (data.chunks(CHUNK * EVENT_BYTES), None);
            self.chunks(py, |runner| {
                let Some(records) = rest.next() else { return false };
                stopped = runner.run_events(records);
                stopped.is_none()
            })?;
            Ok(stopped.map(problem))
        }

        /// Like `push`; before that, the orders that left on these messages.
        fn react<'py>(
            &mut self,
            py: Python<'py>,
            data: Cow<'_, [u8]>, // quicker than a buffer: what came in one packet is bytes already
        ) -> (Vec<live::Accepted<'py>>, usize, Option<Problem>) {
            live::react(py, &mut *self.runner, &data)
        }

        fn report(&mut self, user_ref: u32, filled: u32, canceled: u32, closed: bool) -> bool {
            self.runner.order_mut().report(user_ref, filled, canceled, closed)
        }

        fn stale(&mut self, instrument: Option<u16>, stale: bool) {
            self.runner.order_mut().stale(instrument, stale);
        }

        fn kill(&mut self, on: bool) {
            self.runner.order_mut().kill(on);
        }

        #[pyo3(name = "move")]
        fn move_by(&mut self, instrument: u16, shares: i64) {
            self.runner.order_mut().move_by(instrument, shares);
        }

        fn adopt(&mut self, user_ref: u32, instrument: u16, side: u8, left: u32) {
            self.runner.order_mut().adopt(user_ref, Open { instrument, side, left });
        }

        fn renumber(&mut self, first: u32) -> u64 {
            self.runner.order_mut().renumber(first)
        }

        fn instruments(&self) -> Vec<(u16, i64, u64, u64, u32)> {
            live::instruments(self.runner.order())
        }

        fn working(&self) -> Vec<(u32, u16, u8, u32)> {
            live::working(self.runner.order())
        }

        #[allow(clippy::too_many_arguments)]
        fn apply(
            &mut self,
            ts_ns: u64,
            order_id: u64,
            new_order_id: u64,
            price: i64,
            qty: u32,
            instrument: u16,
            kind: u8,
            side: u8,
        ) -> i32 {
            self.runner.apply(&Event { ts_ns, order_id, new_order_id, price, qty, instrument, kind, side })
        }

        fn message(&mut self, message: &[u8]) -> PyResult<i32> {
            let letter = message.first().copied().unwrap_or(0);
            if let Some(code) = frames::frame_problem(message.len(), letter) {
                let text =
                    format!("message of type {:?} has {} bytes: {code}", letter as char, message.len());
                return Err(PyValueError::new_err(text));
            }
            Ok(self.runner.message(message))
        }

        fn counters<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
            result::counters(py, &mut *self.runner)
        }

        /// The rows recorded since the last call, by column; they are not in what `finish` gives.
        fn take_rows<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
            result::columns(py, self.runner.tally())
        }

        fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
            if std::mem::replace(&mut self.finished, true) {
                return Err(hftlab_error(py, FINISHED));
            }
            result::finish(py, &mut *self.runner)
        }

        fn best(&self, instrument: u16) -> (i64, u64, i64, u64) {
            let top = self.runner.best(instrument);
            (top.price[0], top.qty[0], top.price[1], top.qty[1])
        }

        fn depth(&self, instrument: u16) -> Vec<(u8, i64, u64, u32)> {
            self.runner.depth(instrument)
        }

        fn queue(&self, instrument: u16, side: u8, price: i64) -> Vec<(u64, u32)> {
            self.runner.queue(instrument, side, price)
        }

        fn locate(&mut self, order_id: u64) -> Option<(u16, u8, i64, u32)> {
            self.runner.locate(order_id)
        }

        fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
            let out = PyDict::new(py);
            for (instrument, name) in self.runner.names() {
                out.set_item(instrument, PyBytes::new(py, &name))?;
            }
            Ok(out)
        }
    }
}
