//! Limits on the time that a request's head may take, and that a client may take to read an answer.
//!
//! Hyper has none for answers, and its own limit for heads runs while a kept connection is idle too: at two seconds it would close
//! connections in the very moment in which an API server sends its next review on them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::Limits;

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

/// A stream whose reads fail when a head has begun and does not end, and whose writes fail when
/// nobody reads them.
#[derive(Debug)]
pub(super) struct Timed<S> {
    stream: S,
    head: Duration,
    answer: Duration,
    busy: Busy,
    running: Option<Pin<Box<Sleep>>>,
    /// Runs from the first byte that could not be written until all are.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Timed<S> {
    /// A head begins with its first byte. Before that a connection is idle, the first time too:
    /// API servers keep connections that they opened and then did not need, and do not try again
    /// when one of those turns out to be closed.
    pub(super) fn new(stream: S, limits: &Limits, busy: Busy) -> Self {
        Self {
            stream,
            head: limits.head,
            answer: limits.answer,
            busy,
            running: None,
            writing: None,
        }
    }

    /// What came of a write: an error where nobody has read for too long.
    fn bounded<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            return written;
        }
        let answer = self.answer;
        let writing = { &mut self.writing }.get_or_insert_with(|| Box::pin(sleep(answer)));
        ready!(writing.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
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
                this.running = Some(Box::pin(sleep(this.head)));
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.bounded(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.bounded(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        if flushed.is_ready() {
            this.writing = None;
        }
        this.bounded(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(context);
        this.bounded(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_nobody_reads_is_given_up() {
        let limits = Limits {
            answer: Duration::from_millis(200),
            ..Limits::default()
        };
        let (near, _far) = tokio::io::duplex(16);
        let mut stream = Timed::new(near, &limits, Busy::default());
        stream.write_all(&[0; 16]).await.unwrap();
        let begin = Instant::now();
        let refused = tokio::time::timeout(limits.answer * 20, stream.write_all(&[0])).await;
        assert_eq!(
            refused.unwrap().unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
        assert!(begin.elapsed() >= limits.answer);
    }
}
