//! The same objects from files: a directory of manifests takes the place of the cluster.
//!
//! Entry points: [`DirectoryObjects`], and [`read_sources`] and [`survey`] for those who look once. `sources` finds the files,
//! `files` reads manifests and `document` one of them (`yaml`: the text, `fields`: strictly, `outline`: where what stands),
//! `snapshot` decides what to believe of a look, `table` shows the objects of a kind to those who watch, `state` keeps what a
//! cluster would hold (uid, generation, status), and [`read_groups`] shows that to others while it runs. [`DirectorySecrets`] reads secrets from files.
//!
//! Invariant: a file that cannot be read or understood changes nothing: the last good version of its objects stays.
//! Invariant: an object that disappears from the files is let go of; nothing is deleted in EC2.
//! Invariant: nothing is said of any kind before all files could be read: an account that is not known yet looks like none.

mod document;
mod fields;
mod files;
mod kind;
mod objects;
mod outline;
mod secrets;
mod snapshot;
mod sources;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod yaml;

pub use files::{FileProblem, Found, Place, Survey, Surveyed, read_manifests, read_sources, survey};
pub use kind::{Id, KindName, Manifest, Manifests};
pub use objects::{DirectoryObjects, DirectoryOptions};
pub use secrets::DirectorySecrets;
pub use sources::Source;
pub use state::{StateError, read_cidr_sets, read_groups};
