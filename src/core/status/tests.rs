//! Statuses of whole passes.
