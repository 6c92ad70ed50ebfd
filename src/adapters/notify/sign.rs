//! Signatures of webhooks as Standard Webhooks has them: HMAC-SHA256 over id, time and body, so that a receiver can tell ours from
//! others', and what is new from what somebody sends again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

use crate::ports::sinks::Secret;

/// What a key begins with that is written in base64.
const PREFIX: &str = "whsec_";
/// A key that can be guessed signs nothing.
const LEAST: usize = 16;

/// The headers of a signed message, or what is wrong with the key.
pub(super) fn sign(key: &Secret, id: &str, at: i64, body: &[u8]) -> Result<[(HeaderName, HeaderValue); 3], &'static str> {
    const TOO_SHORT: &str = "it is shorter than 16 bytes";
    let bytes = match key.reveal().strip_prefix(PREFIX) {
        Some(encoded) => STANDARD.decode(encoded).map_err(|_| "what follows whsec_ is no base64")?,
        None => key.reveal().as_bytes().to_vec(),
    };
    if bytes.len() < LEAST {
        return Err(TOO_SHORT);
    }
    let id = header_id(id);
    let mut mac = Hmac::<Sha256>::new_from_slice(&bytes).map_err(|_| TOO_SHORT)?;
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let value = |text: String| HeaderValue::from_str(&text).map_err(|_| "it makes no header");
    Ok([
        (HeaderName::from_static("webhook-id"), value(id)?),
        (HeaderName::from_static("webhook-timestamp"), value(at.to_string())?),
        (HeaderName::from_static("webhook-signature"), value(signature)?),
    ])
}

/// An id without a full stop, which separates the parts of what is signed, as names of objects may have one.
fn header_id(id: &str) -> String {
    let hex: Vec<String> = Sha256::digest(id.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("sgw_{}", hex.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the specification has the id msg_p5jXN8AQM9LWM0D4loKWxJek, which we do not send: the mac is made here a
    // second time, from the definition of HMAC in RFC 2104.
    fn by_definition(key: &[u8], text: &[u8]) -> Vec<u8> {
        let mut padded = [0_u8; 64];
        padded[..key.len()].copy_from_slice(key);
        let with = |pad: u8, rest: &[u8]| Sha256::digest([padded.map(|byte| byte ^ pad).as_slice(), rest].concat()).to_vec();
        with(0x5c, &with(0x36, text))
    }

    #[test]
    fn id_time_and_body_are_signed() {
        let headers = sign(&Secret::new("0123456789abcdef0123"), "shop/web/d-1", 1_700_000_000, b"{}").unwrap();
        let value = |at: usize| headers[at].1.to_str().unwrap().to_owned();
        let signed = format!("{}.1700000000.{{}}", value(0));
        let expected = STANDARD.encode(by_definition(b"0123456789abcdef0123", signed.as_bytes()));
        assert_eq!(value(2), format!("v1,{expected}"));
        assert_eq!(value(1), "1700000000");
        assert!(!value(0).contains('.'));
        let again = sign(&Secret::new("0123456789abcdef0123"), "shop/web/d-1", 1_700_000_001, b"{}").unwrap();
        assert_eq!(again[0].1, headers[0].1, "one id for every attempt");
        assert_ne!(again[2].1, headers[2].1);
    }

    #[test]
    fn a_key_in_base64_is_the_bytes_it_stands_for() {
        let bytes = b"0123456789abcdef0123";
        let plain = sign(&Secret::new("0123456789abcdef0123"), "a", 1, b"x").unwrap();
        assert_eq!(sign(&Secret::new(format!("whsec_{}", STANDARD.encode(bytes))), "a", 1, b"x").unwrap(), plain);
        assert!(sign(&Secret::new("whsec_!"), "a", 1, b"x").is_err());
        assert!(sign(&Secret::new("short"), "a", 1, b"x").is_err());
    }
}
