//! The same objects from files: a directory of manifests takes the place of the cluster.
//!
//! Entry point: [`DirectoryObjects`]. `files` reads manifests and `document` one of them (`fields`: strictly), `snapshot` decides what to believe
//! of a look, `table` shows the objects of a kind to those who watch, `state` keeps what a cluster would hold (uid,
//! generation, status), and [`read_groups`] shows that to others while it runs. [`DirectorySecrets`] reads secrets from files.
//!
//! Invariant: a file that cannot be read or understood changes nothing: the last good version of its objects stays.
//! Invariant: an object that disappears from the files is let go of; nothing is deleted in EC2.
//! Invariant: nothing is said of any kind before all files could be read: an account that is not known yet looks like none.

mod document;
mod fields;
mod files;
mod kind;
mod objects;
mod secrets;
mod snapshot;
mod state;
mod table;
#[cfg(test)]
mod tests;

pub use files::{FileProblem, Found, read_manifests};
pub use kind::{Id, KindName, Manifest, Manifests};
pub use objects::{DirectoryObjects, DirectoryOptions};
pub use secrets::DirectorySecrets;
pub use state::{StateError, read_cidr_sets, read_groups};
