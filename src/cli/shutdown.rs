//! Ctrl-C and SIGTERM: the first asks to finish what is under way, the second ends at once.

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first signal.
pub(super) fn on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        signal().await;
        tracing::info!("stopping: what is under way is finished first; a second signal ends at once");
        stop.cancel();
        signal().await;
        #[expect(clippy::exit, reason = "the second signal means now")]
        std::process::exit(130);
    });
    token
}

async fn signal() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupt.await;
        }
    }
}
