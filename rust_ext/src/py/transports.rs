//! The transports, for Python.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyEOFError, PyOSError};

use super::*;
use crate::net::Placement;
use crate::net::round_trip::{self, Plan, Samples};
use crate::net::transport::{self, Address, End, Failure, KINDS, Options, Transport};

/// Priority under SCHED_FIFO; that of hftlab.measurement.affinity.
const PRIORITY: i32 = 50;

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        match failure.errno() {
            0 => PyValueError::new_err(failure.to_string()),
            errno => PyOSError::new_err((errno, failure.to_string())),
        }
    }
}

pub(super) fn seconds(given: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(given).map_err(|_| PyValueError::new_err(format!("{given} s is no time")))
}

fn options(size: usize, slots: usize, patience: f64) -> PyResult<Options> {
    Ok(Options { size, slots, patience: seconds(patience)? })
}

pub(super) fn address(text: Option<&str>) -> PyResult<Option<Address>> {
    Ok(text.map(Address::parse).transpose()?)
}

fn end(name: &str) -> PyResult<End> {
    match name {
        "first" => Ok(End::First),
        "second" => Ok(End::Second),
        _ => Err(PyValueError::new_err(format!("end '{name}'; allowed is first or second"))),
    }
}

/// Every transport: name, what it is, what it needs, whether it sleeps while it waits.
#[pyfunction]
pub fn transports() -> Vec<(&'static str, &'static str, &'static str, bool)> {
    KINDS.iter().map(|kind| (kind.name, kind.what, kind.needs, kind.sleeps)).collect()
}

/// Try a transport: whether it carried a message; if not the number of the error, and the step that failed.
#[pyfunction]
pub fn transport_probe(py: Python<'_>, name: &str) -> (bool, i32, String) {
    match py.detach(|| transport::probe(name)) {
        Ok(()) => (true, 0, String::new()),
        Err(failure) => (false, failure.errno(), failure.to_string()),
    }
}

/// One end of a connection; see the trait `Transport` in net/transport.rs, which says what each method does. That the other end is
/// gone is reported by EOFError or by the ConnectionError of the system.
#[pyclass(frozen)]
pub struct Endpoint {
    transport: Mutex<Option<Box<dyn Transport>>>,
}

impl Endpoint {
    fn new(transport: Box<dyn Transport>) -> Endpoint {
        Endpoint { transport: Mutex::new(Some(transport)) }
    }

    /// Use the transport without the GIL. Raises ValueError once it is closed.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut dyn Transport) -> T + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut held = self.transport.lock().unwrap_or_else(PoisonError::into_inner);
            held.as_mut().map(|end| work(end.as_mut()))
        });
        done.ok_or_else(|| PyValueError::new_err("the endpoint is closed"))
    }
}

#[pymethods]
impl Endpoint {
    /// Send one message. Raises BlockingIOError if there is no room, ValueError above `limit`.
    fn send(&self, py: Python<'_>, message: &[u8]) -> PyResult<()> {
        self.with(py, |end| end.send(message))?.map_err(error)
    }

    /// The next message, if it is there; otherwise None.
    fn try_recv<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = self.with(py, |end| Ok(end.try_recv()?.map(<[u8]>::to_vec)))?.map_err(error)?;
        Ok(found.map(|message| PyBytes::new(py, &message)))
    }

    /// The next message, waited for at most about `limit` seconds; otherwise None.
    fn wait<'py>(&self, py: Python<'py>, limit: f64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let limit = seconds(limit)?;
        let found = self.with(py, |end| Ok(end.wait(limit)?.map(<[u8]>::to_vec)))?.map_err(error)?;
        Ok(found.map(|message| PyBytes::new(py, &message)))
    }

    /// Bytes of the longest message.
    #[getter]
    fn limit(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |end| end.limit())
    }

    /// Messages for this end that the system says it has thrown away.
    #[getter]
    fn lost(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |end| end.lost())
    }

    /// Let go of everything.
    fn close(&self, py: Python<'_>) {
        let held = || self.transport.lock().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(held()));
    }
}

fn error(error: io::Error) -> PyErr {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => PyValueError::new_err(error.to_string()),
        io::ErrorKind::UnexpectedEof => PyEOFError::new_err("the other end is gone"),
        _ => error.into(), // the subclass of OSError that belongs to its kind
    }
}

/// Both ends of a transport in this process: the only way to hold both ends of "memory".
#[pyfunction]
#[pyo3(signature = (name, address=None, *, size=1472, slots=64, patience=5.0))]
pub fn transport_pair(
    py: Python<'_>,
    name: &str,
    address: Option<&str>,
    size: usize,
    slots: usize,
    patience: f64,
) -> PyResult<(Endpoint, Endpoint)> {
    let (options, address) = (options(size, slots, patience)?, self::address(address)?);
    let (first, second) = py.detach(|| transport::pair(name, address.as_ref(), &options))?;
    Ok((Endpoint::new(first), Endpoint::new(second)))
}

/// One end, "first" or "second", by the address that both have in common.
#[pyfunction]
#[pyo3(signature = (name, address, end, *, size=1472, slots=64, patience=5.0))]
pub fn transport_open(
    py: Python<'_>,
    name: &str,
    address: &str,
    end: &str,
    size: usize,
    slots: usize,
    patience: f64,
) -> PyResult<Endpoint> {
    let (options, address, end) =
        (options(size, slots, patience)?, Address::parse(address)?, self::end(end)?);
    Ok(Endpoint::new(py.detach(|| transport::open(name, &address, end, &options))?))
}

pub(super) fn placement(core: Option<usize>, fifo: bool) -> Placement {
    Placement { core, fifo: fifo.then_some(PRIORITY) }
}

fn samples_dict<'py>(py: Python<'py>, samples: Samples) -> PyResult<Bound<'py, PyDict>> {
    let ns_per_tick = Clock::get().ns_per_tick;
    let ns = |ticks: Vec<u64>| column(py, ticks.into_iter().map(|tick| tick as f64 * ns_per_tick).collect());
    let out = PyDict::new(py);
    out.set_item("round_trip_ns", ns(samples.round_trip))?;
    out.set_item("there_ns", ns(samples.there))?;
    out.set_item("refused", samples.refused)?;
    Ok(out)
}

/// Messages there and back between two threads: `round_trip_ns`, `there_ns`, `refused`.
#[pyfunction]
#[pyo3(signature = (name, address=None, *, size, rounds, warm, limit, cores=(None, None), fifo=false))]
#[allow(clippy::too_many_arguments)]
pub fn transport_pingpong<'py>(
    py: Python<'py>,
    name: &str,
    address: Option<&str>,
    size: usize,
    rounds: usize,
    warm: usize,
    limit: f64,
    cores: (Option<usize>, Option<usize>),
    fifo: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let plan = Plan { size, rounds, warm, limit: seconds(limit)?, rests: fifo };
    let (options, address) = (Options { size, ..Options::default() }, self::address(address)?);
    let placements = [placement(cores.0, fifo), placement(cores.1, fifo)];
    let samples = py.detach(|| {
        let pair = transport::pair(name, address.as_ref(), &options)?;
        round_trip::round_trips(pair, &plan, placements)
    })?;
    samples_dict(py, samples)
}

/// The first end of that alone, on this thread's core: the other is `transport_echo` in another process.
#[pyfunction]
#[pyo3(signature = (endpoint, *, size, rounds, warm, limit, core=None, fifo=false))]
#[allow(clippy::too_many_arguments)]
pub fn transport_ping<'py>(
    py: Python<'py>,
    endpoint: &Endpoint,
    size: usize,
    rounds: usize,
    warm: usize,
    limit: f64,
    core: Option<usize>,
    fifo: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let plan = Plan { size, rounds, warm, limit: seconds(limit)?, rests: fifo };
    let work = |end: &mut dyn Transport| aside(placement(core, fifo), || round_trip::ping(end, &plan));
    let (refused, samples) = endpoint.with(py, work)?;
    samples_dict(py, Samples { refused, ..samples.map_err(error)? })
}

/// Send back what comes, until the other end says so or nothing has come for `idle` seconds.
#[pyfunction]
#[pyo3(signature = (endpoint, *, idle=2.0, core=None, fifo=false))]
pub fn transport_echo(
    py: Python<'_>,
    endpoint: &Endpoint,
    idle: f64,
    core: Option<usize>,
    fifo: bool,
) -> PyResult<()> {
    let (idle, stop) = (seconds(idle)?, AtomicBool::new(false));
    let work = |end: &mut dyn Transport| aside(placement(core, fifo), || round_trip::echo(end, idle, &stop));
    endpoint.with(py, work)?.1.map_err(error)
}

/// On a thread of its own, since a placement is taken for good.
fn aside<T: Send>(placement: Placement, work: impl FnOnce() -> T + Send) -> (Vec<String>, T) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| (placement.take(), work()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
