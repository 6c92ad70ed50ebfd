//! sgwarden.
