//! A limit on the time that a request's head may take.
//!
//! Hyper's own limit runs while a kept connection is idle too: at two seconds it would close
//! connections in the very moment in which an API server sends its next review on them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Whether a request is being served, as the service says.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    busy: AtomicBool,
    /// A head was completed since the stream looked last: an answer may be so quick that the
    /// stream never sees `busy`.
    completed: AtomicBool,
}

impl Busy {
    /// A head is complete.
    pub(super) fn begin(&self) {
        self.0.busy.store(true, Ordering::Relaxed);
        self.0.completed.store(true, Ordering::Relaxed);
    }

    /// The answer is made.
    pub(super) fn end(&self) {
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

/// A stream whose reads fail when a head has begun and does not end.
#[derive(Debug)]
pub(super) struct TimedHead<S> {
    stream: S,
    limit: Duration,
    busy: Busy,
    running: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedHead<S> {
    /// A head begins with its first byte. Before that a connection is idle, the first time too:
    /// API servers keep connections that they opened and then did not need, and do not try again
    /// when one of those turns out to be closed.
    pub(super) fn new(stream: S, limit: Duration, busy: Busy) -> Self {
        Self {
            stream,
            limit,
            busy,
            running: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedHead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flags = &this.busy.0;
        if flags.completed.swap(false, Ordering::Relaxed) {
            this.running = None;
        }
        if flags.busy.load(Ordering::Relaxed) {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        if let Poll::Ready(done) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            if this.running.is_none() {
                this.running = Some(Box::pin(sleep(this.limit)));
            }
            return Poll::Ready(done);
        }
        if let Some(running) = &mut this.running {
            ready!(running.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedHead<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
