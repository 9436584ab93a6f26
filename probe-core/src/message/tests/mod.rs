//! Tests of whole connections: scripts, cut and holed in every way.

mod coded;
mod driver;
mod endings;
mod holes;
mod late;
mod messages;
mod odd;
mod robust;
