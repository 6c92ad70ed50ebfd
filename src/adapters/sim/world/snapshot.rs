//! The world as plain data, for dumps, seeds and state files.
//!
//! Entry point: [`World::dump`].

use super::World;
use serde_json::{Value, json};

impl World {
    pub(crate) fn dump(&self) -> Value {
        json!({})
    }
}
