//! Parts that run for as long as the program: the end of one, by a panic too, is the end of all.
//!
//! A watch that is gone would leave a replica that only looks alive, and answers by an old view.

use tokio::sync::mpsc;

/// Starts parts; clones share the one place where ends are said.
#[derive(Clone, Debug)]
pub struct Parts(mpsc::UnboundedSender<&'static str>);

/// Where ends are said.
#[derive(Debug)]
pub struct Ends(mpsc::UnboundedReceiver<&'static str>);

impl Parts {
    /// No part yet.
    #[must_use]
    pub fn new() -> (Self, Ends) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), Ends(receiver))
    }

    /// Runs a part that has no end.
    pub fn start(&self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let ends = self.0.clone();
        tokio::spawn(async move {
            let _panicked_or_done = tokio::spawn(part).await;
            let _nobody_listens = ends.send(name);
        });
    }
}

impl Ends {
    /// The name of the first part that ended; waits forever while all run.
    pub async fn first(&mut self) -> &'static str {
        match self.0.recv().await {
            Some(name) => name,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_and_an_end_are_said() {
        let (parts, mut ends) = Parts::new();
        parts.start("lasting", std::future::pending());
        parts.start("panicking", async { panic!("on purpose") });
        assert_eq!(ends.first().await, "panicking");
        parts.start("ending", async {});
        assert_eq!(ends.first().await, "ending");
    }
}
