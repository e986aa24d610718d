//! One connection, from its first byte to its last.

use super::settings::HEAD_LINES;
use super::watched::{Patience, Progress, Watched};
use crate::who::Peer;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tower::Service;

/// After the last answer the rest of what the client sends is taken for so long, and thrown away: else the system would take
/// back the answer that the client has not read.
const LINGER: Duration = Duration::from_secs(1);
/// And so many bytes.
const LINGER_BYTES: usize = 4 << 20;

/// How connections are handled.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// Bytes of a request's head at most.
    pub head_bytes_max: usize,
    /// Lines of a request's head at most.
    pub head_lines_max: usize,
    /// How long clients may take.
    pub patience: Patience,
}

/// Answers the requests of a connection until either side ends it, the client uses up its time, or `stopping` turns true: then
/// after the request that is worked on.
pub async fn converse<S>(stream: S, peer: Peer, router: Router, manners: &Manners, mut stopping: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let progress = Arc::new(Progress::new());
    let service = service_fn({
        let progress = progress.clone();
        move |request: hyper::Request<Incoming>| {
            progress.asked();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            let (mut router, progress) = (router.clone(), progress.clone());
            Box::pin(async move {
                let answer = router.call(request).await;
                progress.answered();
                answer
            })
        }
    });
    let io = TokioIo::new(Watched::new(stream, progress.clone()));
    let mut builder = http1::Builder::new();
    if manners.head_lines_max != HEAD_LINES {
        builder.max_headers(manners.head_lines_max);
    }
    let mut connection = builder
        .max_buf_size(manners.head_bytes_max)
        // The watch over the stream tells idle time from a slow head, and needs one timer a connection, not one a request.
        .header_read_timeout(None)
        .serve_connection(io, service);
    let patience = &manners.patience;
    let Some(first_look) = progress.next_look(patience) else { return };
    let look = tokio::time::sleep_until(first_look.into());
    tokio::pin!(look);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            biased;
            // A request that could not be read has its answer all the same: 400 or 431.
            _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break,
            () = &mut look => match progress.next_look(patience) {
                Some(next) => look.as_mut().reset(next.into()),
                None => return,
            },
            _ = stopping.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    if !progress.is_ended() {
        let stream = connection.into_parts().io.into_inner();
        let _ = tokio::time::timeout(LINGER, linger(stream)).await;
    }
}

/// Says that nothing more comes, and takes what the client still sends.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut bytes = vec![0; 16 << 10];
    let mut taken = 0;
    while taken < LINGER_BYTES {
        match stream.read(&mut bytes).await {
            Ok(n) if n > 0 => taken += n,
            _ => return,
        }
    }
}
