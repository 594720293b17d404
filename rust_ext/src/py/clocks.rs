//! The clocks and the noise floor, for Python.

use super::*;

use crate::clock::Calibration;
use crate::clock::jitter::Gaps;

/// Nanoseconds between two looks at Ctrl-C.
const SLICE_NS: f64 = 1e8;

fn clock(name: &str) -> PyResult<Clock> {
    let known = Clock::all();
    known.iter().find(|clock| clock.name == name).copied().ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|clock| clock.name).collect();
        PyValueError::new_err(format!("unknown clock '{name}'; known: {}", names.join(", ")))
    })
}

/// Every clock, the best first: name, source, ns_per_tick; and of a counter what its calibration is worth (takes 20 ms).
#[pyfunction]
pub fn clock_info<'py>(py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let describe = |clock: &Clock| {
        let out = PyDict::new(py);
        out.set_item("name", clock.name)?;
        out.set_item("source", clock.source())?;
        out.set_item("ns_per_tick", clock.ns_per_tick)?;
        let calibration = Calibration::get().filter(|_| clock.name != Clock::fallback().name);
        if let Some(calibration) = calibration {
            let check = py.detach(|| calibration.check());
            out.set_item("against", Clock::fallback().source())?;
            out.set_item("span_ns", calibration.span_ns)?;
            out.set_item("bound_ppm", calibration.bound_ppm)?;
            out.set_item("again_ppm", check.again_ppm)?;
            out.set_item("drift_ppm", check.drift_ppm)?;
            out.set_item("drift_ns", check.drift_ns)?;
        }
        Ok(out)
    };
    Clock::all().iter().map(describe).collect()
}

/// `n` back-to-back readings of the clock of that name, in ticks.
#[pyfunction]
pub fn clock_stamps<'py>(py: Python<'py>, name: &str, n: usize) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let clock = clock(name)?;
    Ok(column(py, py.detach(|| clock.stamps(n))))
}

/// Spin on the clock for `seconds`; the gaps between readings as a histogram, gaps of at least `lost_ns` and `long_ns` apart.
#[pyfunction]
pub fn jitter<'py>(
    py: Python<'py>,
    seconds: f64,
    lost_ns: f64,
    long_ns: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let mut gaps = Gaps::new(Clock::get(), lost_ns, long_ns);
    let mut left = seconds * 1e9;
    while left > 0.0 {
        py.detach(|| gaps.watch(left.min(SLICE_NS)));
        py.check_signals()?;
        left -= SLICE_NS;
    }
    let found = gaps.report();
    let out = PyDict::new(py);
    out.set_item("ns", column(py, found.ns))?;
    out.set_item("counts", column(py, found.counts))?;
    out.set_item("watched_ns", found.watched_ns)?;
    out.set_item("lost_ns", found.lost_ns)?;
    out.set_item("long", found.long)?;
    out.set_item("max_ns", found.max_ns)?;
    Ok(out)
}
