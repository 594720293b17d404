//! Feeds, before an engine sees them.

use numpy::{PyReadonlyArray1, PyReadwriteArray1};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Problem, bytes, problem};
use crate::event::EVENT_BYTES;
use crate::feeds;

/// The messages of `data` that are of one of these stock locates, or of none; the bytes used, and the problem that stopped it.
#[pyfunction]
pub fn select<'py>(
    py: Python<'py>,
    data: PyBuffer<u8>,
    locates: Vec<u16>,
) -> PyResult<(Bound<'py, PyBytes>, usize, Option<Problem>)> {
    let data = bytes(py, &data)?;
    let mut wanted = Box::new([false; 1 << 16]);
    locates.into_iter().for_each(|locate| wanted[locate as usize] = true);
    let (out, used, stopped) = py.detach(|| feeds::select(&data, &wanted));
    Ok((PyBytes::new(py, &out), used, stopped.map(problem)))
}

/// What is left of each live order; see `hftlab.feeds.records.Orders`.
#[pyclass]
#[derive(Default)]
pub struct Orders {
    orders: feeds::Orders,
}

#[pymethods]
impl Orders {
    #[new]
    fn new() -> Self {
        Orders::default()
    }

    /// Resolve the modifies among records, in place. records: (40 n,) u8; modifies: (n,) u8.
    fn resolve(
        &mut self,
        py: Python<'_>,
        mut records: PyReadwriteArray1<'_, u8>,
        modifies: PyReadonlyArray1<'_, u8>,
    ) -> PyResult<()> {
        let (records, modifies) = (records.as_slice_mut()?, modifies.as_slice()?);
        if records.len() != modifies.len() * EVENT_BYTES {
            return Err(PyValueError::new_err("there must be one modify for each record"));
        }
        py.detach(|| self.orders.resolve(records, modifies));
        Ok(())
    }
}
