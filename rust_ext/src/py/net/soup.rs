//! Both ends of a SoupBinTCP connection.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::net::soupbintcp::client::{self, Client, Event};
use crate::net::soupbintcp::server::{self, Server};
use crate::net::soupbintcp::{Accounts, Closed, State, Store, kind};

fn state(state: State) -> &'static str {
    match state {
        State::Idle => "idle",
        State::Login => "login",
        State::Open => "open",
        State::Closed => "closed",
    }
}

/// Why, in a word; "" for a connection that is not closed.
fn why(closed: Option<Closed>) -> &'static str {
    closed.map_or("", |closed| closed.word())
}

/// The client of `hftlab.protocols.soup_client`.
#[pyclass]
pub struct SoupClient {
    client: Client,
}

#[pymethods]
impl SoupClient {
    #[new]
    #[pyo3(signature = (username, password, session="", next=1, heartbeat_ns=1_000_000_000, dead_ns=15_000_000_000, version="4.00"))]
    fn new(
        username: &str,
        password: &str,
        session: &str,
        next: u64,
        heartbeat_ns: i64,
        dead_ns: i64,
        version: &str,
    ) -> PyResult<Self> {
        let config = client::Config { heartbeat_ns, dead_ns, tells_timeout: version == "4.10" };
        Ok(SoupClient { client: Client::new(username, password, session, next, config)? })
    }

    fn connected<'py>(&mut self, py: Python<'py>, now_ns: i64) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.client.connected(now_ns))
    }

    /// (kind, payload, sequence) of each event.
    fn receive<'py>(
        &mut self,
        py: Python<'py>,
        mut data: &[u8],
        now_ns: i64,
    ) -> Vec<(&'static str, Bound<'py, PyBytes>, u64)> {
        let mut events = Vec::new();
        loop {
            let space = self.client.space();
            let n = space.len().min(data.len());
            space[..n].copy_from_slice(&data[..n]);
            data = &data[n..];
            self.client.received(n, now_ns);
            while let Some(event) = self.client.next_event() {
                let (kind, payload, sequence) = match event {
                    Event::Accepted(accepted) => ("accepted", accepted.session, accepted.sequence),
                    Event::Rejected(reason) => ("rejected", &[reason][..], 0),
                    Event::Message(message, sequence) => ("message", message, sequence),
                    Event::Unsequenced(message) => ("unsequenced", message, 0),
                    Event::Debug(text) => ("debug", text, 0),
                    Event::End(next) => ("end", &[][..], next),
                };
                events.push((kind, PyBytes::new(py, payload), sequence));
            }
            if data.is_empty() || n == 0 {
                return events;
            }
        }
    }

    fn send<'py>(&mut self, py: Python<'py>, payload: &[u8], now_ns: i64) -> Option<Bound<'py, PyBytes>> {
        let packet = self.client.send(now_ns, |to| to.extend_from_slice(payload));
        packet.map(|packet| PyBytes::new(py, packet))
    }

    fn due<'py>(&mut self, py: Python<'py>, now_ns: i64) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.client.due(now_ns))
    }

    fn logout<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.client.logout())
    }

    fn lost(&mut self) {
        self.client.lost();
    }

    #[getter]
    fn state(&self) -> &'static str {
        state(self.client.state())
    }

    #[getter]
    fn closed(&self) -> &'static str {
        why(self.client.closed())
    }

    #[getter]
    fn session(&self) -> &[u8] {
        &self.client.session
    }

    #[getter]
    fn next(&self) -> u64 {
        self.client.next
    }

    #[getter]
    fn missed(&self) -> Vec<(u64, u64)> {
        self.client.missed.clone()
    }
}

/// The server of `hftlab.protocols.soup_server`, with a store of its own: `append` to it, then `publish`.
#[pyclass]
pub struct SoupServer {
    server: Server,
    accounts: Accounts,
    store: Store,
}

#[pymethods]
impl SoupServer {
    #[new]
    #[pyo3(signature = (accounts, session, *, heartbeat_ns=1_000_000_000, dead_ns=15_000_000_000, login_ns=30_000_000_000,
        backlog=65_536, limit=crate::net::soupbintcp::LONGEST))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        accounts: Vec<(String, String)>,
        session: &str,
        heartbeat_ns: i64,
        dead_ns: i64,
        login_ns: i64,
        backlog: usize,
        limit: usize,
    ) -> Self {
        let config = server::Config { heartbeat_ns, dead_ns, login_ns, backlog, limit };
        SoupServer {
            server: Server::new(session, config),
            accounts: Accounts::new(accounts.iter().map(|(name, password)| (&name[..], &password[..]))),
            store: Store::default(),
        }
    }

    fn append(&mut self, message: &[u8]) -> bool {
        self.store.push(|to| to.extend_from_slice(message))
    }

    fn receive<'py>(&mut self, py: Python<'py>, mut data: &[u8], now_ns: i64) -> Vec<Bound<'py, PyBytes>> {
        let mut messages = Vec::new();
        loop {
            let space = self.server.space();
            let n = space.len().min(data.len());
            space[..n].copy_from_slice(&data[..n]);
            data = &data[n..];
            self.server.received(n, now_ns);
            while let Some(message) = self.server.next_message(&self.accounts, &self.store) {
                messages.push(PyBytes::new(py, message));
            }
            if data.is_empty() || n == 0 {
                return messages;
            }
        }
    }

    fn publish(&mut self) {
        self.server.publish(&self.store);
    }

    #[pyo3(signature = (payload, kind=kind::UNSEQUENCED))]
    fn send(&mut self, payload: &[u8], kind: u8) -> bool {
        self.server.send(kind, payload)
    }

    #[pyo3(signature = (limit=server::PIECE))]
    fn outgoing<'py>(&mut self, py: Python<'py>, limit: usize) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.server.outgoing(&self.store, limit))
    }

    fn due(&mut self, now_ns: i64) {
        self.server.due(now_ns, &self.store);
    }

    fn end(&mut self) {
        self.server.end();
    }

    fn lost(&mut self) {
        self.server.lost();
    }

    #[getter]
    fn state(&self) -> &'static str {
        state(self.server.state())
    }

    #[getter]
    fn closed(&self) -> &'static str {
        why(self.server.closed())
    }

    #[getter]
    fn sent(&self) -> usize {
        self.server.sent()
    }

    #[getter]
    fn waiting(&self) -> usize {
        self.server.waiting(&self.store)
    }
}
