//! The hot loop alone in a process, for tools that look at processes: strace sees no system call between its marks, callgrind counts
//! the instructions of `hftlab_hot_loop`.
//!
//! ```text
//! hot_loop VARIANT UNTIL REGIME WARM MESSAGES [rows|kill]
//! hot_loop naive order calm 20000 120000
//! ```
//!
//! Runs WARM messages of a feed of MESSAGES, marks, runs the others in one go, marks. With `rows` every message leaves a row: the
//! counterexample, since rows need memory. With `kill` every order is refused, so that none is kept. Prints the messages run, the orders accepted and a checksum of their bytes.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::exit;

use common::{REGIMES, VARIANTS, engine, feed, offset, settings};
use hftlab_rust::recording::Mode;
use hftlab_rust::run::{Runner, Until};

/// What the tools look for: a name that stays, around nothing but the loop.
#[unsafe(no_mangle)]
#[inline(never)]
extern "Rust" fn hftlab_hot_loop(engine: &mut dyn Runner, data: &[u8]) -> usize {
    engine.run_bytes(data, usize::MAX).0
}

/// A system call that nothing else here makes.
fn mark() {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::getppid() };
}

fn usage(what: &str) -> ! {
    eprintln!("hot_loop: {what}; usage: hot_loop VARIANT UNTIL REGIME WARM MESSAGES [rows|kill]");
    exit(2)
}

/// The value that goes with a name.
fn named<T: Copy>(what: &str, name: &str, rows: impl Iterator<Item = (&'static str, T)> + Clone) -> T {
    let found = rows.clone().find(|row| row.0 == name).map(|row| row.1);
    let known: Vec<&str> = rows.map(|row| row.0).collect();
    found.unwrap_or_else(|| usage(&format!("unknown {what} '{name}'; known: {}", known.join("; "))))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [variant, until, regime, warm, messages, more @ ..] = arguments.as_slice() else {
        usage(&format!("{} arguments", arguments.len()))
    };
    let variant = named("variant", variant, VARIANTS.iter().copied());
    let stages =
        [("tick", Until::Tick), ("book", Until::Book), ("signal", Until::Signal), ("order", Until::Order)];
    let until = named("stage", until, stages.into_iter());
    let (regime, symbols) = named("regime", regime, REGIMES.iter().map(|row| (row.0, (row.0, row.1))));
    let number = |text: &String| {
        text.parse::<u64>().unwrap_or_else(|_| usage(&format!("'{text}' is not a number of messages")))
    };
    let (warm, messages) = (number(warm), number(messages));
    if warm > messages || messages < 6 + 3 * symbols as u64 {
        usage(&format!("{warm} of {messages} messages of {symbols} symbols"));
    }

    let data = feed(regime, messages, 1);
    let (first, rest) = data.split_at(offset(&data, warm));
    let mut settings = settings(until);
    if more.first().is_some_and(|word| word == "rows") {
        settings.record = Mode::All;
    } else {
        settings.order.kill = more.first().is_some_and(|word| word == "kill");
    }
    let mut engine = engine(variant, settings);
    engine.run_bytes(first, usize::MAX);
    mark();
    let used = hftlab_hot_loop(&mut *engine, rest);
    mark();
    assert_eq!(used, rest.len(), "the whole feed");
    let orders = engine.order();
    let sum = orders
        .stream
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, &byte| (sum ^ byte as u64).wrapping_mul(0x100_0000_01b3));
    println!("{} orders, checksum {sum:016x}", orders.orders.len());
    println!("{} messages", engine.tally().messages);
}
