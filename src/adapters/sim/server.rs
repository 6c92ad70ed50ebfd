//! The stand-in on a socket.
//!
//! Entry point: [`serve`].
//!
//! Invariant: delays and broken connections happen here only; what is answered is decided by [`Sim::handle`].

use super::door::{Break, Delay, SourceAddress};
use super::handle::Sim;
use super::wire::query::MAX_BYTES;
use axum::extract::{ConnectInfo, Request, State, connect_info::Connected};
use axum::serve::{IncomingStream, Listener};
use axum::{Router, body::Body};
use http_body_util::{BodyExt, Limited};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Serves until `stop` is done, then lets calls under way finish.
pub async fn serve(sim: Sim, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let router = Router::new().fallback(answer).with_state(sim);
    let service = router.into_make_service_with_connect_info::<Connection>();
    axum::serve(Breakable(listener), service).with_graceful_shutdown(stop).await
}

async fn answer(
    State(sim): State<Sim>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> http::Response<Body> {
    let (mut parts, body) = request.into_parts();
    // What is over the limit is cut off; the reader of parameters then refuses it by its length.
    let bytes = match Limited::new(body, MAX_BYTES + 1).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => vec![b'&'; MAX_BYTES + 1].into(),
    };
    parts.extensions.insert(SourceAddress(connection.address));
    let response = sim.handle(Request::from_parts(parts, bytes));
    if let Some(Delay(wait)) = response.extensions().get() {
        tokio::time::sleep(*wait).await;
    }
    let Some(Break { after }) = response.extensions().get::<Break>().copied() else { return response.map(Body::from) };
    let Some(after) = after else {
        connection.broken.store(true, Ordering::SeqCst);
        return response.map(|_| Body::empty());
    };
    response.map(|whole| {
        let head = whole.slice(..after.min(whole.len()));
        let chunks = futures::stream::unfold(Some(head), |head| async move {
            if let Some(head) = head {
                return Some((Ok(head), None));
            }
            // The pause lets the head go out before the connection breaks.
            tokio::task::yield_now().await;
            Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
        });
        Body::from_stream(chunks)
    })
}

/// What a call knows of its connection.
#[derive(Debug, Clone)]
struct Connection {
    address: IpAddr,
    broken: Arc<AtomicBool>,
}

impl Connected<IncomingStream<'_, Breakable>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Breakable>) -> Self {
        Self { address: stream.remote_addr().ip(), broken: Arc::clone(&stream.io().broken) }
    }
}

/// A listener whose connections can be broken from within a call.
struct Breakable(TcpListener);

impl Listener for Breakable {
    type Io = BreakableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (BreakableStream { stream, broken: Arc::default() }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

struct BreakableStream {
    stream: TcpStream,
    broken: Arc<AtomicBool>,
}

impl BreakableStream {
    fn check(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for BreakableStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = self.check() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for BreakableStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Err(error) = self.check() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
