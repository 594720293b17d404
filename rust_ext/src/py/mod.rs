//! The door to Python, and the only file that names it. Every binding is: borrow bytes, let go of the GIL, run, wrap the result.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use numpy::{IntoPyArray, PyArray1, PyArrayDescr};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict};

mod allocations;
mod clocks;
mod exclusive;
mod feeds;
mod fills;
mod live;
mod result;
mod session;
mod settings;
mod short;
mod tick_to_trade;
mod transports;

use crate::clock::Clock;
use crate::dispatch::VARIANTS;
use crate::error::Error;
use crate::event::{EVENT_BYTES, FIELDS};
use crate::frames::{self, Batch, Next};
use crate::reserved::{OutOfMemory, reserve};

impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        PyValueError::new_err(error.to_string())
    }
}

type Problem = (&'static str, usize, u64, usize, u8);

fn problem(problem: frames::Problem) -> Problem {
    (problem.code, problem.at, problem.index, problem.size, problem.letter)
}

/// What `run` gives; a MemoryError where the system has no more memory, and then what it was about is lost.
fn guarded<T>(run: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|cause| match cause.downcast::<OutOfMemory>() {
        Ok(lack) => {
            PyMemoryError::new_err(format!("the engine asked for {} bytes and did not get them", lack.bytes))
        }
        Err(cause) => resume_unwind(cause),
    })
}

/// The bytes of a buffer, for as long as the buffer is held: borrowed if it is read-only, else copied, since the engine reads
/// them without the GIL and the holder of the original may write to it meanwhile.
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
    use super::feeds::{DbnDecoder, Orders, Select, dbn_run_length};
    #[pymodule_export]
    use super::fills::FillSimulator;
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::tick_to_trade::wire_run;
    #[pymodule_export]
    use super::transports::{
        Endpoint, transport_echo, transport_open, transport_pair, transport_ping, transport_pingpong,
        transport_probe, transports,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::short::add_methods(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("DEBUG_BUILD", cfg!(debug_assertions))?;
        module.add("THREADS", true)?;
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
        Session::open(settings)
    }

    /// Events of every whole framed message in `data`, the bytes used, and the problem that stopped it.
    #[pyfunction]
    fn decode<'py>(
        py: Python<'py>,
        data: PyBuffer<u8>,
    ) -> PyResult<(Bound<'py, PyAny>, usize, Option<Problem>)> {
        let data = bytes(py, &data)?;
        let decoded = guarded(|| {
            py.detach(|| {
                let mut records = Vec::new();
                reserve(&mut records, frames::count(&data) * EVENT_BYTES);
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
            })
        });
        let (records, used, stopped) = decoded?;
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
}
