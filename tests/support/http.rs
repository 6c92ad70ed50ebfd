//! HTTP/1.1 for tests, by hand: one request on a connection of its own.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What signs a request for servers that check no signatures: they read account, Region and service from it.
pub(crate) fn signature(access_key: &str, region: &str, service: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential={access_key}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0")
}

/// Sends a request: status and body of its answer.
pub(crate) async fn send(address: SocketAddr, request_line: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let headers: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
    let length = body.len();
    let request = format!(
        "{request_line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Sends a call of a Query API (EC2, STS): names as they are, values escaped.
pub(crate) async fn query(address: SocketAddr, signature: &str, version: &str, parameters: &[(&str, &str)]) -> (u16, String) {
    let mut form = format!("Version={version}");
    for (name, value) in parameters {
        form.extend(["&", name, "="]);
        form.extend(value.bytes().map(escaped));
    }
    let headers = [("authorization", signature), ("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    send(address, "POST /", &headers, &form).await
}

fn escaped(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}
