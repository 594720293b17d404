//! Parquet files of whole numbers; what stands in them `hftlab.batch.parquet` says.

use numpy::{Element, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::parquet::{Kind, Writer};

/// Writes one file of (n,) columns: the bytes that its methods give are to be written one after the other.
#[pyclass]
pub struct ParquetWriter {
    kinds: Vec<Kind>,
    writer: Option<Writer>,
}

/// Add a page of (n,) values, whose bits `widen` makes those of an i64. Lets go of the GIL.
fn page<T: Element + Copy + Sync>(
    writer: &mut Writer,
    column: usize,
    values: &Bound<'_, PyAny>,
    widen: impl Fn(T) -> i64 + Sync,
) -> PyResult<()> {
    let values: PyReadonlyArray1<'_, T> = values.extract()?;
    let slice = values.as_slice()?;
    values.py().detach(|| {
        let widened: Vec<i64> = slice.iter().map(|&value| widen(value)).collect();
        writer.page(column, &widened);
    });
    Ok(())
}

#[pymethods]
impl ParquetWriter {
    /// columns : (name, one of u1 u2 u4 u8 i8, the last two with 64 bits), ...
    #[new]
    fn new(columns: Vec<(String, String)>) -> PyResult<Self> {
        let kind = |format: &str| match format {
            "u1" => Ok(Kind::U8),
            "u2" => Ok(Kind::U16),
            "u4" => Ok(Kind::U32),
            "u8" => Ok(Kind::U64),
            "i8" => Ok(Kind::I64),
            _ => Err(PyValueError::new_err(format!("a column must be u1, u2, u4, u8 or i8, got {format}"))),
        };
        let kinds: Vec<Kind> = columns.iter().map(|(_, format)| kind(format)).collect::<PyResult<_>>()?;
        let names = columns.into_iter().map(|(name, _)| name);
        let writer = Writer::new(names.zip(kinds.iter().copied()).collect());
        Ok(ParquetWriter { kinds, writer: Some(writer) })
    }

    /// Add rows, (n,) of each column. Returns what is to be written now, which may be nothing.
    fn rows<'py>(
        &mut self,
        py: Python<'py>,
        columns: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let writer = self.writer.as_mut().ok_or_else(|| PyValueError::new_err("the file has ended"))?;
        let lengths = columns.iter().map(|column| column.len()).collect::<PyResult<Vec<_>>>()?;
        if columns.len() != self.kinds.len() || lengths.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(PyValueError::new_err("there must be as many values of each column"));
        }
        for (column, (kind, values)) in self.kinds.iter().zip(&columns).enumerate() {
            match kind {
                Kind::U8 => page(writer, column, values, |value: u8| value.into())?,
                Kind::U16 => page(writer, column, values, |value: u16| value.into())?,
                Kind::U32 => page(writer, column, values, |value: u32| value.into())?,
                Kind::U64 => page(writer, column, values, |value: u64| value as i64)?,
                Kind::I64 => page(writer, column, values, |value: i64| value)?,
            }
        }
        Ok(PyBytes::new(py, &py.detach(|| writer.full())))
    }

    /// The rest of the file, once.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let writer = self.writer.take().ok_or_else(|| PyValueError::new_err("the file has ended"))?;
        Ok(PyBytes::new(py, &py.detach(|| writer.finish())))
    }
}
