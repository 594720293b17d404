//! Are the protocols those of Python? Each vector is what `hftlab.protocols` makes of bytes; tests/protocols/vectors.py writes them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use hftlab_rust::protocols::arbiter::{Arbiter, Config, Delivery};
use hftlab_rust::protocols::error::WireError;
use hftlab_rust::protocols::soupbintcp::{self, Client, ClientConfig, Event, Framer, State};
use hftlab_rust::protocols::{moldudp64, ouch};

static TABLE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("vectors/protocols.json")).expect("JSON written by vectors.py")
});

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("bytes in hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("ASCII")
}

fn rows(name: &str) -> &'static [Value] {
    let rows = TABLE[name].as_array().expect("rows");
    assert!(!rows.is_empty(), "{name}");
    rows
}

/// Every row of a table is read as Python reads it, or is wrong at the same offset.
fn same(name: &str, read: impl Fn(&[u8]) -> Result<Value, WireError>) {
    for row in rows(name) {
        let data = bytes(&row["bytes"]);
        match read(&data) {
            Ok(found) => assert_eq!(found, row["read"], "{name} {row}"),
            Err(error) => assert_eq!(json!(error.offset), row["error"], "{name} {row}"),
        }
    }
}

#[test]
fn moldudp64_packets_and_requests() {
    same("packets", |data| {
        let moldudp64::Packet { header, blocks } = moldudp64::decode(data)?;
        let messages: Vec<String> = moldudp64::split(blocks).map(hex).collect();
        Ok(json!({ "session": hex(&header.session), "sequence": header.sequence, "count": header.count,
            "messages": messages }))
    });
    same("requests", |data| {
        let header = moldudp64::decode_request(data)?;
        assert_eq!(header.bytes(), data);
        Ok(json!({ "session": hex(&header.session), "sequence": header.sequence, "count": header.count }))
    });
}

fn delivered(given: Delivery) -> Vec<Value> {
    vec![json!(given.sequence), json!(given.count), json!(hex(given.blocks))]
}

#[test]
fn arbitration_over_loss_duplication_reordering_damage_and_a_new_session() {
    for row in rows("arbiter") {
        let (settings, end) = (&row["settings"], &row["end"]);
        let ns = |name: &str| settings[name].as_i64().expect(name);
        let mut arbiter = Arbiter::new(
            None,
            row["expected"].as_u64().expect("a number"),
            Config {
                window: ns("window") as u16,
                buffer_bytes: ns("buffer_bytes") as usize,
                gap_timeout_ns: ns("gap_timeout_ns"),
                request_interval_ns: ns("request_interval_ns"),
                max_requests: ns("max_requests") as u64,
                end_grace_ns: ns("end_grace_ns"),
            },
        );
        for (at, step) in row["steps"].as_array().expect("steps").iter().enumerate() {
            let (line, datagram) = (step[0].as_u64().expect("a line") as u32, bytes(&step[1]));
            let now_ns = step[2].as_i64().expect("a time");
            let mut found = vec![step[0].clone(), step[1].clone(), step[2].clone()];
            found.extend(delivered(arbiter.receive(line, &datagram, now_ns)));
            if line < 2 {
                found.extend(arbiter.due(now_ns).map(|request| json!(hex(&request.bytes()))));
            }
            assert_eq!(json!(found), *step, "step {at} with {settings}");
        }
        let session = |session: Option<moldudp64::Session>| json!(session.map(|session| hex(&session)));
        let mut last_seen = arbiter.last_seen.clone();
        last_seen.sort();
        let mut found = json!({ "stale": arbiter.stale(), "finished": arbiter.finished(), "held": arbiter.held(),
            "gap": arbiter.gap(), "session": session(arbiter.session), "changed": session(arbiter.changed),
            "last_seen": last_seen });
        let mut abandoned = Vec::new();
        while let Some(run) = arbiter.abandon() {
            abandoned.push(delivered(run));
        }
        found["abandoned"] = json!(abandoned);
        found["lost"] = json!(arbiter.lost);
        found["counts"] = arbiter.counts.each().map(|(name, n)| (name.to_owned(), json!(n))).collect();
        assert_eq!(found, *end);
    }
}

#[test]
fn soupbintcp_streams_however_they_are_cut() {
    for row in rows("streams") {
        let mut framer = Framer::new(row["limit"].as_u64().expect("a limit") as usize);
        let mut error = None;
        for piece in row["pieces"].as_array().expect("pieces") {
            let (data, mut packets) = (bytes(&piece[0]), Vec::new());
            assert_eq!(framer.copy(&data), data.len());
            while let Some(frame) = framer.next().unwrap_or_else(|broken| {
                error = Some(broken.offset);
                None
            }) {
                packets.push(json!([hex(&[frame.kind]), hex(frame.payload)]));
            }
            assert_eq!(json!(packets), piece[1]);
        }
        assert_eq!(json!(error), row["error"]);
    }
}

#[test]
fn soupbintcp_logins_and_their_answers() {
    same("logins", |data| {
        let login = soupbintcp::Login::decode(data)?;
        Ok(
            json!({ "username": text(login.username), "password": text(login.password), "session": text(login.session),
            "sequence": login.sequence, "heartbeat_ms": login.heartbeat_ms }),
        )
    });
    same("accepted", |data| {
        let accepted = soupbintcp::Accepted::decode(data)?;
        Ok(json!([text(accepted.session), accepted.sequence]))
    });
}

/// What the client makes of received bytes: kind, payload and number of each event.
fn events(client: &mut Client, data: &[u8], now_ns: i64) -> Value {
    client.space()[..data.len()].copy_from_slice(data);
    client.received(data.len(), now_ns);
    let mut events = Vec::new();
    while let Some(event) = client.next_event() {
        events.push(match event {
            Event::Accepted(accepted) => json!(["accepted", hex(accepted.session), accepted.sequence]),
            Event::Rejected(letter) => json!(["rejected", hex(&[letter]), 0]),
            Event::Message(payload, number) => json!(["message", hex(payload), number]),
            Event::Unsequenced(payload) => json!(["unsequenced", hex(payload), 0]),
            Event::Debug(payload) => json!(["debug", hex(payload), 0]),
            Event::End(number) => json!(["end", "", number]),
        });
    }
    json!(events)
}

#[test]
fn soupbintcp_clients_over_several_connections() {
    for row in rows("clients") {
        let settings = &row["settings"];
        let config = ClientConfig {
            heartbeat_ns: settings["heartbeat_ns"].as_i64().expect("ns"),
            idle_timeout_ns: settings["idle_timeout_ns"].as_i64().expect("ns"),
            tells_timeout: settings["version"] == "4.10",
        };
        let (session, next) =
            (row["session"].as_str().expect("a session"), row["next"].as_u64().expect("a number"));
        let mut client = Client::new("user", "secret", session, next, config).expect("it fits");
        for (at, step) in row["steps"].as_array().expect("steps").iter().enumerate() {
            let (now_ns, data) = (step[1].as_i64().expect("a time"), bytes(&step[2]));
            let found = match step[0].as_str().expect("what is done") {
                "connected" => json!(hex(client.connected(now_ns))),
                "due" => json!(hex(client.due(now_ns))),
                "logout" => json!(hex(client.logout())),
                "send" => json!(hex(client.send(now_ns, |to| to.extend_from_slice(&data)).expect("open"))),
                "receive" => events(&mut client, &data, now_ns),
                _ => {
                    client.lost();
                    json!("")
                }
            };
            assert_eq!(found, step[3], "step {at} {step}");
            let state = match client.state() {
                State::Idle => "idle",
                State::Login => "login",
                State::Open => "open",
                State::Closed => "closed",
            };
            let reason = client.closed().map(|closed| closed.word());
            let stands = json!([state, client.next, text(&client.session), reason]);
            assert_eq!(stands, json!(step.as_array().expect("a step")[4..]), "after step {at} {step}");
        }
        assert_eq!(json!(client.missed), row["missed"]);
    }
}

#[test]
fn ouch_enter_orders_and_their_answers() {
    let letter = |byte: u8| text(&[byte]);
    same("enter_order", |data| {
        let order = ouch::EnterOrder::decode(data)?;
        assert_eq!(order.bytes(), data);
        Ok(json!({ "user_ref": order.user_ref, "side": letter(order.side), "quantity": order.quantity,
            "symbol": text(&order.symbol), "price": order.price, "time_in_force": letter(order.time_in_force),
            "display": letter(order.display), "capacity": letter(order.capacity),
            "intermarket_sweep": letter(order.intermarket_sweep), "cross_type": letter(order.cross_type),
            "cl_ord_id": text(&order.cl_ord_id) }))
    });
    same("order_accepted", |data| {
        let accepted = ouch::Accepted::decode(data)?;
        assert_eq!(accepted.bytes(), data);
        Ok(json!({ "ts_ns": accepted.ts_ns, "user_ref": accepted.user_ref, "side": letter(accepted.side),
            "quantity": accepted.quantity, "symbol": text(&accepted.symbol), "price": accepted.price,
            "time_in_force": letter(accepted.time_in_force), "display": letter(accepted.display),
            "order_reference": accepted.order_reference, "capacity": letter(accepted.capacity),
            "intermarket_sweep": letter(accepted.intermarket_sweep), "cross_type": letter(accepted.cross_type),
            "order_state": letter(accepted.order_state), "cl_ord_id": text(&accepted.cl_ord_id) }))
    });
}
