//! `sgwarden sim` as people run it.
