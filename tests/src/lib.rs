//! End-to-end tests of the probe: a fake server that is exact on the wire and writes down what
//! it did and when, and a runner that holds the probe's spans against that log.

mod built;
pub mod chart;
pub mod clock;
pub mod doctor;
pub mod fake;
pub mod fidelity;
pub mod node;
pub mod otlp;
pub mod parents;
pub mod webhook;
