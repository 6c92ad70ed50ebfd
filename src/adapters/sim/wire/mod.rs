//! The wire: HTTP requests in the protocols of EC2 and STS (Query) and `CloudTrail` (JSON), and replies in the same.
//!
//! Entry point: [`envelope::Envelope::read`] tells who calls which service; [`decode`], [`encode`] and [`sts`] do the rest.
//!
//! Invariant: any bytes get an answer: parsing is bounded, allocates in proportion to the request, and never panics.
//! Invariant: no behaviour of EC2's lives here, only its spelling.

pub(crate) mod decode;
pub(crate) mod decode_more;
pub(crate) mod ec2;
pub(crate) mod encode;
pub(crate) mod encode_more;
pub(crate) mod envelope;
pub(crate) mod query;
pub(crate) mod sts;
pub(crate) mod xml;
