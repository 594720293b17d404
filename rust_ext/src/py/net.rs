//! The protocols of the wire, for Python to compare with its own: what is read in place in Rust is copied at this border.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

mod arbiter;
mod soup;

pub use arbiter::MoldArbiter;
pub use soup::{SoupClient, SoupServer};

use crate::net::error::WireError;
use crate::net::{moldudp64, ouch, soupbintcp};

impl From<WireError> for PyErr {
    fn from(error: WireError) -> PyErr {
        PyValueError::new_err((error.to_string(), error.offset))
    }
}

/// Session, sequence number, count, message blocks of a downstream packet; ValueError(text, offset) if it is none.
#[pyfunction]
pub fn mold_decode<'py>(
    py: Python<'py>,
    datagram: &[u8],
) -> PyResult<([u8; 10], u64, u16, Bound<'py, PyBytes>)> {
    let moldudp64::Packet { header, blocks } = moldudp64::decode(datagram)?;
    Ok((header.session, header.sequence, header.count, PyBytes::new(py, blocks)))
}

/// Session, sequence number, count of a request; and the request encoded again.
#[pyfunction]
pub fn mold_decode_request(datagram: &[u8]) -> PyResult<([u8; 10], u64, u16, [u8; moldudp64::HEADER])> {
    let header = moldudp64::decode_request(datagram)?;
    Ok((header.session, header.sequence, header.count, header.bytes()))
}

/// The packets for many messages, and the end of the session behind them.
#[pyfunction]
pub fn mold_pack<'py>(
    py: Python<'py>,
    session: [u8; 10],
    sequence: u64,
    messages: Vec<Vec<u8>>,
    limit: usize,
) -> Vec<Bound<'py, PyBytes>> {
    let mut builder = moldudp64::Builder::new(session, sequence, limit);
    let mut packets = Vec::new();
    for message in &messages {
        if !builder.push(message) {
            packets.push(PyBytes::new(py, builder.packet()));
            builder.next();
            builder.push(message);
        }
    }
    if !messages.is_empty() {
        packets.push(PyBytes::new(py, builder.packet()));
    }
    packets.push(PyBytes::new(py, &builder.end()));
    packets
}

/// Cuts a TCP stream into packets.
#[pyclass]
pub struct SoupFramer {
    framer: soupbintcp::Framer,
}

/// Kind and payload of a packet.
type Packet<'py> = (u8, Bound<'py, PyBytes>);

#[pymethods]
impl SoupFramer {
    #[new]
    #[pyo3(signature = (limit=soupbintcp::LONGEST))]
    fn new(limit: usize) -> Self {
        SoupFramer { framer: soupbintcp::Framer::new(limit) }
    }

    /// (kind, payload) of each packet that is whole by now, and the offset of what is no packet.
    fn feed<'py>(&mut self, py: Python<'py>, mut data: &[u8]) -> (Vec<Packet<'py>>, Option<u64>) {
        let mut packets = Vec::new();
        loop {
            data = &data[self.framer.copy(data)..];
            loop {
                match self.framer.next() {
                    Ok(Some(frame)) => packets.push((frame.kind, PyBytes::new(py, frame.payload))),
                    Ok(None) => break,
                    Err(error) => return (packets, Some(error.offset)),
                }
            }
            if data.is_empty() {
                return (packets, None);
            }
        }
    }

    #[getter]
    fn offset(&self) -> u64 {
        self.framer.offset()
    }

    #[getter]
    fn waiting(&self) -> usize {
        self.framer.waiting()
    }
}

/// A packet of a kind with a payload; ValueError if it is too long.
#[pyfunction]
pub fn soup_packet<'py>(py: Python<'py>, kind: u8, payload: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    let fits = soupbintcp::put(&mut out, kind, payload);
    fits.then(|| PyBytes::new(py, &out)).ok_or_else(|| PyValueError::new_err("the payload is too long"))
}

/// Username, password, session, sequence number and heartbeat timeout in ms of a login.
type Login<'a> = (&'a [u8], &'a [u8], &'a [u8], u64, Option<u64>);

/// The fields of the payload of a login request, and the packet encoded again.
#[pyfunction]
pub fn soup_decode_login<'py>(
    py: Python<'py>,
    payload: &'py [u8],
) -> PyResult<(Login<'py>, Bound<'py, PyBytes>)> {
    let login = soupbintcp::Login::decode(payload)?;
    let mut out = Vec::new();
    login.put(&mut out);
    let fields = (login.username, login.password, login.session, login.sequence, login.heartbeat_ms);
    Ok((fields, PyBytes::new(py, &out)))
}

/// Session and sequence number of the payload of an accepted login, and the packet encoded again.
#[pyfunction]
pub fn soup_decode_accepted<'py>(
    py: Python<'py>,
    payload: &'py [u8],
) -> PyResult<(&'py [u8], u64, Bound<'py, PyBytes>)> {
    let accepted = soupbintcp::Accepted::decode(payload)?;
    let mut out = Vec::new();
    accepted.put(&mut out);
    Ok((accepted.session, accepted.sequence, PyBytes::new(py, &out)))
}

/// Name, (field, value) in the order of the wire, (tag, value) of the appendage, and the message encoded again.
type Message<'py> = (&'static str, Vec<(&'static str, Py<PyAny>)>, Vec<(u8, Vec<u8>)>, Bound<'py, PyBytes>);

fn value(py: Python<'_>, value: ouch::Value) -> Py<PyAny> {
    match value {
        ouch::Value::Number(number) => number.into_pyobject(py).map(|it| it.into_any().unbind()),
        ouch::Value::Letter(letter) => Ok(PyBytes::new(py, &[letter]).into_any().unbind()),
        ouch::Value::Text(letters, size) => Ok(PyBytes::new(py, &letters[..size]).into_any().unbind()),
    }
    .unwrap_or_else(|never| match never {})
}

/// What a message of either direction gives.
macro_rules! message {
    ($py:expr, $message:expr) => {{
        let (message, mut fields, mut out) = ($message, Vec::new(), Vec::new());
        message.each(|name, field| fields.push((name, value($py, field))));
        message.encode(&mut out);
        let options = message.appendage().iter().map(|(tag, value)| (tag, value.to_vec())).collect();
        (message.name(), fields, options, PyBytes::new($py, &out))
    }};
}

/// A message of a client; ValueError(text, offset) if it is none.
#[pyfunction]
pub fn ouch_decode_inbound<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Message<'py>> {
    Ok(message!(py, ouch::decode_inbound(data)?))
}

/// A message of a host; ValueError(text, offset) if it is none.
#[pyfunction]
pub fn ouch_decode_outbound<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Message<'py>> {
    Ok(message!(py, ouch::decode_outbound(data)?))
}
