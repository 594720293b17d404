//! Python's settings, read attribute by attribute.

use pyo3::prelude::*;

use crate::dispatch::{self, Variant};
use crate::error::Error;
use crate::recording::Mode;
use crate::run::{self, Lookahead, Runner, Until, stamp};
use crate::shards::Shards;
use crate::timing::Keep;
use crate::{order, signal};

#[derive(FromPyObject)]
struct SignalSettings {
    decay: f64,
    k: f64,
    weights: [f64; 5],
    levels: usize,
}

#[derive(FromPyObject)]
struct OrderSettings {
    threshold: f64,
    lot: u32,
    cooldown: u32,
}

#[derive(FromPyObject)]
struct RiskSettings {
    kill: bool,
    max_order_qty: u32,
    max_notional: u64,
    collar_bps: u32,
    position_limit: u64,
    max_orders_per_sec: usize,
}

/// True, False, or a word.
#[derive(FromPyObject)]
enum Flag {
    Known(bool),
    Named(String),
}

/// `hftlab.settings.Settings`, read attribute by attribute; Python has checked the ranges.
#[derive(FromPyObject)]
pub struct Settings {
    book: String,
    orders: String,
    pool: bool,
    signal: String,
    #[pyo3(default = Flag::Named("auto".into()))]
    lookahead: Flag,
    until: String,
    record: String,
    latency: String,
    keep: String,
    slowest: usize,
    around: usize,
    warm_up: u64,
    strict: bool,
    price_scale: u64,
    symbols: Vec<String>,
    signal_config: SignalSettings,
    order_config: OrderSettings,
    risk_config: RiskSettings,
    fills: String,
    first_ref: u32,
    #[pyo3(default = 1)]
    threads: u8,
}

fn one_of<T: Copy>(
    what: &'static str,
    name: &str,
    known: &'static [&'static str],
    values: &[T],
) -> Result<T, Error> {
    let place = known.iter().position(|&other| other == name);
    place.map(|i| values[i]).ok_or_else(|| Error::UnknownName { what, name: name.into(), known })
}

impl Settings {
    fn keep(&self) -> Result<Keep, Error> {
        let modes = [(true, false), (false, true), (true, true)];
        let (samples, counts) =
            one_of("way to keep stamps", &self.keep, &["samples", "histogram", "both"], &modes)?;
        Ok(match self.latency.as_str() {
            "off" => Keep::default(),
            _ => Keep { samples, counts, slowest: self.slowest, around: self.around },
        })
    }

    /// The engine of the variant that these settings name. One that stops at the first fault runs on one thread.
    pub fn open(&self) -> Result<Box<dyn Runner>, Error> {
        let Settings { book, orders, pool, signal, threads, .. } = self;
        let (variant, engine) = (Variant { book, orders, pool: *pool, signal }, self.engine()?);
        if *threads < 2 || self.strict {
            return dispatch::engine(variant, engine);
        }
        if engine.stamps != stamp::OFF || engine.order.reported {
            let text = "a run on several threads has no stamps, and takes no reports of fills";
            return Err(Error::Config(text.into()));
        }
        Ok(Box::new(Shards::new(variant, engine, *threads)?))
    }

    /// The engine's own settings.
    fn engine(&self) -> Result<run::Settings, Error> {
        let stages = [Until::Tick, Until::Book, Until::Signal, Until::Order];
        Ok(run::Settings {
            until: one_of("stage", &self.until, &["tick", "book", "signal", "order"], &stages)?,
            lookahead: match &self.lookahead {
                Flag::Known(false) => Lookahead::Off,
                Flag::Known(true) => Lookahead::On,
                Flag::Named(name) => one_of("lookahead", name, &["auto"], &[Lookahead::Auto])?,
            },
            record: one_of(
                "record mode",
                &self.record,
                &["none", "top", "all"],
                &[Mode::None, Mode::Top, Mode::All],
            )?,
            stamps: one_of(
                "latency mode",
                &self.latency,
                &["off", "total", "stages"],
                &[stamp::OFF, stamp::TOTAL, stamp::STAGES],
            )?,
            keep: self.keep()?,
            warm_up: self.warm_up,
            strict: self.strict,
            signal: signal::Config {
                decay: self.signal_config.decay,
                k: self.signal_config.k,
                weights: self.signal_config.weights,
                levels: self.signal_config.levels,
            },
            order: order::Config {
                threshold: self.order_config.threshold,
                lot: self.order_config.lot,
                cooldown: self.order_config.cooldown,
                kill: self.risk_config.kill,
                max_order_qty: self.risk_config.max_order_qty,
                max_notional: self.risk_config.max_notional,
                collar_bps: self.risk_config.collar_bps,
                position_limit: self.risk_config.position_limit,
                max_orders_per_sec: self.risk_config.max_orders_per_sec,
                price_scale: self.price_scale,
                reported: one_of("way to take fills", &self.fills, &["assumed", "reported"], &[false, true])?,
                first: self.first_ref,
            },
            names: self.symbols.iter().map(|name| ouch_name(name)).collect(),
        })
    }
}

/// Eight Latin-1 bytes, padded with spaces; zeros for no name.
fn ouch_name(name: &str) -> [u8; 8] {
    let mut out = [if name.is_empty() { 0 } else { b' ' }; 8];
    for (byte, letter) in out.iter_mut().zip(name.chars()) {
        *byte = u8::try_from(letter as u32).unwrap_or(b'?');
    }
    out
}
