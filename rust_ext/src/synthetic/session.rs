//! What frames the market: system events, stock directory, trading actions and Reg SHO before it, system events after it.

use super::instrument::Instrument;
use super::wire::{CLOSE, END_OF_MESSAGES, END_OF_SYSTEM, Message, OPEN, START_OF_MESSAGES, START_OF_SYSTEM};

pub(super) const CLOSING_LEN: u64 = 3;

/// The shortest feed: a day without a market.
pub(super) fn least_messages(symbols: u64) -> u64 {
    6 + 3 * symbols
}

/// Messages before the market: O, then R, H and Y of each symbol, then S and Q.
pub(super) fn opening_len(instruments: &[Instrument]) -> u64 {
    3 + 3 * instruments.len() as u64
}

/// Writes message `number` of those before the market.
pub(super) fn opening(out: &mut Vec<u8>, instruments: &[Instrument], number: u64) {
    let count = instruments.len() as u64;
    if number == 0 {
        return system(out, START_OF_MESSAGES, b'O');
    }
    if number > 3 * count {
        let start = number == 3 * count + 1;
        let (now, code) = if start { (START_OF_SYSTEM, b'S') } else { (OPEN, b'Q') };
        return system(out, now, code);
    }
    let now = START_OF_MESSAGES + number * 1_000;
    let instrument = &instruments[((number - 1) % count) as usize];
    match (number - 1) / count {
        0 => directory(out, instrument, now),
        1 => action(out, instrument, now, b'T', b"    "),
        _ => reg_sho(out, instrument, now),
    }
}

/// Writes message `number`, below CLOSING_LEN, of those after the market.
pub(super) fn closing(out: &mut Vec<u8>, number: u64) {
    match number {
        0 => system(out, CLOSE, b'M'),
        1 => system(out, END_OF_SYSTEM, b'E'),
        _ => system(out, END_OF_MESSAGES, b'C'),
    }
}

fn system(out: &mut Vec<u8>, now: u64, code: u8) {
    Message::new(out, 12, b'S', 0, now).bytes(&[code]);
}

fn directory(out: &mut Vec<u8>, instrument: &Instrument, now: u64) {
    let locate = instrument.locate;
    let fund = locate.is_multiple_of(8);
    let category = if fund { b'P' } else { b"QGSNAPQN"[usize::from(locate & 7)] };
    let status = if instrument.tick == 1 { b'D' } else { b'N' };
    let tier = if instrument.rank < 500 { b'1' } else { b'2' };
    let class: &[u8; 3] = if fund { b"QE " } else { b"CZ " };
    Message::new(out, 39, b'R', locate, now)
        .bytes(&instrument.stock)
        .bytes(&[category, status])
        .half(instrument.odd)
        .bytes(b"N")
        .bytes(class)
        .bytes(&[b'P', b'N', b'N', tier, if fund { b'Y' } else { b'N' }])
        .half(u64::from(fund))
        .bytes(b"N");
}

/// Writes a trading action: the spin before the open, a halt or a resumption.
pub(super) fn action(out: &mut Vec<u8>, instrument: &Instrument, now: u64, state: u8, reason: &[u8; 4]) {
    Message::new(out, 25, b'H', instrument.locate, now)
        .bytes(&instrument.stock)
        .bytes(&[state, b' '])
        .bytes(reason);
}

/// One symbol in 64 is still restricted from the day before.
fn reg_sho(out: &mut Vec<u8>, instrument: &Instrument, now: u64) {
    let code = if instrument.locate % 64 == 63 { b'2' } else { b'0' };
    Message::new(out, 20, b'Y', instrument.locate, now).bytes(&instrument.stock).bytes(&[code]);
}
