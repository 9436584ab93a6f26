//! Standard output that can be given up.

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::stop::Stop;

/// A pipe that can take anything takes this much without blocking (`PIPE_BUF`, pipe(7)).
const AT_ONCE: usize = 4096;
/// How often a blocked writer looks whether the end was asked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long a reader may take for what is left once the end was asked for.
const GRACE: Duration = Duration::from_secs(1);

/// Standard output, unbuffered. A write to a reader that does not read waits, but not longer
/// than a moment after Ctrl-C: then it fails as if the reader had gone away.
#[derive(Clone)]
pub(super) struct PatientStdout {
    stop: Stop,
    give_up: Option<Instant>,
}

impl PatientStdout {
    /// Waits as long as `stop` is not asked for.
    pub(super) const fn new(stop: Stop) -> Self {
        Self {
            stop,
            give_up: None,
        }
    }

    /// Whether a reader that does not read had its time.
    fn is_over(&mut self) -> bool {
        if !self.stop.is_asked() {
            return false;
        }
        let end = self.give_up.get_or_insert_with(|| Instant::now() + GRACE);
        Instant::now() >= *end
    }
}

impl Write for PatientStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let out = io::stdout();
        let wait = Timespec::try_from(LOOK).map_err(io::Error::other)?;
        loop {
            let mut output = [PollFd::new(&out, PollFlags::OUT)];
            match poll(&mut output, Some(&wait)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                // A reader that has gone away is told by the write.
                Ok(_) => break,
                Err(error) => return Err(error.into()),
            }
            if self.is_over() {
                return Err(ErrorKind::BrokenPipe.into());
            }
        }
        let bytes = &bytes[..bytes.len().min(AT_ONCE)];
        Ok(rustix::io::write(&out, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
