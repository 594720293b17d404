//! `fast`: the standard map with the hash of the Rust compiler, a multiplication and a rotation: quick, but somebody who chooses the
//! references can make them collide.

use rustc_hash::FxBuildHasher;

use super::std::Map;

/// A HashMap with a fast hash.
pub type Fast = Map<FxBuildHasher>;
