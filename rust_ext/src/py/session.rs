//! One run as Python sees it. Long work lets go of the GIL and looks at Ctrl-C now and then; short work keeps it, since letting go costs
//! more than a few messages do.

use std::borrow::Cow;

use numpy::{
    PyArrayDescr, PyArrayDescrMethods, PyReadonlyArray1, PyReadwriteArray1, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyMemoryError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::exclusive::Exclusive;
use super::{Problem, bytes, event_dtype, guarded, live, problem, result, settings, short};
use crate::clock::Clock;
use crate::event::{EVENT_BYTES, Event};
use crate::frames;
use crate::order::Open;
use crate::pace::{Pace, Schedule};
use crate::run::{CHUNK, Runner};

/// Bytes between two looks at Ctrl-C, and for which room is made at once: what the system takes to hand out memory is not the loop's time.
/// More than the longest message.
const PIECE: usize = 1 << 18;
/// Nanoseconds between two looks at Ctrl-C.
const SLICE_NS: f64 = 1e8;
const FINISHED: &str = "finish() was called already; what the run produced was handed over then";
const LOST: &str = "the run ended when there was no more memory";

/// An error of hftlab's own kind.
fn hftlab_error(py: Python<'_>, text: &str) -> PyErr {
    let class = py.import("hftlab.errors").and_then(|errors| errors.getattr("HftlabError"));
    class.and_then(|class| class.call1((text,))).map_or_else(|error| error, PyErr::from_value)
}

/// The records of a short array of events, borrowed: the holder of the GIL is alone with them. `known` is the dtype that was found to be
/// that of events the last time, since comparing fields takes longer than running a few of them.
fn short_records<'a>(
    events: &'a Bound<'_, PyAny>,
    known: &mut Option<Py<PyArrayDescr>>,
) -> PyResult<Option<&'a [u8]>> {
    let Ok(array) = events.cast::<PyUntypedArray>() else { return Ok(None) };
    let bytes = array.len() * EVENT_BYTES;
    let plain = array.ndim() == 1 && array.is_c_contiguous() && (1..live::LONG).contains(&bytes);
    let dtype = array.dtype();
    let same = known.as_ref().is_some_and(|known| known.is(&dtype));
    if !plain || !(same || dtype.is_equiv_to(event_dtype(events.py())?)) {
        return Ok(None);
    }
    if !same {
        *known = Some(dtype.unbind());
    }
    // SAFETY: the array is contiguous, of `bytes` bytes, and alive; nobody writes to it while the GIL is held.
    Ok(Some(unsafe { std::slice::from_raw_parts((*array.as_array_ptr()).fields.data.cast(), bytes) }))
}

/// One run: state that lives from the first message to the last.
#[pyclass(frozen)]
pub struct Session(Exclusive<Work>);

/// What a session holds.
struct Work {
    runner: Box<dyn Runner>,
    finished: bool,
    /// Memory ran out in the middle of a message: nothing that the run holds is to be relied on.
    lost: bool,
    /// See `short_records`.
    dtype: Option<Py<PyArrayDescr>>,
    /// The message for which a run on several threads goes on one: it brought a reference that came before.
    again: Option<u64>,
}

impl Session {
    /// A run with `hftlab.settings.Settings`.
    pub fn open(settings: &Bound<'_, PyAny>) -> PyResult<Self> {
        let settings: settings::Settings = settings.extract()?;
        let runner = guarded(|| settings.open())??;
        Ok(Session(Exclusive::new(Work { runner, finished: false, lost: false, dtype: None, again: None })))
    }

    pub fn message(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<i32> {
        let (mut work, message) = (self.0.hold(py)?, short::bytes(message)?);
        let letter = message.first().copied().unwrap_or(0);
        if let Some(code) = frames::frame_problem(message.len(), letter) {
            let text = format!("message of type {:?} has {} bytes: {code}", letter as char, message.len());
            return Err(PyValueError::new_err(text));
        }
        work.run(|runner| runner.message(message))
    }

    pub fn push(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<(usize, Option<Problem>)> {
        let mut work = self.0.hold(py)?;
        if let Ok(short) = data.cast::<PyBytes>()
            && short.as_bytes().len() < live::LONG
        {
            let (used, stopped) = work.run(|runner| runner.run_bytes(short.as_bytes(), usize::MAX))?;
            return Ok((used, stopped.map(problem)));
        }
        let buffer: PyBuffer<u8> = data.extract()?;
        let data = bytes(py, &buffer)?;
        work.begin(py, &data, false)?;
        let (mut used, mut stopped) = (0, None);
        work.chunks(py, |runner| {
            let piece = &data[used..data.len().min(used + PIECE.max(runner.at_once()))];
            runner.reserve_for(piece);
            let (n, problem) = runner.run_bytes(piece, usize::MAX);
            stopped = problem.map(|problem| frames::Problem { at: used + problem.at, ..problem });
            used += n;
            n > 0 && stopped.is_none()
        })?;
        Ok((used, stopped.map(problem)))
    }

    pub fn push_events(&self, py: Python<'_>, events: &Bound<'_, PyAny>) -> PyResult<Option<Problem>> {
        let mut work = self.0.hold(py)?;
        if let Some(records) = short_records(events, &mut work.dtype)? {
            let stopped = work.run(|runner| {
                runner.reserve(records.len() / EVENT_BYTES);
                runner.run_events(records)
            })?;
            return Ok(stopped.map(problem));
        }
        if !events.getattr("dtype")?.eq(event_dtype(py)?)? {
            return Err(PyValueError::new_err("events must have dtype EVENT_DTYPE"));
        }
        let buffer: PyBuffer<u8> = events.call_method1("view", ("u1",))?.extract()?;
        let data = bytes(py, &buffer)?;
        work.begin(py, &data, true)?;
        work.run(|runner| py.detach(|| runner.reserve(data.len() / EVENT_BYTES)))?;
        let records = CHUNK.max(work.runner.at_once() / EVENT_BYTES);
        let (mut rest, mut stopped) = (data.chunks(records * EVENT_BYTES), None);
        work.chunks(py, |runner| {
            let Some(records) = rest.next() else { return false };
            stopped = runner.run_events(records);
            stopped.is_none()
        })?;
        Ok(stopped.map(problem))
    }
}

impl Work {
    /// Let the engine work.
    fn run<T>(&mut self, work: impl FnOnce(&mut dyn Runner) -> T) -> PyResult<T> {
        if self.lost {
            return Err(PyMemoryError::new_err(LOST));
        }
        let done = guarded(|| work(&mut *self.runner));
        self.lost = done.is_err();
        done
    }

    /// Before messages are run: let the engine look at them.
    fn begin(&mut self, py: Python<'_>, data: &[u8], records: bool) -> PyResult<()> {
        if let Some((engine, message)) = self.run(|runner| py.detach(|| runner.begin(data, records)))?? {
            (self.runner, self.again) = (engine, Some(message));
        }
        Ok(())
    }

    fn chunks(
        &mut self,
        py: Python<'_>,
        mut chunk: impl FnMut(&mut dyn Runner) -> bool + Send,
    ) -> PyResult<()> {
        while self.run(|runner| py.detach(|| chunk(runner)))? {
            py.check_signals()?;
        }
        Ok(())
    }
}

// `&mut dyn Runner` crosses `detach` because Runner is Send.
#[pymethods]
impl Session {
    #[getter]
    fn messages(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.0.hold(py)?.runner.tally().messages)
    }

    #[getter]
    fn elapsed_ns(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.0.hold(py)?.runner.tally().elapsed_ns)
    }

    /// Push call i, `data[ends[i-1]:ends[i]]`, when `due_ns[i]` have passed since now, or as soon after as the engine is free; when
    /// each began and was done goes to `began` and `done`, ns. All four are (n,) int64.
    fn paced(
        &self,
        py: Python<'_>,
        data: PyBuffer<u8>,
        ends: PyReadonlyArray1<'_, i64>,
        due_ns: PyReadonlyArray1<'_, i64>,
        mut began: PyReadwriteArray1<'_, i64>,
        mut done: PyReadwriteArray1<'_, i64>,
    ) -> PyResult<Option<Problem>> {
        let mut work = self.0.hold(py)?;
        let data = bytes(py, &data)?;
        let schedule = Schedule { data: &data, ends: ends.as_slice()?, due_ns: due_ns.as_slice()? };
        let (began, done) = (began.as_slice_mut()?, done.as_slice_mut()?);
        if !schedule.is_sound() || began.len() != schedule.ends.len() || done.len() != began.len() {
            return Err(PyValueError::new_err(
                "ends and due_ns must not descend, all be of one length, and end within data",
            ));
        }
        work.run(|runner| py.detach(|| runner.reserve(frames::count(schedule.data))))?;
        let (mut pace, mut stopped) = (Pace::new(schedule, Clock::get()), None);
        work.chunks(py, |runner| {
            let (more, problem) = pace.run(runner, SLICE_NS, began, done);
            stopped = problem.map(super::problem);
            more
        })?;
        Ok(stopped)
    }

    /// Like `push`; before that, the orders that left on these messages.
    fn react<'py>(
        &self,
        py: Python<'py>,
        data: Cow<'_, [u8]>, // quicker than a buffer: what came in one packet is bytes already
    ) -> PyResult<(Vec<live::Accepted<'py>>, usize, Option<Problem>)> {
        let mut work = self.0.hold(py)?;
        work.run(|runner| live::react(py, runner, &data))
    }

    fn report(
        &self,
        py: Python<'_>,
        user_ref: u32,
        filled: u32,
        canceled: u32,
        closed: bool,
    ) -> PyResult<bool> {
        Ok(self.0.hold(py)?.runner.order_mut().report(user_ref, filled, canceled, closed))
    }

    fn stale(&self, py: Python<'_>, instrument: Option<u16>, stale: bool) -> PyResult<()> {
        self.0.hold(py)?.runner.order_mut().stale(instrument, stale);
        Ok(())
    }

    fn kill(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        self.0.hold(py)?.runner.order_mut().kill(on);
        Ok(())
    }

    #[pyo3(name = "move")]
    fn move_by(&self, py: Python<'_>, instrument: u16, shares: i64) -> PyResult<()> {
        self.0.hold(py)?.runner.order_mut().move_by(instrument, shares);
        Ok(())
    }

    fn adopt(&self, py: Python<'_>, user_ref: u32, instrument: u16, side: u8, left: u32) -> PyResult<()> {
        self.0.hold(py)?.runner.order_mut().adopt(user_ref, Open { instrument, side, left });
        Ok(())
    }

    fn renumber(&self, py: Python<'_>, first: u32) -> PyResult<u64> {
        Ok(self.0.hold(py)?.runner.order_mut().renumber(first))
    }

    fn instruments(&self, py: Python<'_>) -> PyResult<Vec<live::Standing>> {
        Ok(live::instruments(self.0.hold(py)?.runner.order()))
    }

    fn working(&self, py: Python<'_>) -> PyResult<Vec<(u32, u16, u8, u32)>> {
        Ok(live::working(self.0.hold(py)?.runner.order()))
    }

    #[allow(clippy::too_many_arguments)]
    fn apply(
        &self,
        py: Python<'_>,
        ts_ns: u64,
        order_id: u64,
        new_order_id: u64,
        price: i64,
        qty: u32,
        instrument: u16,
        kind: u8,
        side: u8,
    ) -> PyResult<i32> {
        let mut work = self.0.hold(py)?;
        work.run(|runner| {
            runner.apply(&Event { ts_ns, order_id, new_order_id, price, qty, instrument, kind, side })
        })
    }

    /// How the run goes on several threads; None on one. See `hftlab.engine.run.Threads`.
    fn threads<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let mut work = self.0.hold(py)?;
        let report = work.runner.report();
        if report.is_none() && work.again.is_none() {
            return Ok(None);
        }
        let report = report.unwrap_or_default();
        let out = PyDict::new(py);
        out.set_item("messages", report.messages)?;
        out.set_item("cpu_ns", report.cpu_ns)?;
        out.set_item("one_by_one", report.one_by_one)?;
        out.set_item("doubted", report.doubted)?;
        out.set_item("again", work.again)?;
        Ok(Some(out))
    }

    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut work = self.0.hold(py)?;
        result::counters(py, &mut *work.runner)
    }

    /// The rows recorded since the last call, by column; they are not in what `finish` gives.
    fn take_rows<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut work = self.0.hold(py)?;
        result::columns(py, work.runner.tally(), true)
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let mut work = self.0.hold(py)?;
        if std::mem::replace(&mut work.finished, true) {
            return Err(hftlab_error(py, FINISHED));
        }
        result::finish(py, &mut *work.runner)
    }

    fn best(&self, py: Python<'_>, instrument: u16) -> PyResult<(i64, u64, i64, u64)> {
        let top = self.0.hold(py)?.runner.best(instrument);
        Ok((top.price[0], top.qty[0], top.price[1], top.qty[1]))
    }

    fn depth(&self, py: Python<'_>, instrument: u16) -> PyResult<Vec<(u8, i64, u64, u32)>> {
        Ok(self.0.hold(py)?.runner.depth(instrument))
    }

    fn queue(&self, py: Python<'_>, instrument: u16, side: u8, price: i64) -> PyResult<Vec<(u64, u32)>> {
        Ok(self.0.hold(py)?.runner.queue(instrument, side, price))
    }

    fn locate(&self, py: Python<'_>, order_id: u64) -> PyResult<Option<(u16, u8, i64, u32)>> {
        Ok(self.0.hold(py)?.runner.locate(order_id))
    }

    fn names<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let work = self.0.hold(py)?;
        let out = PyDict::new(py);
        for (instrument, name) in work.runner.names() {
            out.set_item(instrument, PyBytes::new(py, &name))?;
        }
        Ok(out)
    }
}
