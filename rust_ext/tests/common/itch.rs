//! Events as the ITCH messages that they come from.

use hftlab_rust::event::{ASK, BID, Event, kind};

/// Append the framed message of an event; a side that is none of both becomes '?'.
pub fn frame(event: &Event, out: &mut Vec<u8>) {
    let from = out.len();
    let &Event { order_id, new_order_id, qty, .. } = event;
    let side = match event.side {
        BID => b'B',
        ASK => b'S',
        _ => b'?',
    };
    let (price, stock) = (event.price as u32, format!("S{:<7}", event.instrument));
    let mut body = Vec::new();
    let letter = match event.kind {
        kind::ADD if order_id.is_multiple_of(5) => b'F',
        kind::ADD => b'A',
        kind::EXECUTE if order_id.is_multiple_of(5) => b'C',
        kind::EXECUTE => b'E',
        kind::CANCEL => b'X',
        kind::DELETE => b'D',
        kind::REPLACE => b'U',
        kind::TRADE => b'P',
        kind::STATUS => b'H',
        _ => b'S',
    };
    match letter {
        b'A' | b'F' | b'P' => {
            body.extend_from_slice(&order_id.to_be_bytes());
            body.push(side);
            body.extend_from_slice(&qty.to_be_bytes());
            body.extend_from_slice(stock.as_bytes());
            body.extend_from_slice(&price.to_be_bytes());
        }
        b'U' => {
            body.extend_from_slice(&order_id.to_be_bytes());
            body.extend_from_slice(&new_order_id.to_be_bytes());
            body.extend_from_slice(&qty.to_be_bytes());
            body.extend_from_slice(&price.to_be_bytes());
        }
        b'H' => {
            body.extend_from_slice(stock.as_bytes());
            body.push(qty as u8);
        }
        b'S' => body.push(b'O'),
        _ => {
            body.extend_from_slice(&order_id.to_be_bytes());
            if letter != b'D' {
                body.extend_from_slice(&qty.to_be_bytes());
            }
        }
    }
    let size = hftlab_rust::itch::size_of_type(letter);
    out.extend_from_slice(&(size as u16).to_be_bytes());
    out.push(letter);
    out.extend_from_slice(&event.instrument.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&event.ts_ns.to_be_bytes()[2..]);
    out.extend_from_slice(&body);
    out.resize(from + 2 + size, 0);
}
