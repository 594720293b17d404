//! Feeds, before an engine sees them.

use numpy::{PyArray1, PyReadonlyArray1, PyReadwriteArray1};
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Problem, bytes, column, event_array, problem};
use crate::event::EVENT_BYTES;
use crate::feeds::{self, dbn};

/// Messages of some stock locates, and those of none, or of some types; see `hftlab.feeds.itch.selected`.
#[pyclass]
pub struct Select {
    wanted: feeds::Wanted,
    /// Messages so far, wanted or not.
    #[pyo3(get)]
    messages: u64,
}

#[pymethods]
impl Select {
    #[new]
    fn new(locates: Option<Vec<u16>>, types: &[u8]) -> Self {
        Select { wanted: feeds::Wanted::new(locates, types), messages: 0 }
    }

    /// Those in `data`; the bytes used, and the problem that stopped it.
    fn select<'py>(
        &mut self,
        py: Python<'py>,
        data: PyBuffer<u8>,
    ) -> PyResult<(Bound<'py, PyBytes>, usize, Option<Problem>)> {
        let data = bytes(py, &data)?;
        let found = py.detach(|| feeds::select(&data, &self.wanted, self.messages));
        self.messages += found.messages;
        Ok((PyBytes::new(py, &found.out), found.used, found.stopped.map(problem)))
    }
}

/// What is left of each live order; see `hftlab.feeds.records.Orders`.
#[pyclass]
#[derive(Default)]
pub struct Orders {
    orders: feeds::orders::Orders,
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

    /// The price of each of some records, (40 n,) u8; of an execution that names none, that of the order it takes.
    fn prices<'py>(
        &mut self,
        py: Python<'py>,
        records: PyReadonlyArray1<'_, u8>,
    ) -> PyResult<Bound<'py, PyArray1<i64>>> {
        let records = records.as_slice()?;
        let prices = py.detach(|| self.orders.prices(records));
        Ok(column(py, prices))
    }
}

/// Events, when the capture received each, and whether it is the last of an exchange event.
type Decoded<'py> = (Bound<'py, PyAny>, Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<bool>>);

/// How many whole records of `size` bytes at the start of `data` have the length and the type of the first.
#[pyfunction]
pub fn dbn_run_length(py: Python<'_>, data: PyBuffer<u8>, size: usize) -> PyResult<usize> {
    Ok(dbn::run_length(&bytes(py, &data)?, size))
}

/// Records of DBN as events; see `hftlab.feeds.dbn`.
#[pyclass]
#[derive(Default)]
pub struct DbnDecoder {
    decoder: dbn::Decoder,
}

#[pymethods]
impl DbnDecoder {
    #[new]
    fn new() -> Self {
        DbnDecoder::default()
    }

    /// Give instruments of the venue our numbers: (theirs, ours), ...
    fn number(&mut self, numbers: Vec<(u32, u16)>) {
        numbers.into_iter().for_each(|(instrument, number)| self.decoder.number(instrument, number));
    }

    /// The instruments among records of `size` bytes each that have no number yet.
    fn unnumbered(&self, py: Python<'_>, data: PyBuffer<u8>, size: usize) -> PyResult<Vec<u32>> {
        Ok(self.decoder.unnumbered(&bytes(py, &data)?, size))
    }

    /// Events (n,) EVENT_DTYPE of records of `size` bytes each, (n,) u64 and (n,) bool.
    fn decode<'py>(&mut self, py: Python<'py>, data: PyBuffer<u8>, size: usize) -> PyResult<Decoded<'py>> {
        let data = bytes(py, &data)?;
        let decoded = py.detach(|| self.decoder.decode(&data, size));
        let events = event_array(py, decoded.events)?;
        Ok((events, column(py, decoded.recv_ns), column(py, decoded.event_end)))
    }
}
