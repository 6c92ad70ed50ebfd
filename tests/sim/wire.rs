//! The same over a socket: replies, latency, broken connections, shutdown.

use crate::support::{KEY, World};
use sgwarden::adapters::sim::{Effect, Fault, Latency, serve};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

async fn started(world: &World) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(world.sim.clone(), listener, stop.clone().cancelled_owned()));
    (address, stop, serving)
}

/// Sends one call and returns all that comes back until the connection ends.
async fn exchange(address: SocketAddr, action: &str) -> (Vec<u8>, bool) {
    let body = format!("Action={action}&Version=2016-11-15");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: sim\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={KEY}/20260101/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=0\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let clean = stream.read_to_end(&mut reply).await.is_ok();
    (reply, clean)
}

#[tokio::test]
async fn a_call_over_the_wire_is_answered_with_the_clients_address_in_the_record() {
    let world = World::new();
    world.sim.freeze("2026-03-02T09:15:27Z".parse().unwrap());
    let (address, stop, serving) = started(&world).await;
    let (reply, _) = exchange(address, "DescribeVpcs").await;
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    let dates: Vec<&str> = reply.lines().filter(|line| line.to_ascii_lowercase().starts_with("date:")).collect();
    assert_eq!(dates, ["date: Mon, 02 Mar 2026 09:15:27 GMT"], "its own clock's, and no second one of the server's");
    assert!(reply.contains("x-amzn-requestid: ") && reply.contains("<vpcSet>"), "{reply}");
    exchange(address, "CreateTags").await;
    let event = world.sim.all_events().pop().unwrap();
    assert_eq!(event["detail"]["sourceIPAddress"], "127.0.0.1");
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dropped_connection_gets_no_byte_and_a_cut_one_half_a_reply() {
    let world = World::new();
    let (address, stop, serving) = started(&world).await;
    world.sim.inject(Fault::drop_connection("DescribeVpcs").times(1));
    let (reply, _) = exchange(address, "DescribeVpcs").await;
    assert!(reply.is_empty(), "{}", String::from_utf8_lossy(&reply));
    world.sim.inject(Fault { effect: Effect::Cut, ..Fault::default() }.after_applying().times(1));
    let (reply, _) = exchange(address, "DescribeVpcs").await;
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK") && !reply.contains("</DescribeVpcsResponse>"), "{reply}");
    let (reply, _) = exchange(address, "DescribeVpcs").await;
    assert!(String::from_utf8(reply).unwrap().contains("</DescribeVpcsResponse>"));
    stop.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_slow_reply_takes_its_time_and_holds_nobody_else_up() {
    let world = World::new();
    world.sim.set_latency(vec![Latency { action: "DescribeTags".into(), min_ms: 3_600_000, ..Latency::default() }]);
    let (address, stop, serving) = started(&world).await;
    let slow = tokio::spawn(exchange(address, "DescribeTags"));
    let (reply, _) = tokio::time::timeout(Duration::from_secs(20), exchange(address, "DescribeVpcs")).await.unwrap();
    assert!(!reply.is_empty() && !slow.is_finished());
    slow.abort();
    stop.cancel();
    serving.abort();
}
