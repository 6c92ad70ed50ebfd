//! The same objects from files: a directory of manifests takes the place of the cluster.
//!
//! Entry point: [`DirectoryObjects`]. `files` reads manifests, `state` keeps what a cluster would hold (uid, generation, status).
//!
//! Invariant: a file that cannot be read or understood changes nothing: the last good version of its objects stays.
//! Invariant: an object that disappears from the files is let go of; nothing is deleted in EC2.

mod files;
mod objects;
mod state;

pub use files::{FileProblem, read_manifests};
pub use objects::{DirectoryObjects, DirectoryOptions};
pub use state::StateError;
