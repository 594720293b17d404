//! Names -> types, once, before the loop. Each function settles one axis and hands on to the next, so the source grows as a sum while
//! the compiler makes the product.

use crate::book::levels::{Levels, btree::BTree, ladder::Ladder, sorted::Sorted};
use crate::book::orders::{Index, fast::Fast, flat::Flat, std::Std};
use crate::book::pool::{Pool, boxed::Boxed, slab::Slab};
use crate::engine::Engine;
use crate::error::Error;
use crate::run::{Runner, Settings};
use crate::signal::{Signal, incremental::Incremental, recompute::Recompute};

/// (axis, names from naive to best); the last is a setting of every engine, `run::Lookahead`, the others are types.
pub const VARIANTS: &[(&str, &[&str])] = &[
    ("book", &["btree", "sorted", "ladder"]),
    ("orders", &["std", "fast", "flat"]),
    ("pool", &["False", "True"]),
    ("signal", &["recompute", "incremental"]),
    ("lookahead", &["False", "True", "auto"]),
];

/// One name per axis.
#[derive(Clone, Copy, Debug)]
pub struct Variant<'a> {
    /// Price levels.
    pub book: &'a str,
    /// Orders by reference.
    pub orders: &'a str,
    /// Whether orders live in a slab.
    pub pool: bool,
    /// How signals are kept.
    pub signal: &'a str,
}

/// The engine of a variant.
///
/// # Errors
/// A name that is not known, with the known ones.
pub fn engine(variant: Variant, settings: Settings) -> Result<Box<dyn Runner>, Error> {
    match variant.book {
        "btree" => with_levels::<BTree>(variant, settings),
        "sorted" => with_levels::<Sorted>(variant, settings),
        "ladder" => with_levels::<Ladder>(variant, settings),
        name => Err(unknown("book", name)),
    }
}

fn with_levels<L: Levels + 'static>(variant: Variant, settings: Settings) -> Result<Box<dyn Runner>, Error> {
    match variant.orders {
        "std" => with_index::<L, Std>(variant, settings),
        "fast" => with_index::<L, Fast>(variant, settings),
        "flat" => with_index::<L, Flat>(variant, settings),
        name => Err(unknown("orders", name)),
    }
}

fn with_index<L: Levels + 'static, I: Index + 'static>(
    variant: Variant,
    settings: Settings,
) -> Result<Box<dyn Runner>, Error> {
    match variant.pool {
        false => with_pool::<L, I, Boxed>(variant, settings),
        true => with_pool::<L, I, Slab>(variant, settings),
    }
}

fn with_pool<L: Levels + 'static, I: Index + 'static, P: Pool + 'static>(
    variant: Variant,
    settings: Settings,
) -> Result<Box<dyn Runner>, Error> {
    match variant.signal {
        "recompute" => Ok(boxed::<L, I, P, Recompute>(settings)),
        "incremental" => Ok(boxed::<L, I, P, Incremental>(settings)),
        name => Err(unknown("signal", name)),
    }
}

fn boxed<L: Levels + 'static, I: Index + 'static, P: Pool + 'static, S: Signal + 'static>(
    settings: Settings,
) -> Box<dyn Runner> {
    Box::new(Engine::<L, I, P, S>::new(settings))
}

fn unknown(axis: &'static str, name: &str) -> Error {
    let known = VARIANTS.iter().find(|row| row.0 == axis).map_or(&[] as &[&str], |row| row.1);
    Error::UnknownName { what: axis, name: name.into(), known }
}
